// What keeps sockets from being opened here, told apart from what fails.
import { type Obstacle, Unavailable } from '../rig/availability';

const PRIVILEGE =
  'run as root, or grant it: setcap cap_net_raw+ep "$(readlink -f "$(which node)")"';

/** The obstacle behind an error of opening or binding a socket, if it is one. */
export function obstacleBehind(error: unknown, family: 4 | 6): Obstacle | undefined {
  if (error instanceof Unavailable) return error;
  if (!(error instanceof Error)) return undefined;
  const { code, syscall } = error as NodeJS.ErrnoException;
  if (code === 'EPERM' && syscall === 'socket') {
    return { reason: 'raw and packet sockets need CAP_NET_RAW', remedy: PRIVILEGE };
  }
  if (code === 'ERR_ZC_UNAVAILABLE') {
    return { reason: error.message, remedy: 'npx msg-zerocopy build, on Linux' };
  }
  if (code === 'EAFNOSUPPORT' || (code === 'EADDRNOTAVAIL' && /::1\b/.test(error.message))) {
    const remedy =
      family === 6 ? 'switch IPv6 on (sysctl net.ipv6.conf.all.disable_ipv6=0)' : 'use 6';
    return { reason: `this machine has no IPv${family}`, remedy };
  }
  return undefined;
}
