// Options of packet sockets, checked before a descriptor is opened.
import { DATAGRAM_NAMES, socketOptionsOf } from '../datagram/options.js';
import { namesOf, optionsOf } from '../observe/options-object.js';
import { flag, integer, oneOf } from '../send/arguments.js';
import { invalidType, outOfRange } from '../errors.js';
import type { PacketSendOptions, PacketSocketOptions } from './types.js';
import { type PacketRingOptions, ringOptions } from '../datagram/ring.js';
import { encodeProgram } from '../datagram/socket-filter.js';

/** ETH_P_ALL, include/uapi/linux/if_ether.h. */
const ALL_PROTOCOLS = 3;

const NAMES = namesOf<PacketSocketOptions>({
  ...DATAGRAM_NAMES,
  interface: true,
  type: true,
  protocol: true,
  ring: true,
  virtioHeader: true,
  qdiscBypass: true,
  ignoreOutgoing: true,
  promiscuous: true,
  filter: true,
});

/** The names of `PacketSendOptions`. */
export const SEND_NAMES = namesOf<PacketSendOptions>({
  address: true,
  protocol: true,
  offload: true,
  signal: true,
});

export interface CheckedPacketOptions {
  readonly interface: string | number;
  readonly type: 'raw' | 'dgram';
  readonly protocol: number;
  readonly ring: PacketRingOptions | undefined;
  readonly virtioHeader: boolean;
  readonly qdiscBypass: boolean;
  readonly ignoreOutgoing: boolean;
  readonly promiscuous: boolean;
  readonly program: Buffer | undefined;
}

/** Warns of options that do not exist. Throws: ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE. */
export function checkPacketOptions(given: unknown): CheckedPacketOptions {
  const options = socketOptionsOf(given, NAMES) as PacketSocketOptions;
  const { type = 'raw', protocol = 0, filter } = options;
  const name: unknown = options.interface;
  if (typeof name !== 'string' && typeof name !== 'number') {
    throw invalidType('options.interface', 'the name or index of an interface', name);
  }
  oneOf('options.type', type, ['raw', 'dgram']);
  const virtioHeader = flag('options.virtioHeader', options.virtioHeader);
  if (virtioHeader && type !== 'raw') {
    throw outOfRange('options.virtioHeader', "false with type 'dgram'", true);
  }
  if (filter !== undefined) optionsOf(filter, ['program'], 'options.filter');
  return {
    interface: name,
    type,
    protocol: protocol === 'all' ? ALL_PROTOCOLS : integer('options.protocol', protocol, 0, 0xffff),
    ring: ringOptions(options.ring),
    virtioHeader,
    qdiscBypass: flag('options.qdiscBypass', options.qdiscBypass),
    ignoreOutgoing: flag('options.ignoreOutgoing', options.ignoreOutgoing),
    promiscuous: flag('options.promiscuous', options.promiscuous),
    program: filter === undefined ? undefined : encodeProgram(filter.program),
  };
}
