// Every way to send datagrams, each as a function that does it once with random sizes.
import type { SendReport, UdpDatagram, UdpSendOptions, ZeroCopyUdpSocket } from '../../lib/index';
import { between } from '../../scripts/random';
import { HEADER_BYTES } from './udp-datagrams';
import type { Parcel, UdpOutgoing } from './udp-outgoing';
import type { Target } from './udp-receiver';

export interface Trip {
  readonly socket: ZeroCopyUdpSocket;
  readonly out: UdpOutgoing;
  /** Where datagrams go; with a connected socket there is one. */
  readonly targets: readonly Target[];
  readonly connected: 'yes' | 'no';
  readonly random: () => number;
}

const MOST_BYTES = 65_507;
const SEGMENT_BYTES = 1400;
const MOST_MANY = 24;
const MOST_PIECES = 17;

function pick<T>(random: () => number, list: readonly T[]): T {
  return list[between(random, 0, list.length - 1)] as T;
}

/** Sizes around every limit, most of them small: the larger ones are cut up by IP on a real MTU. */
export function datagramSize(random: () => number): number {
  const draw = random();
  if (draw < 0.05) return 0;
  if (draw < 0.15) return between(random, 1, HEADER_BYTES);
  if (draw < 0.7) return between(random, HEADER_BYTES, SEGMENT_BYTES);
  if (draw < 0.85) return between(random, 1440, 1500);
  if (draw < 0.97) return between(random, 1501, 9000);
  return pick(random, [32_768, 65_000, MOST_BYTES]);
}

function single(trip: Trip): Parcel {
  return trip.out.take(pick(trip.random, trip.targets), datagramSize(trip.random));
}

// A super-packet of 2 to 44 datagrams.
function row(trip: Trip): { parcel: Parcel; segmentSize: number } {
  const segmentSize = between(trip.random, 200, SEGMENT_BYTES);
  const most = Math.min(MOST_BYTES, segmentSize * 44);
  const bytes = between(trip.random, segmentSize + 1, most);
  const target = pick(trip.random, trip.targets);
  return { parcel: trip.out.takeSegments(target, segmentSize, bytes), segmentSize };
}

/** Where the parcel goes, as options. */
export function whereTo(trip: Trip, { target }: Parcel): UdpSendOptions {
  return trip.connected === 'yes' ? {} : { port: target.port, address: target.address };
}

/** Cuts memory in `count` pieces of random lengths, some of them empty. */
export function cut(random: () => number, data: Buffer, count: number): Buffer[] {
  const cuts = Array.from({ length: count - 1 }, () => between(random, 0, data.length));
  const at = [0, ...cuts.sort((a, b) => a - b), data.length];
  return at.slice(1).map((end, index) => data.subarray(at[index], end));
}

function sendWithCallback(trip: Trip, parcel: Parcel, data: Buffer | readonly Buffer[]): void {
  const { socket, out } = trip;
  const { port, address } = parcel.target;
  const message = data as Buffer | Buffer[];
  if (trip.connected === 'yes') socket.send(message, out.releaseCallback(parcel));
  else socket.send(message, port, address, out.releaseCallback(parcel));
}

function callback(trip: Trip): void {
  const parcel = single(trip);
  sendWithCallback(trip, parcel, parcel.data);
}

// A part of a larger buffer: what is around it must stay where it is.
function slice(trip: Trip): void {
  const parcel = single(trip);
  const { data, target } = parcel;
  const around = Buffer.concat([Buffer.alloc(7, 0xaa), data, Buffer.alloc(9, 0xbb)]);
  const done = trip.out.releaseCallback(parcel);
  const settle: typeof done = (error, bytes) => {
    around.fill(0xee);
    done(error, bytes);
  };
  const { socket } = trip;
  if (trip.connected === 'yes') socket.send(around, 7, data.length, settle);
  else socket.send(around, 7, data.length, target.port, target.address, settle);
}

function promise(trip: Trip): Promise<SendReport | undefined> {
  const parcel = single(trip);
  return trip.out.promised(parcel, trip.socket.send(parcel.data, whereTo(trip, parcel)));
}

function pieces(trip: Trip): void {
  const parcel = single(trip);
  const list = cut(trip.random, parcel.data, between(trip.random, 1, MOST_PIECES));
  sendWithCallback(trip, parcel, list);
}

// Its bytes are copied before it returns: the memory is ours at once.
function silent(trip: Trip): void {
  const parcel = single(trip);
  const { port, address } = parcel.target;
  if (trip.connected === 'yes') trip.socket.send(parcel.data);
  else trip.socket.send(parcel.data, port, address);
  trip.out.settle(parcel);
}

function many(trip: Trip): Promise<SendReport | undefined> {
  const count = between(trip.random, 1, MOST_MANY);
  const parcels = Array.from({ length: count }, () => single(trip));
  const datagrams = parcels.map((parcel): UdpDatagram => {
    const inPieces = trip.random() < 0.2;
    const data = inPieces ? cut(trip.random, parcel.data, 3) : parcel.data;
    return { data, ...whereTo(trip, parcel) };
  });
  return trip.out.many(parcels, trip.socket.sendMany(datagrams));
}

// Bare buffers, which go where the options say.
function manyBare(trip: Trip): Promise<SendReport | undefined> {
  const target = pick(trip.random, trip.targets);
  const count = between(trip.random, 1, MOST_MANY);
  const parcels = Array.from({ length: count }, () =>
    trip.out.take(target, datagramSize(trip.random)),
  );
  const first = parcels[0] as Parcel;
  const data = parcels.map((parcel) => parcel.data);
  return trip.out.many(parcels, trip.socket.sendMany(data, whereTo(trip, first)));
}

function segments(trip: Trip): Promise<SendReport | undefined> {
  const { parcel, segmentSize } = row(trip);
  const options = { ...whereTo(trip, parcel), segmentSize };
  const inPieces = trip.random() < 0.3;
  const data = inPieces ? cut(trip.random, parcel.data, between(trip.random, 2, 9)) : parcel.data;
  return trip.out.promised(parcel, trip.socket.send(data, options));
}

function manySegments(trip: Trip): Promise<SendReport | undefined> {
  const rows = Array.from({ length: between(trip.random, 1, 6) }, () => row(trip));
  const datagrams = rows.map(({ parcel, segmentSize }): UdpDatagram => {
    return { data: parcel.data, segmentSize, ...whereTo(trip, parcel) };
  });
  const parcels = rows.map(({ parcel }) => parcel);
  return trip.out.many(parcels, trip.socket.sendMany(datagrams));
}

// Several sends that make up one datagram; each has memory of its own.
function corked(trip: Trip): void {
  const { socket, out, random } = trip;
  const size = between(random, HEADER_BYTES, random() < 0.7 ? SEGMENT_BYTES : 9000);
  const parcel = out.take(pick(random, trip.targets), size);
  const { port, address } = parcel.target;
  const parts = cut(random, parcel.data, between(random, 1, 5));
  let left = parts.length;
  let failure: Error | null = null;
  socket.cork();
  for (const part of parts) {
    const done = (error: Error | null): void => {
      part.fill(0xee);
      failure ??= error;
      if (--left === 0) out.settle(parcel, failure);
    };
    if (trip.connected === 'yes') socket.send(part, done);
    else socket.send(part, port, address, done);
  }
  socket.uncork();
}

export const WAYS = {
  callback,
  slice,
  promise,
  pieces,
  silent,
  many,
  manyBare,
  segments,
  manySegments,
  corked,
} satisfies Record<string, (trip: Trip) => void | Promise<unknown>>;

export type WayName = keyof typeof WAYS;

/** What they are called in the titles of tests. */
export const WAY_TITLES: Readonly<Record<WayName, string>> = {
  callback: 'delivers what a callback waits for',
  slice: 'delivers part of a buffer',
  promise: 'delivers what a promise waits for',
  pieces: 'delivers datagrams of several pieces',
  silent: 'delivers sends without a callback, whose memory changes at once',
  many: 'delivers batches to addresses of their own',
  manyBare: 'delivers batches to one address',
  segments: 'delivers segmented sends',
  manySegments: 'delivers batches of segmented sends',
  corked: 'delivers datagrams corked together',
};
