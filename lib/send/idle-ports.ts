// Gives duplicates of idle connections back: a server with thousands of quiet keep-alive connections
// should not hold two descriptors for each.
import { clearInterval, setInterval } from '../node/clock.js';

import type net from 'node:net';

interface Droppable {
  readonly socket: net.Socket;
  /** Whether `descriptor` is the socket's. */
  has(descriptor: number): boolean;
  /** Gives the duplicate back when nothing used it since the last call; true when it is gone. */
  dropIdle(): boolean;
}

/** Between one and two of these after its last send an idle connection has one descriptor again. */
const SWEEP_MS = 5_000;

const warm = new Set<Droppable>();
let timer: NodeJS.Timeout | undefined;

/** Remembers a connection that just sent. */
export function keepWarm(connection: Droppable): void {
  warm.add(connection);
  timer ??= setInterval(sweepIdle, SWEEP_MS).unref();
}

/** The connection has ended. */
export function forget(connection: Droppable): void {
  warm.delete(connection);
}

/** Gives back every duplicate with nothing pending: what it was taken for is copied from now on. */
export function dropIdle(): void {
  for (const connection of warm) {
    // Once for having been used, once for being idle.
    if (connection.dropIdle() || connection.dropIdle()) warm.delete(connection);
  }
}

/** The socket with this descriptor, if it has a duplicate. */
export function warmSocket(descriptor: number): net.Socket | undefined {
  for (const connection of warm) if (connection.has(descriptor)) return connection.socket;
  return undefined;
}

/** Looks at all connections once; also called when descriptors run short. */
export function sweepIdle(): void {
  for (const connection of warm) if (connection.dropIdle()) warm.delete(connection);
  if (warm.size > 0) return;
  clearInterval(timer);
  timer = undefined;
}
