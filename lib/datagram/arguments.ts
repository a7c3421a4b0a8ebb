// Checks and groups the messages that the send methods of every datagram socket take.
import { isUint8Array } from 'node:util/types';
import { rejectDetached } from '../memory/detached.js';
import { invalidType } from '../errors.js';

/** A datagram of more buffers is joined first. One below UIO_MAXIOV (1,024), to leave room for a virtio header. */
const MOST_PIECES = 1023;

/** An item of sendMany(): bytes, or bytes with their own options. */
export type DatagramItem<Options> =
  Uint8Array | (Options & { data: Uint8Array | readonly Uint8Array[] });

/** Datagrams with the same metadata, one for each payload. */
export interface Run {
  readonly payloads: Uint8Array[];
  bytes: number;
  readonly lengths: number[];
}

/**
 * Groups datagrams: consecutive plain buffers become one run; an item with its own options stands alone.
 * @param runFor the run that a plain buffer belongs to: `run`, if it may continue, or a new one
 * @param alone the group of an item with options
 */
export function groupItems<Options, Group>(
  items: readonly DatagramItem<Options>[],
  runFor: (item: Uint8Array, run: (Group & Run) | undefined) => Group & Run,
  alone: (item: Exclude<DatagramItem<Options>, Uint8Array>) => Group,
): Group[] {
  const groups: Group[] = [];
  let run: (Group & Run) | undefined;
  for (const item of items) {
    if (!isUint8Array(item)) {
      run = undefined;
      groups.push(alone(item as Exclude<DatagramItem<Options>, Uint8Array>));
      continue;
    }
    const next = runFor(item, run);
    if (next !== run) groups.push(next);
    run = next;
    run.payloads.push(item);
    run.bytes += item.length;
    run.lengths.push(item.length);
  }
  return groups;
}

export function bytesOf(payloads: readonly Uint8Array[]): number {
  let bytes = 0;
  for (const payload of payloads) bytes += payload.length;
  return bytes;
}

/** The buffers of one datagram, joined where they are more than the kernel takes. */
export function joinExcess(payloads: readonly Uint8Array[]): readonly Uint8Array[] {
  return payloads.length > MOST_PIECES ? [Buffer.concat(payloads)] : payloads;
}

/**
 * Checks one message. Throws: ERR_INVALID_ARG_TYPE, ERR_ZC_BUFFER_DETACHED.
 * @returns its buffers in an array of their own: the caller's array is not handed over
 */
export function messagePayloads(message: unknown): readonly Uint8Array[] {
  const list = (Array.isArray(message) ? [...message] : [message]) as unknown[];
  for (const item of list) {
    if (!isUint8Array(item)) {
      throw invalidType('message', 'a Buffer, a Uint8Array or an array of them', item);
    }
    if (item.length === 0) rejectDetached(item);
  }
  return joinExcess(list as Uint8Array[]);
}

/** Throws: ERR_INVALID_ARG_TYPE, ERR_ZC_BUFFER_DETACHED. */
export function checkItems<Options>(value: unknown): readonly DatagramItem<Options>[] {
  if (!Array.isArray(value)) throw invalidType('datagrams', 'an array', value);
  for (const item of value as unknown[]) {
    if (isUint8Array(item)) {
      if (item.length === 0) rejectDetached(item);
    } else if (typeof item !== 'object' || item === null || !('data' in item)) {
      const name = `datagrams[${value.indexOf(item)}]`;
      throw invalidType(name, 'a Uint8Array or an object with a `data` property', item);
    }
  }
  return value as DatagramItem<Options>[];
}
