// Between a datagram socket and the engine that sends for it: what each asks of and tells the other.
import type { DatagramCounters } from '../observe/counters.js';
import type { DatagramJob } from './job.js';
import type { Reason } from '../names.js';
import type { SegmentationRoutes } from '../policy/segmentation.js';
import type { SendKind } from '../send/engines/engine-host.js';

/** Whether datagrams go zero-copy, and what decides that. */
export interface DatagramDecisions {
  /** Datagrams of fewer bytes are copied. */
  readonly floor: number;
  /** Why a datagram of these buffers is copied; undefined when it may go zero-copy. */
  copyReason(
    payloads: readonly Uint8Array[],
    bytes: number,
    segmentSize: number,
  ): Reason | undefined;
  sent(): SendKind;
  completed(copied: boolean, kind: SendKind): void;
  outOfBuffers(): void;
  detachedInFlight(): void;
  /** Somebody else sends on this socket: ids cannot be told apart. */
  strayed(): void;
}

/** What the engine asks of the socket it works for, and tells it. */
export interface DatagramHost {
  readonly socket: object;
  readonly counters: DatagramCounters;
  readonly maxPendingBytes: number;
  /** Bytes that may wait for space. */
  readonly maxQueuedBytes: number;
  readonly zeroCopy: DatagramDecisions;
  readonly routes: SegmentationRoutes;
  onReadable(): void;
  /** The descriptor is closed. */
  finished(): void;
}

/** An engine of a datagram socket: the copying and zero-copying one, or a packet socket's ring. */
export interface DatagramSender {
  readonly port: number;
  readonly queuedBytes: number;
  readonly queuedJobs: number;
  /** What the kernel still references. */
  readonly pendingBytes: number;
  readonly pendingSends: number;
  /**
   * Takes a job. With a callback it may wait for others until the end of the turn; without one its
   * bytes are sent or copied when this returns. No user code runs.
   */
  submit(job: DatagramJob): void;
  /** Hands what is queued to the kernel now. */
  flush(): void;
  /** Drops `job` if nothing of it went out. Whether it did. */
  cancel(job: DatagramJob, error: Error): boolean;
  /** Calls `callback` when all that was submitted so far is sent and released. */
  whenReleased(callback: () => void): void;
  /** Sends what can be sent at once, fails the rest, and closes when the kernel holds nothing. */
  close(): void;
}
