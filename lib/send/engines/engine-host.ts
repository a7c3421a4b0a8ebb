// What an engine asks of the socket it works for, and tells it.
import type { Counters } from '../../observe/counters.js';
import type { EngineName, Reason } from '../../names.js';
import type { Want } from '../../policy/adaptive.js';

/** A probe finds out, after a pause, whether the kernel still copies. */
export type SendKind = 'ordinary' | 'probe';

/** What the engine asks of and tells the socket it works for. */
export interface EngineHost {
  readonly maxPendingBytes: number;
  readonly lingerTimeoutMs: number;
  readonly threshold: number;
  /** Pieces of fewer bytes ride in front of others, and may as well be copied. */
  readonly minimumChunk: number;
  readonly counters: Counters;
  /** Why the next send may not go zero-copy; undefined when it may. */
  refusal(): Reason | undefined;
  readonly socket: object;
  /** A zero-copy send was accepted; whether it is a probe. */
  sent(): SendKind;
  /** A notification came; `kind`: whether it covers a probe. */
  completed(copied: boolean, kind: SendKind): void;
  /**
   * Callbacks are about to learn of releases, and no write is being sent.
   * @param waitMs since the last send was accepted
   * @param others sends that are still pending
   */
  handingBack(waitMs: number, others: number): void;
  outOfBuffers(want: Want): void;
  /** The kernel does not send this connection's bytes by the engine of this name. */
  engineRefused(engine: EngineName): void;
  /** Bytes moved: timeouts start anew. */
  progressed(): void;
  /** A buffer was detached while the kernel still referenced its memory. */
  detachedInFlight(): void;
  /** Nothing is pending and the descriptor is closed. */
  finished(engine: unknown): void;
}
