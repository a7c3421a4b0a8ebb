// The members of an upgraded socket on one that is left untouched (TLS): its own write does the work,
// and the control says why.
import type { Duplex } from 'node:stream';
import { snapshotOf, zeroCounters } from '../observe/counters.js';
import type { ControlSource, Thresholds, ZeroCopyStats } from '../observe/control.js';
import type { EngineName, Reason, State } from '../names.js';
import { SendTracker, type SendReport } from '../observe/report.js';
import { abortError, checkSend } from '../send/arguments.js';
import { accounts, type SocketAccount } from '../observe/aggregate.js';

interface Countable {
  readonly bytesWritten: number;
}

export class TlsPassthrough implements ControlSource, SocketAccount {
  readonly engineName: EngineName = 'copy';
  readonly pendingBytes = 0;
  readonly pendingSends = 0;
  readonly counters = undefined;
  countedByNode = 0;
  readonly #socket: Duplex & Countable;

  constructor(
    socket: Duplex & Countable,
    readonly reason: Reason,
  ) {
    this.#socket = socket;
    if (socket.destroyed) return;
    accounts.open(this);
    socket.once('close', () => accounts.end(this));
  }

  get bytesByNode(): number {
    return this.#socket.bytesWritten ?? 0;
  }

  get state(): State {
    return this.#socket.destroyed ? 'closed' : 'unsupported';
  }

  stats(): ZeroCopyStats {
    return snapshotOf({ ...zeroCounters(), copiedBytes: this.bytesByNode });
  }

  get maxPacingRate(): undefined {
    return undefined;
  }

  thresholds(): Thresholds {
    return { stream: undefined, response: undefined };
  }

  async flush(): Promise<void> {
    const socket = this.#socket;
    if (socket.writableLength === 0 || !socket.writable) return;
    await new Promise<void>((resolve) => socket.write('', () => resolve()));
  }

  send(
    data: Uint8Array | readonly Uint8Array[],
    options?: { signal?: AbortSignal },
  ): Promise<SendReport> {
    const { list, bytes, signal } = checkSend(data, options);
    const tracker = new SendTracker(bytes);
    tracker.copied(bytes, this.reason);
    return new Promise((resolve, reject) => {
      // Once written it can no longer be taken back.
      if (signal?.aborted === true) return reject(abortError(signal));
      const socket = this.#socket;
      socket.cork();
      for (const item of list) socket.write(item);
      socket.write('', (error) => (error ? reject(error) : resolve(tracker.report())));
      socket.uncork();
    });
  }
}
