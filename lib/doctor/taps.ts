// Packet captures: a packet socket that sees all protocols gets a clone of whatever leaves through its
// interface, and the kernel copies the payload for it (net/core/dev.c:dev_queue_xmit_nit), even if a filter
// then drops it. Sockets of one protocol see received packets only.
import { readdirSync, readlinkSync } from 'node:fs';
import type { Native } from '../native/binding.js';
import { readText } from '../node/proc.js';
import type { Finding } from './finding.js';

export interface Tap {
  /** Index of its interface; 0: all. */
  readonly device: number;
  /** Name of the interface; absent for all, or if it is gone. */
  readonly name?: string;
  /** The process that holds it, if this process may see that. */
  readonly owner?: { readonly pid: number; readonly command: string };
  /** A packet socket of this very process. */
  readonly isOurs: boolean;
}

interface PacketSocket {
  readonly device: number;
  readonly inode: string;
}

/**
 * The sockets of /proc/net/packet that see what is sent.
 * @param allProtocols ETH_P_ALL
 */
export function copyingSockets(table: string, allProtocols: number): PacketSocket[] {
  const sockets: PacketSocket[] = [];
  // sk RefCnt Type Proto Iface R Rmem User Inode (net/packet/af_packet.c:packet_seq_show)
  for (const line of table.split('\n').slice(1)) {
    const [, , , protocol, device, running, , , inode] = line.trim().split(/\s+/);
    if (inode === undefined || running !== '1') continue;
    if (Number.parseInt(protocol as string, 16) !== allProtocols) continue;
    sockets.push({ device: Number(device), inode });
  }
  return sockets;
}

/** Those of this network namespace; undefined if they cannot be read. */
export function readTaps(native: Native): Tap[] | undefined {
  const table = readText('/proc/net/packet');
  // Without this heading, another file is mounted there.
  if (table === undefined || table === '') return undefined;
  const sockets = copyingSockets(table, native.kernel.ETH_P_ALL);
  if (sockets.length === 0) return [];
  const owners = ownersOf(new Set(sockets.map(({ inode }) => inode)));
  return sockets.map(({ device, inode }) => {
    const found = device === 0 ? undefined : native.describeDevice(device);
    const owner = owners.get(inode);
    return {
      device,
      ...(typeof found === 'object' ? { name: found.name } : {}),
      ...(owner === undefined ? {} : { owner }),
      isOurs: owner?.pid === process.pid,
    };
  });
}

function entries(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return []; // ended in between, or another user's
  }
}

function ownersOf(inodes: ReadonlySet<string>): Map<string, NonNullable<Tap['owner']>> {
  const owners = new Map<string, NonNullable<Tap['owner']>>();
  for (const pid of entries('/proc').filter((name) => /^\d+$/.test(name))) {
    for (const fd of entries(`/proc/${pid}/fd`)) {
      const inode = socketInode(`/proc/${pid}/fd/${fd}`);
      if (inode === undefined || !inodes.has(inode) || owners.has(inode)) continue;
      const command = readText(`/proc/${pid}/comm`)?.trim() ?? '?';
      owners.set(inode, { pid: Number(pid), command });
    }
  }
  return owners;
}

function socketInode(link: string): string | undefined {
  try {
    return /^socket:\[(\d+)\]$/.exec(readlinkSync(link))?.[1];
  } catch {
    return undefined;
  }
}

function tapText({ device, name, owner, isOurs }: Tap): string {
  const where = device === 0 ? 'every interface' : (name ?? `interface ${device}`);
  if (isOurs) return `a packet socket of this process on ${where}`;
  return owner === undefined
    ? `a packet socket on ${where}, of a process that cannot be seen from here`
    : `${owner.command} (process ${owner.pid}) on ${where}`;
}

/**
 * @param taps undefined: cannot be read
 * @param path indexes of the devices towards the target; undefined: no target
 */
export function tapFinding(
  taps: readonly Tap[] | undefined,
  path: readonly number[] | undefined,
): Finding {
  const same = { id: 'taps', title: 'Packet captures' };
  if (taps === undefined) {
    const detail =
      'Unknown: /proc/net/packet cannot be read here. While a capture runs, the kernel copies the ' +
      'packets that it sees.';
    const remedy = {
      command: 'ss --packet --processes   # as root: lists the capturing processes',
    };
    return { ...same, verdict: 'note', detail, remedy };
  }
  if (taps.length === 0) {
    const detail = 'None in this network namespace. Those of other namespaces cannot be seen.';
    return { ...same, verdict: 'ok', detail };
  }
  const inThePath = taps.filter(
    ({ device }) => device === 0 || (path !== undefined && path.includes(device)),
  );
  const list = (some: readonly Tap[]): string => some.map(tapText).join('; ');
  if (inThePath.length > 0) {
    const detail =
      `${list(inThePath)}. The kernel copies every packet that a capture sees. (A capture may ignore ` +
      'outgoing packets, but that cannot be seen.)';
    return { ...same, verdict: 'blocked', detail, ...tapRemedy(inThePath) };
  }
  if (path !== undefined) {
    return { ...same, verdict: 'note', detail: `Not on the path to the target: ${list(taps)}.` };
  }
  const detail = `${list(taps)}. The kernel copies every packet that leaves through these interfaces.`;
  return { ...same, verdict: 'limited', detail, ...tapRemedy(taps) };
}

// Do not suggest to kill this process: the program can close its own socket.
function tapRemedy(taps: readonly Tap[]): Pick<Finding, 'remedy'> {
  const others = taps.filter(({ isOurs }) => !isOurs);
  if (others.length === 0) return {};
  const pids = others.map(({ owner }) => owner?.pid).filter((pid) => pid !== undefined);
  // The remedy lists the owners of captures that are not visible from here.
  if (pids.length === 0) {
    return {
      remedy: { command: 'ss --packet --processes   # as root: lists the capturing processes' },
    };
  }
  return { remedy: { command: `kill ${[...new Set(pids)].join(' ')}   # ends the capture` } };
}
