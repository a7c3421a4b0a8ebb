// The only place of the bench that knows the library: its public contract and nothing else. It is
// loaded by upgraded contestants alone, so that plain ones pay for none of it.
import type net from 'node:net';

import type { ZeroCopyOptions } from '../../lib/index.js';
import type { Contestant } from '../options';
import type { ZeroCopyTotals } from '../protocol';

export interface Upgrade {
  /** Upgrades a socket, or the later connections of a server. */
  apply<T extends net.Socket | net.Server>(target: T): T;
  /** Counters over all sockets that were watched. Undefined for plain contestants. */
  totals(): ZeroCopyTotals | undefined;
  /** What the first watched socket says of itself. */
  verdict(): { engine?: string; state?: string; reason?: string };
  watch(socket: net.Socket): void;
}

const plain: Upgrade = {
  apply: (target) => target,
  totals: () => undefined,
  verdict: () => ({}),
  watch: () => undefined,
};

export async function upgradeFor(contestant: Contestant): Promise<Upgrade> {
  if (contestant.kind !== 'upgraded') return plain;
  const { enableZeroCopy } = await import('../../lib/index.js');
  // An engine this build does not know is refused by the library, in its own words.
  const settings = contestant.settings as ZeroCopyOptions | undefined;
  const watched = new Set<net.Socket>();
  const closed: ZeroCopyTotals = {};
  let first: net.Socket | undefined;
  return {
    apply: <T extends net.Socket | net.Server>(target: T): T => {
      enableZeroCopy(target as net.Server, settings);
      return target;
    },
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
      return { engine, state, ...(reason !== undefined && { reason }) };
    },
  };
}

interface Control {
  engine: string;
  state: string;
  reason?: string;
  stats: object;
}

function controlOf(socket: net.Socket): Control | undefined {
  return (socket as net.Socket & { zeroCopy?: Control }).zeroCopy;
}

function add(sum: ZeroCopyTotals, stats: object | undefined): void {
  for (const [name, value] of Object.entries(stats ?? {})) {
    if (typeof value === 'number') sum[name] = (sum[name] ?? 0) + value;
  }
}
