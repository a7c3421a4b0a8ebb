// What a port works for: the connection, as its ports see it.
import type net from 'node:net';
import type { Counters } from '../observe/counters.js';
import type { Health } from './health.js';
import type { ResolvedOptions } from './options.js';

/** What a port belongs to. */
export interface PortHost {
  readonly socket: net.Socket;
  readonly health: Health;
  readonly options: ResolvedOptions;
  readonly counting: Counters;
  /** False: the choice of an engine is to be made anew. */
  steady: boolean;
  /** So many buffers were detached while the kernel still referenced their memory. */
  detachedInFlight(buffers: number): void;
  /** Nothing is pending and the descriptor is closed. */
  ended(port: unknown): void;
}
