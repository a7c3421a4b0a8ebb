// What one upgraded socket counts, and how it takes part in the sums of its environment.
import type net from 'node:net';
import type { ZeroCopyStats } from '../observe/control.js';
import { NO_BYTES, snapshotOf, zeroCounters, type Counters } from '../observe/counters.js';
import type { MutationSubject } from '../memory/mutation.js';
import * as internals from '../node/internals.js';
import type { Connection } from '../send/connection.js';
import { accounts, type SocketAccount } from '../observe/aggregate.js';

export class TcpAccount implements SocketAccount, MutationSubject {
  counted: Readonly<Counters> | undefined;
  countedByNode = NO_BYTES;
  /**
   * What was copied past libuv, and what libuv wrote of the connections before the present one; all of
   * these and of the present one, as it was asked last.
   */
  #bytesBefore = NO_BYTES;
  #bytesByNode = NO_BYTES;

  constructor(
    readonly socket: net.Socket,
    readonly connection: Connection,
  ) {
    if (internals.handleOf(socket) !== undefined) accounts.open(this);
  }

  /** What is counted; absent while nothing is. */
  get counters(): Counters | undefined {
    return this.connection.counters;
  }
  /** The same, to count. */
  get counting(): Counters {
    return this.connection.counting;
  }
  get bytesByNode(): number {
    const bytes = this.#bytesBefore + internals.bytesDispatched(this.socket);
    // Node reports 0 for a socket whose handle went to another process: keeps what was counted.
    return (this.#bytesByNode = Math.max(this.#bytesByNode, bytes));
  }
  get pendingBytes(): number {
    return this.connection.pendingBytes;
  }
  get pendingSends(): number {
    return this.connection.pendingSends;
  }

  /** Bytes were copied past libuv. */
  copiedNow(bytes: number): void {
    this.#bytesBefore += bytes;
  }

  /** Notifications that nothing waits for are read late (docs/architecture.md); reading `stats` fetches them. */
  refresh(): void {
    for (const port of this.connection.ports()) port.refresh();
  }

  stats(): ZeroCopyStats {
    this.refresh();
    const counters = this.counters ?? zeroCounters();
    // What libuv wrote is what core counts; it costs the fast path nothing.
    const copiedBytes = counters.copiedBytes + this.bytesByNode;
    return snapshotOf({ ...counters, copiedBytes });
  }

  // --- accounting for metrics() -----------------------------------------------------------------

  /** The socket got a handle. @param bytesBefore what libuv had written by the one before */
  connected(bytesBefore: number): void {
    this.#bytesBefore += bytesBefore;
    accounts.open(this);
  }

  /** The socket was destroyed, or one of its engines closed its descriptor. */
  ended(): void {
    if (this.socket.destroyed && this.connection.ports().length === 0) accounts.end(this);
  }

  get isOver(): boolean {
    const { socket } = this;
    const isConnected = socket.connecting || internals.handleOf(socket) !== undefined;
    return !isConnected && this.connection.ports().length === 0;
  }

  // --- MutationSubject --------------------------------------------------------------------------

  fail(error: Error): boolean {
    const { socket } = this;
    if (socket.destroyed) return false;
    socket.destroy(error);
    return true;
  }
}
