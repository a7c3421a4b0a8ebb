// What metrics(), the channels and `zeroCopy` for people say of packet and raw sockets.
import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import { createRawSocket, metrics, type DatagramStats } from '../../lib/index';
import { Heard } from '../helpers/heard';
import { assertSent, closed, outcomeOf, reserveFor, ringOf, scenario } from './packet-scenario';
import { until } from '../../scripts/until';

const FRAMES = 8;
const ROUNDS = 5;

type Counts = Readonly<Record<string, number>>;

function assertSummed(before: object, ...all: readonly DatagramStats[]): void {
  const { totals, releaseLatency } = metrics();
  for (const [name, count] of Object.entries(totals)) {
    const counted = all.reduce((sum, stats) => sum + ((stats as unknown as Counts)[name] ?? 0), 0);
    assert.equal(count - ((before as Counts)[name] ?? 0), counted, name);
  }
  assert.equal(releaseLatency.count, totals.notifications);
}

/** A ring tells its frames in place as sends and releases; what is copied to it is neither. */
export const ring = scenario(async (near) => {
  const { udp, out } = await near.route(4);
  const before = metrics();
  const sends = new Heard<{ socket: object; bytes: number; id: number }>('send');
  const releases = new Heard<{ socket: object; bytes: number }>('release');
  const socket = near.open({ ring: ringOf(FRAMES) });
  let bytes = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const views = [300, 800].map((size) => reserveFor(socket, out.frame(size)));
    bytes += views.reduce((sum, view) => sum + view.length, 0);
    await outcomeOf(socket.commit(views, out.options));
    const frame = out.frame(500);
    assertSent(await outcomeOf(socket.send(frame, out.options), frame), frame.length);
  }
  assert.match(
    inspect(socket.zeroCopy),
    /^ZeroCopy \{ tx_ring, active, pending 0 bytes in 0 sends, 10 /,
  );
  const { stats } = socket.zeroCopy;
  assert.deepEqual([stats.zeroCopySends, stats.notifications], [2 * ROUNDS, 2 * ROUNDS]);
  const sum = (messages: readonly { bytes: number }[]): number =>
    messages.reduce((all, message) => all + message.bytes, 0);
  await until('all releases are told', () => sum(releases.messages) === bytes);
  sends.stop();
  releases.stop();
  assert.equal(sum(sends.messages), bytes);
  assert.deepEqual(
    sends.messages.map(({ id }) => id),
    Array.from({ length: 2 * ROUNDS }, (_, id) => id),
  );
  for (const message of [...sends.messages, ...releases.messages]) {
    assert.equal(message.socket, socket);
  }
  assert.equal(metrics().openSockets, before.openSockets + 1);
  await udp.expect(out.taken());
  assertSummed(before.totals, socket.zeroCopy.stats);
  await closed(socket);
  assertSummed(before.totals, socket.zeroCopy.stats);
  assert.equal(metrics().openSockets, before.openSockets);
});

/** Sockets that the kernel has no zero copy for say so once. */
export const copying = scenario(async (near) => {
  const { udp, out } = await near.route(4);
  const before = metrics();
  const refusals = new Heard<{ socket: object; reason: string }>('fallback');
  const packet = near.open({ zeroCopy: { threshold: 0 } });
  const raw = createRawSocket({ family: 4, protocol: 253, zeroCopy: { threshold: 0 } });
  for (let i = 0; i < 3; i++) {
    const frame = out.frame(100);
    assertSent(await outcomeOf(packet.send(frame, out.options), frame), frame.length);
    await raw.send(Buffer.alloc(10), { address: near.wire.far.address4 });
  }
  await until('both refusals are told', () => refusals.messages.length >= 2);
  refusals.stop();
  assert.deepEqual(refusals.messages, [
    { socket: packet, reason: 'kernel-unsupported' },
    { socket: raw, reason: 'kernel-unsupported' },
  ]);
  for (const { zeroCopy } of [packet, raw]) {
    const shown =
      /^ZeroCopy \{ copy, unsupported: kernel-unsupported, pending 0 bytes in 0 sends, 0 /;
    assert.match(inspect(zeroCopy), shown);
  }
  const fallbacks = metrics().fallbacks['kernel-unsupported'] ?? 0;
  assert.equal(fallbacks - (before.fallbacks['kernel-unsupported'] ?? 0), 2);
  assertSummed(before.totals, packet.zeroCopy.stats, raw.zeroCopy.stats);
  await new Promise<void>((resolve) => raw.close(() => resolve()));
  await udp.expect(out.taken());
  assertSummed(before.totals, packet.zeroCopy.stats, raw.zeroCopy.stats);
});
