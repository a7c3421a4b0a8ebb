// Arguments of UDP sockets: node:dgram's signatures of send(), and this package's options.
import { BlockList, isIP } from 'node:net';
import { isUint8Array } from 'node:util/types';
import { joinExcess } from '../datagram/arguments.js';
import type { SendCallback } from '../datagram/job.js';
import { DATAGRAM_NAMES, socketOptionsOf } from '../datagram/options.js';
import { namesOf, optionsOf } from '../observe/options-object.js';
import { checkText, flag, integer } from '../send/arguments.js';
import { rejectDetached } from '../memory/detached.js';
import { invalidType, invalidValue, nodeError, outOfRange } from '../errors.js';
import { checkIpOptions, type CheckedIpOptions } from '../datagram/metadata.js';
import type { UdpSendOptions, UdpSocketOptions } from './types.js';

/** The largest payload of a UDP datagram over IPv4. */
const MOST_PAYLOAD_BYTES = 65_507;
/** UDP_MAX_SEGMENTS, include/linux/udp.h; 64 before Linux 6.6: there the kernel refuses more,
 * and this package cuts the message. */
const MOST_SEGMENTS = 128;

const BUFFER_TYPES = 'of type string or an instance of Buffer, TypedArray, or DataView';

export interface SendArguments {
  readonly payloads: readonly Uint8Array[];
  readonly port: number;
  readonly address: string | undefined;
  readonly callback: SendCallback | undefined;
}

// `reuseAddr`, `ipv6Only` and `lookup` are node:dgram's.
const NAMES = namesOf<UdpSocketOptions>({
  ...DATAGRAM_NAMES,
  type: true,
  reuseAddr: true,
  ipv6Only: true,
  lookup: true,
  reusePort: true,
  receiveBlockList: true,
  sendBlockList: true,
  packetInfo: true,
  receiveTos: true,
  gro: true,
});

const SEND_NAMES = namesOf<UdpSendOptions>({
  port: true,
  address: true,
  segmentSize: true,
  tos: true,
  source: true,
  interface: true,
  signal: true,
});

/** Checks what node:dgram does not know. Warns of options that do not exist. Throws: ERR_INVALID_ARG_TYPE. */
export function checkOwnOptions(options: UdpSocketOptions): void {
  socketOptionsOf(options, NAMES);
  flag('options.packetInfo', options.packetInfo);
  flag('options.receiveTos', options.receiveTos);
  checkGro(options.gro);
}

function checkGro(value: unknown): void {
  if (value === undefined || value === 'whole' || typeof value === 'boolean') return;
  throw invalidType('options.gro', "a boolean or 'whole'", value);
}

export function isPort(value: unknown, least: 0 | 1): boolean {
  return (
    (typeof value === 'number' || (typeof value === 'string' && value.trim().length > 0)) &&
    Number(value) === Number(value) >>> 0 &&
    Number(value) <= 0xffff &&
    Number(value) >= least
  );
}

/** Throws: ERR_SOCKET_BAD_PORT. @returns the port as a number */
export function checkPort(value: unknown, least: 0 | 1, name = 'Port'): number {
  if (typeof value === 'number' && value >= least && value <= 0xffff && value === value >>> 0)
    return value;
  if (isPort(value, least)) return Number(value);
  const sign = least === 0 ? '>=' : '>';
  const what = typeof value === 'string' ? `type string ('${value}')` : describePort(value);
  throw Object.assign(
    new RangeError(`${name} should be ${sign} 0 and < 65536. Received ${what}.`),
    {
      code: 'ERR_SOCKET_BAD_PORT',
    },
  );
}

function describePort(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (typeof value === 'function') return `function ${value.name}`;
  if (typeof value === 'object') return `an instance of ${value.constructor?.name ?? 'Object'}`;
  return `type ${typeof value} (${String(value)})`;
}

/** @param method whose argument it is. Throws: ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE. */
export function checkNumericAddress(name: string, value: unknown, method: string): string {
  if (typeof value !== 'string') throw invalidType(name, 'of type string', value);
  if (isIP(value) !== 0) return value;
  const reason = `must be a numeric IP address; ${method} does not perform DNS resolution`;
  throw invalidValue(name, reason, value);
}

function view(value: unknown): Uint8Array | undefined {
  if (typeof value === 'string') return Buffer.from(value);
  if (isUint8Array(value)) return value;
  if (!ArrayBuffer.isView(value)) return undefined;
  rejectDetached(value);
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
}

/** Throws: ERR_INVALID_ARG_TYPE, ERR_ZC_BUFFER_DETACHED. */
export function payloadsOf(message: unknown): readonly Uint8Array[] {
  if (isUint8Array(message) && message.length > 0) return [message];
  if (!Array.isArray(message)) {
    const single = view(message);
    if (single === undefined) throw invalidType('buffer', BUFFER_TYPES, message);
    if (single.length === 0) rejectDetached(message);
    return [single];
  }
  const payloads = message.map((item) => {
    const bytes = view(item);
    if (bytes === undefined) throw invalidType('buffer list arguments', BUFFER_TYPES, message);
    if (bytes.length === 0) rejectDetached(item);
    return bytes;
  });
  return payloads.length === 0 ? [Buffer.alloc(0)] : joinExcess(payloads);
}

function slice(buffer: unknown, offset: unknown, length: unknown): Uint8Array {
  const bytes = view(buffer);
  if (bytes === undefined) throw invalidType('buffer', BUFFER_TYPES, buffer);
  const from = Number(offset) >>> 0;
  const count = Number(length) >>> 0;
  if (from > bytes.byteLength) throw outOfBounds('offset');
  if (from + count > bytes.byteLength) throw outOfBounds('length');
  return Buffer.from(bytes.buffer, bytes.byteOffset + from, count);
}

/** The error that Node throws for a range outside of the buffer. */
function outOfBounds(name: string): Error {
  return Object.assign(new RangeError(`"${name}" is outside of buffer bounds`), {
    code: 'ERR_BUFFER_OUT_OF_BOUNDS',
  });
}

/** The error for the options of a send behind the port and address of node:dgram's, who take none. */
function misplacedOptions(given: object): Error {
  const expected =
    'a port. Options come second, with the destination in them: send(message, { port, address, … })';
  return invalidType('port', expected, given);
}

/** Reads node:dgram's signatures. Throws: as node:dgram does. */
export function sendArguments(connected: boolean, args: readonly unknown[]): SendArguments {
  const [buffer, offset, length] = args;
  let [, , , port, address, callback] = args;
  let message: unknown = buffer;
  if (!connected) {
    if (typeof port === 'object' && port !== null) throw misplacedOptions(port);
    if (address || (port && typeof port !== 'function')) {
      message = slice(buffer, offset, length);
    } else {
      [callback, port, address] = [port, offset, length];
    }
  } else {
    if (typeof length === 'number') {
      message = slice(buffer, offset, length);
      if (typeof port === 'function') [callback, port] = [port, null];
    } else {
      callback = offset;
    }
    if (port || address) throw nodeError('ERR_SOCKET_DGRAM_IS_CONNECTED', 'Already connected');
  }
  const payloads = payloadsOf(message);
  const checkedPort = connected ? 0 : checkPort(port, 1);
  if (typeof callback !== 'function') callback = undefined;
  if (typeof address === 'function') [callback, address] = [address, undefined];
  else if (address !== undefined && address !== null && typeof address !== 'string') {
    throw invalidType('address', 'of type string', address);
  }
  return {
    payloads,
    port: checkedPort,
    address: (address as string | null | undefined) ?? undefined,
    callback: callback as SendCallback | undefined,
  };
}

/** Options of one send, checked. */
export interface CheckedSendOptions extends CheckedIpOptions {
  readonly port: number | undefined;
  readonly address: string | undefined;
  readonly segmentSize: number;
}

/**
 * Checks the options of send() and sendMany(), except a destination that another option gives. Throws:
 * ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE, ERR_SOCKET_BAD_PORT, ERR_SOCKET_DGRAM_IS_CONNECTED.
 */
export function checkSendOptions(
  given: unknown,
  version: 4 | 6,
  connected: boolean,
): CheckedSendOptions {
  const options = optionsOf(given, SEND_NAMES) as UdpSendOptions;
  const { port, segmentSize } = options;
  if (connected && (port !== undefined || options.address !== undefined)) {
    throw nodeError('ERR_SOCKET_DGRAM_IS_CONNECTED', 'Already connected');
  }
  const { tos, source, interface: through, signal } = checkIpOptions(options, version);
  // Written out: V8 makes a new hidden class for every spread object.
  return {
    port: port === undefined ? undefined : checkPort(port, 1),
    address: checkText('options.address', options.address),
    segmentSize:
      segmentSize === undefined
        ? 0
        : integer('options.segmentSize', segmentSize, 1, MOST_PAYLOAD_BYTES),
    tos,
    source,
    interface: through,
    signal,
  };
}

/** Throws: ERR_OUT_OF_RANGE when `bytes` cannot be sent as segments of this size at once. */
export function checkSegments(bytes: number, segmentSize: number): void {
  if (segmentSize === 0) return;
  if (bytes > MOST_PAYLOAD_BYTES) {
    throw outOfRange('message.length', `<= ${MOST_PAYLOAD_BYTES} with segmentSize`, bytes);
  }
  const segments = Math.ceil(bytes / segmentSize);
  if (segments > MOST_SEGMENTS) {
    throw outOfRange(
      'options.segmentSize',
      `such that there are at most ${MOST_SEGMENTS} segments (there would be ${segments})`,
      segmentSize,
    );
  }
}

/** The datagrams of a message, if the kernel does not cut it. */
export function segmentsOf(message: {
  readonly payloads: readonly Uint8Array[];
  readonly bytes: number;
  readonly segmentSize: number;
}): readonly (readonly Uint8Array[])[] {
  const { payloads, bytes, segmentSize } = message;
  if (segmentSize === 0 || bytes <= segmentSize) return [payloads];
  const whole = Buffer.concat(payloads);
  return Array.from({ length: Math.ceil(bytes / segmentSize) }, (_, index) => [
    whole.subarray(index * segmentSize, (index + 1) * segmentSize),
  ]);
}

/** Throws: ERR_INVALID_ARG_TYPE. */
export function checkBlockList(name: string, value: unknown): void {
  if (value === undefined || value instanceof BlockList) return;
  throw invalidType(name, 'an instance of net.BlockList', value);
}
