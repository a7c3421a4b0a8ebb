// The data behind `socket.zeroCopy` and metrics() for a datagram socket that sends by node:dgram.
import type { ControlSource, Thresholds } from '../observe/control.js';
import { snapshotOf, zeroDatagramCounters } from '../observe/counters.js';
import type { DatagramStats } from '../datagram/core.js';
import type { Reason, State } from '../names.js';
import { accounts, type SocketAccount } from '../observe/aggregate.js';

export class CopyingSource implements ControlSource, SocketAccount {
  readonly engineName = 'copy';
  readonly counters = zeroDatagramCounters();
  readonly pendingBytes = 0;
  readonly pendingSends = 0;
  state: State = 'unsupported';
  counted: DatagramStats | undefined;
  countedByNode = 0;

  constructor(
    readonly reason: Reason,
    readonly flush: () => Promise<void>,
  ) {}

  stats(): DatagramStats {
    return snapshotOf(this.counters);
  }

  get maxPacingRate(): undefined {
    return undefined;
  }

  thresholds(): Thresholds {
    return { stream: undefined, response: undefined };
  }

  /** The socket has a descriptor. */
  opened(): void {
    accounts.open(this);
  }

  closed(): void {
    this.state = 'closed';
    accounts.end(this);
  }
}
