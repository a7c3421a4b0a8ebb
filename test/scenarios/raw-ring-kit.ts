// What the scenarios of a raw socket's ring share: the socket, its far end, and one packet sent and received.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import {
  createRawSocket,
  type RawCommitOptions,
  type RawSocketOptions,
  type Reason,
  type SendReport,
  type ZeroCopyRawSocket,
} from '../../lib/index';
import { OVERWRITTEN } from '../../scripts/pattern';
import { Outbox } from '../helpers/packet-frames';
import { ip, type Wire, type Family } from '../helpers/packet-wire';
import type { FarUdp } from './packet-far';
import { type Near, ringOf, scenario } from './packet-scenario';

export const FRAMES = 8;

export interface FamilyParams {
  readonly family: Family;
}

export interface Sending {
  readonly near: Near;
  readonly wire: Wire;
  readonly family: Family;
  readonly socket: ZeroCopyRawSocket;
  readonly udp: FarUdp;
  readonly out: Outbox;
  /** Where packets go: the far end. */
  readonly address: string;
}

export function farAddress(wire: Wire, family: Family): string {
  return family === 4 ? wire.far.address4 : wire.far.address6;
}

/** A raw socket with a ring, a UDP socket at the far end and packets for it. */
export function sending<P extends FamilyParams>(
  body: (sending: Sending, params: P) => Promise<void>,
  options: Partial<RawSocketOptions> = {},
): (params: P) => Promise<void> {
  return scenario<P>(async (near, params) => {
    const { family } = params;
    const { udp, out } = await near.route(family, 'dgram');
    const ring = ringOf(FRAMES);
    const socket = createRawSocket({
      family,
      protocol: 'raw',
      headerIncluded: true,
      ring,
      ...options,
    });
    const address = farAddress(near.wire, family);
    try {
      await body({ near, wire: near.wire, family, socket, udp, out, address }, params);
    } finally {
      if (socket.zeroCopy.state !== 'closed') {
        const closed = once(socket, 'close');
        socket.close();
        await closed;
      }
      restore(near.wire);
    }
  });
}

/** What packetSuites set up between the two ends. */
export function restore({ near, far }: Wire): void {
  const permanent = (address: string): void =>
    void ip(
      near,
      'neigh',
      'replace',
      address,
      'lladdr',
      far.mac,
      'dev',
      near.device,
      'nud',
      'permanent',
    );
  for (const address of [far.address4, far.address6]) permanent(address);
}

/** Fills a frame of the ring with `packet`. */
export function produce(socket: ZeroCopyRawSocket, packet: Buffer): Buffer {
  const frame = socket.reserve(packet.length);
  frame.fill(OVERWRITTEN);
  packet.copy(frame);
  return frame;
}

/** Sends one packet from the ring; its memory belongs to the ring again once it is released. */
export async function commitOne(
  { socket, address }: Sending,
  packet: Buffer,
  options: RawCommitOptions = { address },
): Promise<SendReport> {
  return socket.commit(produce(socket, packet), options);
}

/** Sends one packet that must arrive. @returns whether the ring sent it, or why the raw socket did */
export async function sendOne(sending: Sending, bytes = 900): Promise<Reason | 'by the ring'> {
  const { udp, out } = sending;
  const packet = out.frame(bytes);
  const report = await commitOne(sending, packet);
  assert.equal(report.bytes, packet.length);
  await udp.expect(out.taken());
  if (report.reason === undefined) {
    assert.equal(report.engine, 'tx_ring');
    assert.equal(report.unknownBytes, packet.length);
    assert.equal(sending.socket.zeroCopy.engine, 'tx_ring');
    return 'by the ring';
  }
  assert.equal(report.engine, 'copy');
  assert.equal(report.copiedBytes, packet.length);
  assert.equal(sending.socket.zeroCopy.reason, report.reason);
  assert.equal(sending.socket.zeroCopy.state, 'paused');
  return report.reason;
}
