// Parses a target as users write it, a name or an address with or without a port, and finds the path to it.
import dns from 'node:dns/promises';
import net from 'node:net';
import { invalidType, nodeError, outOfRange, errnoName } from '../errors.js';
import { constants } from 'node:os';
import type { Native, NativeDevice, NativeFeatures } from '../native/binding.js';
import { readText } from '../node/proc.js';
import { addressBytes, formatAddress, scopeOf } from '../native/sockaddr.js';

export interface Target {
  readonly host: string;
  readonly port?: number;
}

export interface ResolvedTarget extends Target {
  /** An IP address, with its zone if it has one. */
  readonly address: string;
  readonly family: 4 | 6;
}

const EXPECTED =
  "a host name or an address, with or without a port, such as 'host', 'host:80', '192.0.2.1' or '[::1]:80'";
const MOST_PORT = 65_535;

/** Throws: ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE. */
export function parseTarget(target: unknown): Target {
  if (typeof target !== 'string') throw invalidType('target', EXPECTED, target);
  const wrong = (): Error => outOfRange('target', EXPECTED, target);
  if (net.isIP(target) !== 0) return { host: target };
  const parts = /^(?:\[(?<ip>[^[\]]+)\]|(?<name>[^:[\]\s/]+))(?::(?<port>\d+))?$/.exec(target);
  const { ip, name, port } = parts?.groups ?? {};
  if (ip !== undefined && net.isIPv6(ip) === false) throw wrong();
  const host = ip ?? name;
  if (host === undefined) throw wrong();
  if (port === undefined) return { host };
  const number = Number(port);
  if (number < 1 || number > MOST_PORT) throw wrong();
  return { host, port: number };
}

/** The first address that a connection to it would use. Throws: the error of getaddrinfo(3). */
export async function resolveTarget(target: Target): Promise<ResolvedTarget> {
  const version = net.isIP(target.host);
  if (version !== 0) return { ...target, address: target.host, family: version === 4 ? 4 : 6 };
  try {
    const { address, family } = await dns.lookup(target.host);
    return { ...target, address, family: family === 6 ? 6 : 4 };
  } catch (error) {
    const { code = 'ENOTFOUND' } = error as NodeJS.ErrnoException;
    const message =
      `The host '${target.host}' cannot be resolved: getaddrinfo ${code}. Give an address, or a name ` +
      'that this machine knows (getent hosts NAME)';
    throw Object.assign(nodeError(code, message), {
      syscall: 'getaddrinfo',
      hostname: target.host,
    });
  }
}

// The path to a target: its route, the device that packets leave through, and whether that device sends
// from scattered memory.

const { EHOSTUNREACH, ENETUNREACH } = constants.errno;

/** A device: what decides about copies. */
export interface PathDevice extends Pick<
  NativeDevice,
  'index' | 'name' | 'kind' | 'driver' | 'mtu'
> {
  readonly isLoopback: boolean;
  /** It frees a packet with its next transmission, not when it was sent. */
  readonly freesLate: boolean;
}

export interface Path {
  readonly address: string;
  readonly family: 4 | 6;
  /** The target is this machine (or this network namespace). */
  readonly isLocal: boolean;
  /** The target is an address of many machines. */
  readonly cast?: 'broadcast' | 'multicast';
  readonly source?: string;
  readonly gateway?: string;
  /** The device that packets leave through, and those it is built on. */
  readonly devices: readonly [PathDevice, ...PathDevice[]];
  /** Of the first device; undefined if it does not report them. */
  readonly features?: NativeFeatures;
}

/** There is no route, or the kernel does not say which. */
export interface NoPath {
  readonly address: string;
  readonly error: string;
  /** Whether the kernel reported this for the route; otherwise it could not be asked. */
  readonly unreachable: boolean;
}

/** ::ffff:0:0/96 */
const MAPPED_PREFIX = Buffer.from('00000000000000000000ffff', 'hex');

export const VIRTIO = 'virtio_net';
const VIRTIO_NAPI = '/sys/module/virtio_net/parameters/napi_tx';

/** Devices are stacked a few deep, such as a vlan on a bond on hardware. */
const DEEPEST = 8;

/** Asks the kernel. @param address an IP address, with a zone if it is link-local */
export function findPath(native: Native, address: string): Path | NoPath {
  const whole = addressBytes(address);
  if (whole === undefined) throw new Error(`not an IP address: ${address}`);
  // An IPv4-mapped address is sent to by IPv4, also from an IPv6 socket.
  const isMapped = whole.length === 16 && whole.subarray(0, 12).equals(MAPPED_PREFIX);
  const bytes = isMapped ? whole.subarray(12) : whole;
  const zone = scopeOf(address, {
    index: (name) => {
      const found = native.findInterface(name);
      return typeof found === 'number' ? 0 : found.index;
    },
    name: () => undefined,
  });
  const route = native.findRoute(bytes, zone, undefined);
  if (typeof route === 'number') {
    // The errors of routes of type unreachable, prohibit, blackhole and throw, and of none at all.
    const name = errnoName(route);
    const unreachable =
      [-ENETUNREACH, -EHOSTUNREACH].includes(route) || ['EACCES', 'EINVAL'].includes(name);
    return { address, error: name, unreachable };
  }
  const device = native.describeDevice(route.device);
  if (typeof device === 'number') {
    return { address, error: errnoName(device), unreachable: false };
  }
  const features = native.deviceFeatures(device.name);
  const { RTN_LOCAL, RTN_BROADCAST, RTN_MULTICAST } = native.kernel;
  return {
    address,
    family: bytes.length === 4 ? 4 : 6,
    isLocal: route.type === RTN_LOCAL,
    ...(route.type === RTN_BROADCAST ? { cast: 'broadcast' } : {}),
    ...(route.type === RTN_MULTICAST ? { cast: 'multicast' } : {}),
    ...(route.source === undefined ? {} : { source: formatAddress(route.source) }),
    ...(route.gateway === undefined ? {} : { gateway: formatAddress(route.gateway) }),
    devices: [wayDevice(native, device), ...below(native, device)],
    ...(typeof features === 'number' ? {} : { features }),
  };
}

function wayDevice(native: Native, device: NativeDevice): PathDevice {
  const { index, name, kind, driver, mtu, type } = device;
  const isLoopback = type === native.kernel.ARPHRD_LOOPBACK;
  const freesLate = driver === VIRTIO && readText(VIRTIO_NAPI)?.trim() === 'N';
  return { index, name, kind, driver, mtu, isLoopback, freesLate };
}

function below(native: Native, top: NativeDevice): PathDevice[] {
  const found: PathDevice[] = [];
  for (let { lower } = top; lower !== 0 && found.length < DEEPEST;) {
    const device = native.describeDevice(lower);
    if (typeof device === 'number') break;
    found.push(wayDevice(native, device));
    lower = device.lower;
  }
  return found;
}
