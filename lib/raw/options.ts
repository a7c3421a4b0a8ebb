// Options of raw sockets, checked before a descriptor is opened.
import type { KernelConstants } from '../native/binding-constants.js';
import { type PacketRingOptions, ringOptions } from '../datagram/ring.js';
import { DATAGRAM_NAMES, socketOptionsOf } from '../datagram/options.js';
import { encodeProgram, icmpMask } from '../datagram/socket-filter.js';
import { invalidType, outOfRange } from '../errors.js';
import { namesOf, optionsOf } from '../observe/options-object.js';
import { checkText, flag, integer } from '../send/arguments.js';
import type { RawCommitOptions, RawSendOptions, RawSocketOptions } from './types.js';

const NAMES = namesOf<RawSocketOptions>({
  ...DATAGRAM_NAMES,
  family: true,
  protocol: true,
  headerIncluded: true,
  checksumOffset: true,
  filter: true,
  interface: true,
  ring: true,
  packetInfo: true,
  receiveTos: true,
});

/** The names of `RawSendOptions`, and of `RawCommitOptions`. */
export const SEND_NAMES = namesOf<RawSendOptions>({
  address: true,
  tos: true,
  source: true,
  interface: true,
  signal: true,
});
export const COMMIT_NAMES: readonly (keyof RawCommitOptions)[] = ['address'];

/** Options, checked before a descriptor is opened. */
export interface CheckedRawOptions {
  readonly version: 4 | 6;
  readonly protocol: number;
  readonly headerIncluded: boolean;
  readonly checksumOffset: number | undefined;
  readonly program: Buffer | undefined;
  readonly icmp: Buffer | undefined;
  readonly ring: PacketRingOptions | undefined;
}

function protocolNumber(value: unknown, kernel: KernelConstants): number {
  const named: Record<string, number> = {
    icmp: kernel.IPPROTO_ICMP,
    icmpv6: kernel.IPPROTO_ICMPV6,
    tcp: kernel.IPPROTO_TCP,
    udp: kernel.IPPROTO_UDP,
    raw: kernel.IPPROTO_RAW,
  };
  if (typeof value !== 'string') return integer('options.protocol', value, 0, 255);
  const number = named[value];
  if (number !== undefined) return number;
  const names = Object.keys(named).join(', ');
  throw outOfRange('options.protocol', `a number or one of ${names}`, value);
}

/** Warns of options that do not exist. Throws: ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE. */
export function checkRawOptions(given: unknown, kernel: KernelConstants): CheckedRawOptions {
  const options = socketOptionsOf(given, NAMES) as RawSocketOptions;
  const { family, checksumOffset, filter } = options;
  if (typeof family !== 'number') throw invalidType('options.family', '4 or 6', family);
  if (family !== 4 && family !== 6) throw outOfRange('options.family', '4 or 6', family);
  const headerIncluded = flag('options.headerIncluded', options.headerIncluded);
  if (checksumOffset !== undefined) {
    integer('options.checksumOffset', checksumOffset, 0, 65_534);
    if (family !== 6 || headerIncluded || checksumOffset % 2 !== 0) {
      const valid = 'even, and absent unless family is 6 and headerIncluded is false';
      throw outOfRange('options.checksumOffset', valid, checksumOffset);
    }
  }
  const ring = ringOptions(options.ring);
  if (ring !== undefined && !headerIncluded) {
    throw outOfRange('options.ring', 'absent unless headerIncluded is true', options.ring);
  }
  if (filter !== undefined) optionsOf(filter, ['icmpTypes', 'program'], 'options.filter');
  checkText('options.interface', options.interface);
  flag('options.packetInfo', options.packetInfo);
  flag('options.receiveTos', options.receiveTos);
  return {
    version: family,
    protocol: protocolNumber(options.protocol, kernel),
    headerIncluded,
    checksumOffset,
    program: filter?.program === undefined ? undefined : encodeProgram(filter.program),
    icmp: filter?.icmpTypes === undefined ? undefined : icmpMask(filter.icmpTypes, family),
    ring,
  };
}
