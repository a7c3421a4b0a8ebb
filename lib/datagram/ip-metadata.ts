// Destinations of a UDP or raw socket as envelopes. Like destinations get the same envelope, so that it is
// encoded once and written to the shared words once.
import type { Native } from '../native/binding.js';
import { interfaceNames } from './core.js';
import { PLAIN, type Envelope } from './metadata.js';
import { outOfRange } from '../errors.js';
import {
  addressBytes,
  encodeAddress,
  isMapped,
  isMappedName,
  type InterfaceNames,
} from '../native/sockaddr.js';

/** Beyond this many destinations the cache starts anew. */
const MOST_CACHED = 1024;

/** What goes with a send beside its destination. */
export interface Extras {
  readonly segmentSize: number;
  readonly tos: number | undefined;
  readonly source: string | undefined;
  readonly interface: string | number | undefined;
}

export class IpEnvelopes {
  readonly #version: 4 | 6;
  readonly #native: Native;
  readonly #names: InterfaceNames;
  readonly #cache = new Map<string, Envelope>();
  #lastPort = -1;
  #lastIp = '';
  #lastHost: string | undefined;
  #last: Envelope | undefined;
  #connected: Envelope;
  #lastWith:
    | {
        readonly base: Envelope;
        readonly source: string | undefined;
        readonly through: string | number | undefined;
        readonly envelope: Envelope;
      }
    | undefined;

  constructor(version: 4 | 6, native: Native) {
    this.#version = version;
    this.#native = native;
    this.#names = interfaceNames(native);
    this.#connected = version === 4 ? PLAIN : PLAIN6;
  }

  /**
   * @param ip where to, resolved
   * @param host as the user wrote it, for errors
   * @returns undefined when `ip` is of another version than the socket
   */
  to(ip: string, host: string | undefined, port: number): Envelope | undefined {
    if (port === this.#lastPort && ip === this.#lastIp && host === this.#lastHost)
      return this.#last;
    const key = `${port} ${ip} ${host ?? ''}`;
    let envelope = this.#cache.get(key);
    if (envelope === undefined) {
      const name = encodeAddress(ip, port, this.#version, this.#native.kernel, this.#names);
      if (name === undefined) return undefined;
      const { tosVersion } = this.#plainTo(name);
      envelope = Object.freeze({ ...PLAIN, name, tosVersion, address: host, port });
      if (this.#cache.size >= MOST_CACHED) this.#cache.clear();
      this.#cache.set(key, envelope);
    }
    this.#lastPort = port;
    this.#lastIp = ip;
    this.#lastHost = host;
    this.#last = envelope;
    return envelope;
  }

  /** The socket was connected to the sockaddr `name`. */
  connectedTo(name: Uint8Array): void {
    this.#connected = this.#plainTo(name);
  }

  /** The destination of a connected socket. */
  connected(): Envelope {
    return this.#connected;
  }

  // To a mapped address an IPv6 socket sends by IPv4, which takes control messages of IPv4 only.
  #plainTo(name: Uint8Array): Envelope {
    return this.#version === 4 || isMappedName(name) ? PLAIN : PLAIN6;
  }

  /** `base` with what else a send asks for. Throws: ERR_OUT_OF_RANGE for an unknown interface. */
  with(base: Envelope, extras: Extras): Envelope {
    const { segmentSize, tos, source, interface: through } = extras;
    if (segmentSize === 0 && tos === undefined && source === undefined && through === undefined) {
      return base;
    }
    const last = this.#lastWith;
    if (
      last !== undefined &&
      last.base === base &&
      last.envelope.segmentSize === segmentSize &&
      last.envelope.tos === tos &&
      last.source === source &&
      last.through === through
    ) {
      return last.envelope;
    }
    const interfaceIndex = this.interfaceIndex(through);
    const byIPv4 = base.tosVersion === 4;
    const given = source === undefined ? undefined : addressBytes(source);
    const bytes = byIPv4 && given !== undefined && isMapped(given) ? given.subarray(12) : given;
    const any = interfaceIndex === 0 ? undefined : new Uint8Array(byIPv4 ? 4 : 16);
    const envelope: Envelope = Object.freeze({
      name: base.name,
      segmentSize,
      tos,
      tosVersion: base.tosVersion,
      source: bytes ?? any,
      interfaceIndex,
      address: base.address,
      port: base.port ?? 0,
    });
    this.#lastWith = { base, source, through, envelope };
    return envelope;
  }

  interfaceIndex(through: string | number | undefined): number {
    if (through === undefined) return 0;
    const found = this.#native.findInterface(through);
    if (typeof found !== 'number') return found.index;
    throw outOfRange('options.interface', 'an existing interface', through);
  }
}

const PLAIN6: Envelope = Object.freeze({ ...PLAIN, tosVersion: 6 });
