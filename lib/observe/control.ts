// `socket.zeroCopy`: the control object of one upgraded socket.
import { inspect } from 'node:util';
import type { Counters } from './counters.js';
import type { EngineName, Reason, State } from '../names.js';

/** Counters of one socket since it was upgraded. A snapshot: read it again for newer numbers. */
export type ZeroCopyStats = Readonly<Counters>;

/** Bytes from which writes go zero-copy now; undefined if none does. */
export interface Thresholds {
  /** Of writes that follow each other, and of datagrams that are cut into segments. */
  readonly stream: number | undefined;
  /**
   * Of the first write after data from the peer, and of datagrams that are not cut. A response that shares a system
   * call with others goes zero-copy from `stream` on.
   */
  readonly response: number | undefined;
}

/** `socket.zeroCopy`: what zero copy does on a socket, and why. Its properties are read when they are asked for. */
export interface ZeroCopyControl {
  /** The engine that sends large writes now. */
  readonly engine: EngineName;
  /** Whether large writes go zero-copy now. */
  readonly state: State;
  /**
   * Why zero copy is paused or unsupported; undefined while it is active. `'io_uring-refused'` while it is
   * active: `engine: 'io_uring'` was asked for, there is none, and MSG_ZEROCOPY sends.
   */
  readonly reason?: Reason;
  /** Bytes that the kernel still references. */
  readonly pendingBytes: number;
  /** Sends that the kernel has not released. */
  readonly pendingSends: number;
  /** The counters, at this moment. */
  readonly stats: ZeroCopyStats;
  /** The sizes in bytes from which writes go zero-copy. */
  readonly thresholds: Thresholds;
  /**
   * Bytes per second that the kernel sends at most (SO_MAX_PACING_RATE); Infinity: no limit. Undefined while there is
   * no connection, and where it is unknown.
   */
  readonly maxPacingRate: number | undefined;
  /** Resolves when everything written so far is sent and released. Works after close, too. */
  flush(): Promise<void>;
  /** For JSON.stringify(), and so for most loggers: everything above. */
  toJSON(): ZeroCopyState;
}

/** All that a control shows, at one moment. */
export type ZeroCopyState = Omit<ZeroCopyControl, 'flush' | 'toJSON'>;

/** What the control reads; the socket's upgrade provides it. */
export interface ControlSource {
  readonly engineName: EngineName;
  readonly state: State;
  readonly reason: Reason | undefined;
  readonly pendingBytes: number;
  readonly pendingSends: number;
  readonly maxPacingRate: number | undefined;
  stats(): ZeroCopyStats;
  thresholds(): Thresholds;
  flush(): Promise<void>;
}

export class SocketControl implements ZeroCopyControl {
  readonly #source: ControlSource;

  constructor(source: ControlSource) {
    this.#source = source;
  }

  get engine(): EngineName {
    return this.#source.engineName;
  }
  get state(): State {
    return this.#source.state;
  }
  get reason(): Reason {
    return this.#source.reason as Reason;
  }
  get pendingBytes(): number {
    return this.#source.pendingBytes;
  }
  get pendingSends(): number {
    return this.#source.pendingSends;
  }
  get stats(): ZeroCopyStats {
    return this.#source.stats();
  }
  get thresholds(): Thresholds {
    return this.#source.thresholds();
  }
  get maxPacingRate(): number | undefined {
    return this.#source.maxPacingRate;
  }
  flush(): Promise<void> {
    return this.#source.flush();
  }

  toJSON(): ZeroCopyState {
    const { engine, state, reason, pendingBytes, pendingSends, stats, thresholds } = this;
    const { maxPacingRate } = this;
    return { engine, state, reason, pendingBytes, pendingSends, stats, thresholds, maxPacingRate };
  }

  [inspect.custom](): string {
    const why = this.#source.reason === undefined ? '' : `: ${this.reason}`;
    const { stats, thresholds } = this;
    const from = (bytes: number | undefined): string =>
      bytes === undefined ? 'never' : `${bytes}`;
    return (
      `ZeroCopy { ${this.engine}, ${this.state}${why}, pending ${this.pendingBytes} bytes in ` +
      `${this.pendingSends} sends, ${stats.zeroCopySends} zero-copy sends of ` +
      `${stats.zeroCopyBytes} bytes (${stats.kernelCopiedSends} copied by the kernel), ` +
      `${stats.copiedBytes} bytes copied by choice, from ${from(thresholds.stream)} bytes on ` +
      `(responses ${from(thresholds.response)}) }`
    );
  }
}
