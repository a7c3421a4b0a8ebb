// The only place of the bench that knows the library: its public contract and nothing else. It is
// loaded by upgraded contestants alone, so that plain ones pay for none of it.
import net from 'node:net';

import type { BufferPool, ZeroCopyOptions } from '../../lib/index.js';
import type { Contestant } from '../options';
import type { Result, ZeroCopyTotals } from '../protocol';
import { openFloor } from './floor';

export interface Upgrade {
  /** Upgrades a socket, or the later connections of a server. */
  apply<T extends net.Socket | net.Server>(target: T): T;
  /** Memory of its own, which is never freed: of the contestant's pool, if it has one. */
  allocate(size: number): Buffer;
  /** Counters over all sockets that were watched. Undefined for plain contestants. */
  totals(): ZeroCopyTotals | undefined;
  /** What the first watched socket says of itself. */
  verdict(): Pick<Result, 'engine' | 'state' | 'reason' | 'poolReason'>;
  watch(socket: net.Socket): void;
}

/** What a child will ask `allocate` for. */
export interface Source {
  size: number;
  count: number;
}

const plain: Upgrade = {
  apply: (target) => target,
  allocate: (size) => Buffer.allocUnsafeSlow(size),
  totals: () => undefined,
  verdict: () => ({}),
  watch: () => undefined,
};

const pageBytes = 4096;
// The library stages headers in the pool.
const poolSlackBytes = 4 * 1_048_576;

/** @param sources none where they are no part of what is measured. */
export async function upgradeFor(contestant: Contestant, ...sources: Source[]): Promise<Upgrade> {
  if (contestant.kind === 'floor') return floorFor(contestant);
  if (contestant.kind !== 'upgraded') return plain;
  const library = await import('../../lib/index.js');
  const pool = contestant.pool && new library.BufferPool({ bytes: poolBytesFor(sources) });
  // An engine this build does not know is refused by the library, in its own words.
  const settings = { ...contestant.settings, ...(pool && { pool }) } as ZeroCopyOptions;
  const watched = new Set<net.Socket>();
  const closed: ZeroCopyTotals = {};
  let first: net.Socket | undefined;
  return {
    apply: <T extends net.Socket | net.Server>(target: T): T => {
      library.enableZeroCopy(target as net.Server, settings);
      return target;
    },
    allocate: pool ? allocatorOf(pool) : plain.allocate,
    watch: (socket) => {
      first ??= socket;
      watched.add(socket);
      socket.once('close', () => {
        watched.delete(socket);
        add(closed, controlOf(socket)?.stats);
      });
    },
    totals: () => {
      const sum = { ...closed };
      for (const socket of watched) add(sum, controlOf(socket)?.stats);
      return sum;
    },
    verdict: () => {
      const control = first && controlOf(first);
      if (!control) return {};
      const { engine, state, reason } = control;
      const missed = engine === 'io_uring' && pool?.registered === false;
      return {
        engine,
        state,
        ...(reason !== undefined && { reason }),
        ...(missed && { poolReason: pool.reason ?? 'not registered' }),
      };
    },
  };
}

// Its sockets take part once they are connected.
function floorFor({ floor = 'msg_zerocopy' }: Contestant): Upgrade {
  const lower = openFloor(floor);
  return {
    ...plain,
    apply: <T extends net.Socket | net.Server>(target: T): T => {
      if (target instanceof net.Server) target.prependListener('connection', lower);
      else target.prependOnceListener('connect', () => lower(target));
      return target;
    },
  };
}

function poolBytesFor(sources: readonly Source[]): number {
  return sources.reduce((sum, one) => sum + pagesOf(one) * pageBytes, poolSlackBytes);
}

function pagesOf({ size, count }: Source): number {
  if (size >= pageBytes) return Math.ceil(size / pageBytes) * count;
  return Math.ceil(count / Math.floor(pageBytes / Math.max(1, size)));
}

// Small ones share a page, so that they cover the memory that they are said to cover.
function allocatorOf(pool: BufferPool): (size: number) => Buffer {
  // As the pool gave them out: one that is collected counts as leaked.
  const pieces: Buffer[] = [];
  let rest: Buffer = Buffer.alloc(0);
  const allocatePiece = (size: number): Buffer => {
    const piece = pool.allocUnsafe(size);
    // Ordinary memory under a pool's name must not pass for a result.
    if (pool.stats.fallbackAllocations > 0) throw new Error('the pool was too small');
    pieces.push(piece);
    return piece;
  };
  return (size) => {
    if (size >= pageBytes) return allocatePiece(size);
    if (size > rest.length) rest = allocatePiece(pageBytes);
    const small = rest.subarray(0, size);
    rest = rest.subarray(size);
    return small;
  };
}

/** What a socket says of itself. */
interface Control {
  engine: string;
  state: string;
  reason?: string;
  stats: object;
  thresholds: { stream: number | undefined; response: number | undefined };
}

/** Undefined for a socket that was not upgraded. */
export function controlOf(socket: net.Socket): Control | undefined {
  return (socket as net.Socket & { zeroCopy?: Control }).zeroCopy;
}

function add(sum: ZeroCopyTotals, stats: object | undefined): void {
  for (const [name, value] of Object.entries(stats ?? {})) {
    if (typeof value === 'number') sum[name] = (sum[name] ?? 0) + value;
  }
}
