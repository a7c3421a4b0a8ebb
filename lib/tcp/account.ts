// What one upgraded socket counts, and how it takes part in the sums of its environment.
import type net from 'node:net';
import type { ZeroCopyStats } from '../observe/control.js';
import { NO_BYTES, snapshotOf, zeroCounters, type Counters } from '../observe/counters.js';
import { warnDetachedInFlight } from '../memory/detached.js';
import type { StreamEngine } from '../send/engines/stream-engine.js';
import type { MutationSubject } from '../memory/mutation.js';
import * as nodePrivate from '../node/internals.js';
import type { TcpAttachment } from './attachment.js';
import { accounts, type SocketAccount } from '../observe/aggregate.js';

/** Whom an account belongs to. */
interface Owner {
  readonly socket: net.Socket;
  /** The engines; absent until the first large write. */
  readonly attachment: TcpAttachment | undefined;
}

export class TcpAccount implements SocketAccount, MutationSubject {
  counted: Readonly<Counters> | undefined;
  countedByNode = NO_BYTES;
  readonly #owner: Owner;
  #counters: Counters | undefined;
  /**
   * What was copied past libuv, and what libuv wrote of the connections before the present one; all of
   * these and of the present one, as it was asked last.
   */
  #bytesBefore = NO_BYTES;
  #bytesByNode = NO_BYTES;

  constructor(owner: Owner) {
    this.#owner = owner;
    if (nodePrivate.handleOf(owner.socket) !== undefined) accounts.open(this);
  }

  get socket(): net.Socket {
    return this.#owner.socket;
  }
  /** What is counted; absent while nothing is. */
  get counters(): Counters | undefined {
    return this.#counters;
  }
  /** The same, to count. */
  get counting(): Counters {
    return (this.#counters ??= zeroCounters());
  }
  get bytesByNode(): number {
    const bytes = this.#bytesBefore + nodePrivate.bytesDispatched(this.socket);
    // A socket whose handle went to another process says 0: what was counted stays so.
    return (this.#bytesByNode = Math.max(this.#bytesByNode, bytes));
  }
  get pendingBytes(): number {
    return this.engines.reduce((bytes, engine) => bytes + engine.pendingBytes, 0);
  }
  get pendingSends(): number {
    return this.engines.reduce((sends, engine) => sends + engine.pendingSends, 0);
  }
  get engines(): StreamEngine[] {
    return this.#owner.attachment?.engines() ?? [];
  }

  /** Bytes were copied past libuv. */
  copiedNow(bytes: number): void {
    this.#bytesBefore += bytes;
  }

  /** Notifications that nobody waits for are read late (docs/architecture.md): who asks wants them. */
  refresh(): void {
    for (const engine of this.engines) engine.refresh();
  }

  stats(): ZeroCopyStats {
    this.refresh();
    const counters = this.#counters ?? zeroCounters();
    // What libuv wrote is what core counts; it costs the fast path nothing.
    const copiedBytes = counters.copiedBytes + this.bytesByNode;
    return snapshotOf({ ...counters, copiedBytes });
  }

  detachedInFlight(): void {
    this.counting.detachedBuffers++;
    warnDetachedInFlight();
  }

  // --- its place in the sums --------------------------------------------------------------------

  /** The socket got a handle. @param bytesBefore what libuv had written by the one before */
  connected(bytesBefore: number): void {
    this.#bytesBefore += bytesBefore;
    accounts.open(this);
  }

  /** The socket was destroyed, or one of its engines closed its descriptor. */
  ended(): void {
    if (this.socket.destroyed && this.engines.length === 0) accounts.end(this);
  }

  get isOver(): boolean {
    const { socket } = this;
    const isConnected = socket.connecting || nodePrivate.handleOf(socket) !== undefined;
    return !isConnected && this.engines.length === 0;
  }

  // --- MutationSubject --------------------------------------------------------------------------

  fail(error: Error): boolean {
    const { socket } = this;
    if (socket.destroyed) return false;
    socket.destroy(error);
    return true;
  }
}
