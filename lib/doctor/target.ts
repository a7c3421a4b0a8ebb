// A target as a user writes it: a name or an address, with or without a port.
import dns from 'node:dns/promises';
import net from 'node:net';
import { invalidType, nodeError, outOfRange } from '../errors.js';

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
  const wrong = (): Error => outOfRange('target', EXPECTED, `'${target}'`);
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

/** The address that a connection to it would take first. Throws: the error of getaddrinfo(3). */
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
