// Looks after connections that sent a while ago: drops the chunks that the kernel has released, which
// otherwise happens with their next write, and gives idle duplicates back. A server with thousands of quiet
// keep-alive connections should not hold two descriptors for each.
import type net from 'node:net';
import { whenPoolsRunShort } from '../memory/pool-pins.js';
import { startedReactor } from '../native/reactor.js';
import { clearInterval, setInterval } from '../node/clock.js';

interface Droppable {
  readonly socket: net.Socket;
  /** Whether `descriptor` is the socket's. */
  has(descriptor: number): boolean;
  /** Drops what is released. */
  sweep(): void;
  /** Gives the duplicate back when nothing used it since the last call; true when it is gone. */
  dropIdle(): boolean;
}

/** How long a chunk is kept at most behind its release. */
const SWEEP_MS = 250;
/** Between one and two of these after its last send an idle connection has one descriptor again. */
const SWEEPS_BEFORE_DROP = 20;

const warm = new Set<Droppable>();
let timer: NodeJS.Timeout | undefined;
let sweeps = 0;

/** Remembers a connection that just sent. */
export function keepWarm(connection: Droppable): void {
  warm.add(connection);
  timer ??= setInterval(sweep, SWEEP_MS).unref();
}

/** The connection has ended. */
export function forget(connection: Droppable): void {
  warm.delete(connection);
}

/** The socket with this descriptor, if it has a duplicate. */
export function warmSocket(descriptor: number): net.Socket | undefined {
  for (const connection of warm) if (connection.has(descriptor)) return connection.socket;
  return undefined;
}

/** Gives idle duplicates back; also called when descriptors run short. */
export function sweepIdle(): void {
  for (const connection of warm) if (connection.dropIdle()) warm.delete(connection);
  if (warm.size > 0) return;
  clearInterval(timer);
  timer = undefined;
}

function sweep(): void {
  for (const connection of warm) connection.sweep();
  startedReactor()?.followBudget();
  if (++sweeps % SWEEPS_BEFORE_DROP === 0) sweepIdle();
}

// Pieces that were freed go back to their pool when their chunks are dropped.
whenPoolsRunShort(() => {
  for (const connection of warm) connection.sweep();
});
