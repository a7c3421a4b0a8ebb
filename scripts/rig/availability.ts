// Whether a rig can be built here, and if not, what to do about it.
import { existsSync, readFileSync } from 'node:fs';
import os from 'node:os';

import { canStart } from './commands';

/** Why something cannot run on this machine, or not by this user, and what would change that. */
export interface Obstacle {
  readonly reason: string;
  readonly remedy: string;
}

/** What cannot be run here, told apart from what fails. */
export class Unavailable extends Error implements Obstacle {
  constructor(
    readonly reason: string,
    readonly remedy: string,
  ) {
    super(`${reason}; remedy: ${remedy}`);
  }
}

// Bits of linux/capability.h. CAP_SYS_ADMIN: network namespaces, BPF; CAP_NET_ADMIN: devices.
const CAPABILITIES = { CAP_NET_ADMIN: 12, CAP_SYS_ADMIN: 21 } as const;

const PROGRAMS = [
  { probe: ['ip', '-V'], name: 'ip', remedy: 'install iproute2' },
  { probe: ['tc', '-V'], name: 'tc', remedy: 'install iproute2' },
  { probe: ['taskset', '--version'], name: 'taskset', remedy: 'install util-linux' },
  { probe: ['cc', '--version'], name: 'cc', remedy: 'install a C compiler, such as gcc' },
] as const;

/** Generic XDP takes packets in fragments from here on (e6d5dbdd20aa). */
const LEAST_KERNEL = [6, 9] as const;

/**
 * The first thing that stands in the way of a rig, or undefined. Changes nothing on the machine.
 * Kernel: Linux 6.9+ with veth, bpf(2) and IPv6. Generic XDP of older kernels makes one piece of each packet
 * first, for which the kernel copies the sender's pages, and says so: every send would be copied.
 * @param release of the kernel, as os.release() says it
 */
export function rigUnavailable(release = os.release()): Obstacle | undefined {
  const unavailable = namespacesUnavailable();
  if (unavailable !== undefined) return unavailable;
  const [major = 0, minor = 0] = release.split('.').map((number) => Number.parseInt(number, 10));
  const [leastMajor, leastMinor] = LEAST_KERNEL;
  if (major > leastMajor || (major === leastMajor && minor >= leastMinor)) return undefined;
  return {
    reason: `the rig needs Linux 6.9; on ${release} it would copy everything`,
    remedy: 'boot a newer kernel, or test over a network card (selftest -D)',
  };
}

/**
 * The first thing that stands in the way of network namespaces with devices that are told what to do, or undefined.
 * Changes nothing on the machine.
 */
export function namespacesUnavailable(): Obstacle | undefined {
  if (process.platform !== 'linux') {
    return { reason: `the rig needs Linux, this is ${process.platform}`, remedy: 'run on Linux' };
  }
  if (process.geteuid?.() !== 0) {
    return { reason: 'the rig needs root', remedy: 'run as root, for instance with sudo' };
  }
  for (const [capability, bit] of Object.entries(CAPABILITIES)) {
    if (!hasCapability(bit)) {
      return {
        reason: `the rig needs ${capability}, which this root lacks`,
        remedy: 'run outside the container, or in a privileged one',
      };
    }
  }
  if (os.cpus().length < 2) {
    return {
      reason: 'the rig needs two CPUs, one for each end',
      remedy: 'give the machine another CPU',
    };
  }
  if (!existsSync('/proc/net/if_inet6')) {
    return { reason: 'the rig needs IPv6', remedy: 'boot without ipv6.disable=1' };
  }
  const missing = PROGRAMS.find(({ probe }) => !canStart(probe));
  if (missing === undefined) return undefined;
  return { reason: `the rig needs the program '${missing.name}'`, remedy: missing.remedy };
}

function hasCapability(bit: number): boolean {
  const status = readFileSync('/proc/self/status', 'utf8');
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0';
  return ((BigInt(`0x${effective}`) >> BigInt(bit)) & 1n) === 1n;
}
