// Names and addresses of one rig, generated so that several coexist, and who owns them.
//
//   zcrig-<owner>-<id>-s|r     owner: <pid>.<start time>, or 'keep' for a rig that outlives its maker
//
// The start time is there because pids are used again: a rig whose owner is dead must be collected
// even when another process has the number by now.
import { randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';

/** Whether a rig ends with the process that made it, or stays until it is taken down by name. */
export type RigLifetime = 'process' | 'persistent';

/** One end of the rig: a network namespace with one device, and the CPU its programs belong on. */
export interface RigSide {
  readonly netns: string;
  readonly cpu: number;
  readonly device: string;
  readonly address4: string;
  readonly address6: string;
}

/** Which end: data flows from the sender to the receiver. */
export type RigSideName = 'sender' | 'receiver';

/** Prefix lengths of the addresses: the two ends share one network of each family. */
export const PREFIX4 = 30;
export const PREFIX6 = 64;

const NAMESPACE = /^zcrig-(?:(keep)|(\d+)\.([0-9a-z]+))-[0-9a-z]+-[sr]$/;
const ID_LENGTH = 6;

/** Fresh names and addresses for both ends. */
export function generateSides(lifetime: RigLifetime): Record<RigSideName, RigSide> {
  const owner = lifetime === 'persistent' ? 'keep' : ownerOf(process.pid);
  const id = Array.from({ length: ID_LENGTH }, () => randomInt(36).toString(36)).join('');
  // 198.18.0.0/15 is set aside for benchmarks (RFC 2544), fd00::/8 for local use (RFC 4193).
  const network = randomInt(2 ** 15) * 4;
  const prefix4 = `198.${18 + (network >> 16)}.${(network >> 8) & 255}`;
  // As the kernel and Node write them: without zeros in front, and without groups of zero, which they
  // would leave out.
  const group = (): string => randomInt(1, 2 ** 16).toString(16);
  const prefix6 = `${(0xfd00 + randomInt(2 ** 8)).toString(16)}:${group()}:${group()}`;
  const side = (letter: 's' | 'r', cpu: number, host: number): RigSide => ({
    netns: `zcrig-${owner}-${id}-${letter}`,
    cpu,
    // Short, because kernels before 5.17 cut the name of the device's `napi/…` thread at 15.
    device: `z${letter}${id}`,
    address4: `${prefix4}.${(network & 255) + host}`,
    address6: `${prefix6}::${host}`,
  });
  return { sender: side('s', 0, 1), receiver: side('r', 1, 2) };
}

/** Whether `netns` belongs to a persistent rig. */
export function isPersistent(netns: string): boolean {
  return NAMESPACE.exec(netns)?.[1] !== undefined;
}

/** Whether `netns` belongs to a rig whose owner ended without taking it down. */
export function isStale(netns: string): boolean {
  const [, , pid, startTime] = NAMESPACE.exec(netns) ?? [];
  return pid !== undefined && ownerOf(Number(pid)) !== `${pid}.${startTime}`;
}

/** `<pid>.<start time>` of a living process. Source: proc(5), /proc/PID/stat. */
function ownerOf(pid: number): string | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return undefined;
  }
  // The second field is the program's name and may hold spaces and parentheses of its own.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state = 'X'] = fields;
  if (state === 'Z' || state === 'X') return undefined;
  return `${pid}.${Number(fields[19]).toString(36)}`;
}
