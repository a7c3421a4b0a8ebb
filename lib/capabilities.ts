// What this machine and this process can do, found out by trying, not cached.
import { loadNative } from './binding.js';
import { errnoName } from './errors.js';

export type Support = 'yes' | 'no' | 'unknown';

export interface Capability {
  readonly support: Support;
  /** Why not, or why nobody can tell. */
  readonly reason?: string;
}

export interface Capabilities {
  readonly platform: string;
  /** Release of the running kernel, as uname(2) says; undefined without the addon. */
  readonly kernel?: string;
  /** Whether the native part loaded. */
  readonly addon: Capability;
  readonly tcp: {
    /** SO_ZEROCOPY on a TCP socket. Linux 4.14. */
    readonly msg_zerocopy: { readonly ipv4: Capability; readonly ipv6: Capability };
    /** Node's own copying write. */
    readonly copy: Capability;
  };
}

const YES: Capability = Object.freeze({ support: 'yes' });

/**
 * Tries what the kernel lets this process do, on throwaway sockets. Never cached: privileges and
 * sandboxes change. Takes some ten microseconds.
 */
export function capabilities(): Capabilities {
  const loaded = loadNative();
  if (loaded.native === undefined) {
    const missing: Capability = { support: 'no', reason: `addon-unavailable: ${loaded.why}` };
    return {
      platform: process.platform,
      addon: missing,
      tcp: { msg_zerocopy: { ipv4: missing, ipv6: missing }, copy: YES },
    };
  }
  const { native } = loaded;
  const probe = (family: 4 | 6): Capability => {
    const { AF_INET, AF_INET6, SOCK_STREAM, IPPROTO_TCP, SOL_SOCKET, SO_ZEROCOPY } = native.kernel;
    const domain = family === 4 ? AF_INET : AF_INET6;
    const { support, errno } = native.probeOption(
      domain,
      SOCK_STREAM,
      IPPROTO_TCP,
      SOL_SOCKET,
      SO_ZEROCOPY,
    );
    if (support === 1) return YES;
    const why = `kernel-unsupported: SO_ZEROCOPY failed with ${errnoName(-errno)}`;
    return { support: support === 0 ? 'no' : 'unknown', reason: why };
  };
  return {
    platform: process.platform,
    kernel: native.describe().kernelRelease,
    addon: YES,
    tcp: { msg_zerocopy: { ipv4: probe(4), ipv6: probe(6) }, copy: YES },
  };
}
