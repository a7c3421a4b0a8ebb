// capabilities(): what this machine and this process can do, found by trying, not cached.
import { constants } from 'node:os';
import { loadNative, type Native } from '../native/binding.js';
import { errnoName } from '../errors.js';
import type { Missing } from '../native/loader.js';
import { describeRefusal, whyUntried } from '../native/submit-ring.js';

const { EPERM } = constants.errno;

/** Whether something works here. */
export type Support = 'yes' | 'no' | 'unknown';

/** Whether one thing works here, and why not. */
export interface Capability {
  readonly support: Support;
  /** Why not, or why it is unknown. */
  readonly reason?: string;
}

/** What this machine and this process can do. */
export interface Capabilities {
  /** As process.platform. */
  readonly platform: string;
  /** Release of the running kernel, as uname(2) says; undefined without the addon. */
  readonly kernel?: string;
  /** Whether the native addon loaded. */
  readonly addon: Capability;
  readonly tcp: {
    /** SO_ZEROCOPY on a TCP socket. Linux 4.14. */
    readonly msg_zerocopy: { readonly ipv4: Capability; readonly ipv6: Capability };
    /**
     * IORING_OP_SEND_ZC, by a ring made for the trial. Linux 6.1, where kernel.io_uring_disabled and the
     * sandbox allow it. Not tried where MSG_ZEROCOPY_ENGINE names another engine.
     */
    readonly io_uring: Capability;
    /** Node's own copying write. */
    readonly copy: Capability;
  };
  readonly udp: {
    /** SO_ZEROCOPY on a UDP socket. Linux 5.0. */
    readonly msg_zerocopy: { readonly ipv4: Capability; readonly ipv6: Capability };
    /** UDP_SEGMENT. Linux 4.18. Without it datagrams are cut here. */
    readonly gso: Capability;
    /** UDP_GRO. Linux 5.0. */
    readonly gro: Capability;
    readonly copy: Capability;
  };
  readonly raw: {
    /** Whether this process may open raw sockets: CAP_NET_RAW. */
    readonly open: Capability;
    /** The transmit ring of the option `ring`: a packet socket's, by which a raw socket's packets leave. */
    readonly tx_ring: Capability;
    /** SO_ZEROCOPY on a raw socket: on no mainline kernel. */
    readonly msg_zerocopy: Capability;
    readonly copy: Capability;
  };
  readonly packet: {
    /** Whether this process may open packet sockets: CAP_NET_RAW. */
    readonly open: Capability;
    /** PACKET_TX_RING with TPACKET_V2. Linux 2.6.31. */
    readonly tx_ring: Capability;
    /** SO_ZEROCOPY on a packet socket: on no mainline kernel. */
    readonly msg_zerocopy: Capability;
    readonly copy: Capability;
  };
}

const YES: Capability = Object.freeze({ support: 'yes' });

/**
 * Tries what the kernel lets this process do, on throwaway sockets. Never cached: privileges and
 * sandboxes change. Takes some hundred microseconds; under a seccomp filter, which may kill the
 * process for calls that Node itself does not make, child processes try them.
 */
export function capabilities(): Capabilities {
  const loaded = loadNative();
  if (loaded.native === undefined) return withoutAddon(loaded);
  return {
    platform: process.platform,
    kernel: loaded.native.describe().kernelRelease,
    addon: YES,
    ...ipCapabilities(loaded.native),
    ...privilegedCapabilities(loaded.native),
  };
}

function withoutAddon({ reason, why }: Missing): Capabilities {
  const no: Capability = { support: 'no', reason: `${reason}: ${why}` };
  const both = { ipv4: no, ipv6: no };
  return {
    platform: process.platform,
    addon: no,
    tcp: { msg_zerocopy: both, io_uring: no, copy: YES },
    udp: { msg_zerocopy: both, gso: no, gro: no, copy: YES },
    raw: { open: no, tx_ring: no, msg_zerocopy: no, copy: no },
    packet: { open: no, tx_ring: no, msg_zerocopy: no, copy: no },
  };
}

interface Trial {
  readonly domain: number;
  readonly type: number;
  readonly protocol: number;
  readonly level: number;
  readonly name: number;
  /** The option, for the reason. */
  readonly what: string;
}

function tryOption(native: Native, trial: Trial): Capability {
  const { domain, type, protocol, level, name, what } = trial;
  const { support, errno } = native.probeOption(domain, type, protocol, level, name);
  if (support === 1) return YES;
  if (support === 3) {
    const reason =
      'a seccomp filter kills processes that open the socket (tried in a child process)';
    return { support: 'no', reason };
  }
  // For a socket that anybody may open, EPERM has another cause, such as a sandbox.
  if (errno === EPERM && type === native.kernel.SOCK_RAW) {
    return { support: 'no', reason: 'EPERM: opening the socket needs CAP_NET_RAW' };
  }
  const why = `kernel-unsupported: ${what} failed with ${errnoName(-errno)}`;
  return { support: support === 0 ? 'no' : 'unknown', reason: why };
}

function ipCapabilities(native: Native): Pick<Capabilities, 'tcp' | 'udp'> {
  const { kernel } = native;
  const zeroCopy = (version: 4 | 6, type: number, protocol: number): Capability =>
    tryOption(native, {
      domain: version === 4 ? kernel.AF_INET : kernel.AF_INET6,
      type,
      protocol,
      level: kernel.SOL_SOCKET,
      name: kernel.SO_ZEROCOPY,
      what: 'SO_ZEROCOPY',
    });
  const udpOption = (name: number, what: string): Capability => {
    const { AF_INET: domain, SOCK_DGRAM: type, IPPROTO_UDP: protocol, SOL_UDP: level } = kernel;
    return tryOption(native, { domain, type, protocol, level, name, what });
  };
  // Before Linux 5.13 it can be set but not read back, which looks like a missing option.
  const gro = udpOption(kernel.UDP_GRO, 'UDP_GRO');
  const both = (type: number, protocol: number) => ({
    ipv4: zeroCopy(4, type, protocol),
    ipv6: zeroCopy(6, type, protocol),
  });
  return {
    tcp: {
      msg_zerocopy: both(kernel.SOCK_STREAM, kernel.IPPROTO_TCP),
      io_uring: ringCapability(native),
      copy: YES,
    },
    udp: {
      msg_zerocopy: both(kernel.SOCK_DGRAM, kernel.IPPROTO_UDP),
      gso: udpOption(kernel.UDP_SEGMENT, 'UDP_SEGMENT'),
      gro: gro.support === 'no' ? { ...gro, support: 'unknown' } : gro,
      copy: YES,
    },
  };
}

function ringCapability(native: Native): Capability {
  const untried = whyUntried();
  if (untried !== undefined) return { support: 'unknown', reason: untried };
  const { error, step } = native.tryIoUring();
  return error === 0 ? YES : { support: 'no', reason: describeRefusal(error, step) };
}

function privilegedCapabilities(native: Native): Pick<Capabilities, 'raw' | 'packet'> {
  const { kernel } = native;
  const raw = { domain: kernel.AF_INET, type: kernel.SOCK_RAW, protocol: kernel.IPPROTO_RAW };
  const packet = { domain: kernel.AF_PACKET, type: kernel.SOCK_RAW, protocol: 0 };
  const zeroCopy = {
    level: kernel.SOL_SOCKET,
    name: kernel.SO_ZEROCOPY,
    what: 'SO_ZEROCOPY',
  };
  // Every socket has this option, so this shows whether the socket can be opened.
  const open = { level: kernel.SOL_SOCKET, name: kernel.SO_REUSEADDR, what: 'socket' };
  const ring = { level: kernel.SOL_PACKET, name: kernel.PACKET_VERSION, what: 'TPACKET_V2' };
  const rawOpen = tryOption(native, { ...raw, ...open });
  const packetOpen = tryOption(native, { ...packet, ...open });
  const txRing = tryOption(native, { ...packet, ...ring });
  return {
    raw: {
      open: rawOpen,
      tx_ring: txRing,
      msg_zerocopy: tryOption(native, { ...raw, ...zeroCopy }),
      copy: rawOpen,
    },
    packet: {
      open: packetOpen,
      tx_ring: txRing,
      msg_zerocopy: tryOption(native, { ...packet, ...zeroCopy }),
      copy: packetOpen,
    },
  };
}
