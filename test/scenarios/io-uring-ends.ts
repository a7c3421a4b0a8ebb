// Ends of connections whose requests were not submitted yet, and descriptor numbers that are used again
// in the same turn: a request must never reach the connection that has the number now.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { connect, createServer, isZeroCopy } from '../../lib/index';
import type { Outgoing } from '../helpers/outgoing';
import type { ReceiverClient } from '../helpers/receiver-client';
import { portsClosed } from '../helpers/remains';
import { until } from '../../scripts/until';
import { assertComplete, assertReleased, MIB, scenario, type UringParams } from './io-uring-kit';

const ROUNDS = 60;
const PIECE = 100_000;

export function descriptorOf(socket: net.Socket): number {
  const { _handle: handle } = socket as unknown as { _handle: { fd: number } | null };
  return handle?.fd ?? -1;
}

type Ending = (out: Outgoing) => void;

const ENDINGS: readonly Ending[] = [
  (out) => out.socket.destroy(),
  (out) => out.socket.destroy(new Error('meant to happen')),
  (out) => out.socket.resetAndDestroy(),
  (out) => out.socket.destroySoon(),
];

// Of a stream that was cut: a prefix arrived, and for a destroy() what plain Node would have sent.
async function assertCut(client: ReceiverClient, out: Outgoing, ending: Ending): Promise<void> {
  const report = await client.report(out);
  assert.equal(report.wrong, 0, `${report.wrong} bytes of another stream`);
  // The callback of a write that was accepted before destroy() carries no error; all fire.
  await assertReleased(out);
  if (ending === ENDINGS[2]) return;
  assert.equal(report.bytes, out.written, 'what was written before destroy() is not all there');
}

/** write(), destroy() and a new connection with the same descriptor number, in one turn. */
export const dialledAgain = scenario(async (client, params: UringParams) => {
  let reused = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const ending = ENDINGS[round % ENDINGS.length] as Ending;
    const first = await client.stream({}, { zeroCopy: params.zeroCopy });
    // Every other time the connection has sent before, so that its duplicate is there.
    if (round % 2 === 1) {
      first.write(PIECE);
      await first.settled();
    }
    const number = descriptorOf(first.socket);
    first.write(PIECE);
    ending(first);
    const socket = connect({ ...params.to, zeroCopy: params.zeroCopy });
    const second = client.begin(socket, {});
    second.write(PIECE);
    await once(socket, 'connect');
    if (descriptorOf(socket) === number) reused++;
    second.end(PIECE);
    await assertCut(client, first, ending);
    await assertComplete(client, second);
  }
  assert.ok(reused > ROUNDS / 4, `only ${reused} descriptor numbers were used again`);
});

/** The same by connections that a server accepts, several in one turn. */
export const acceptedAgain = scenario(async (client, params: UringParams) => {
  const server = createServer({ zeroCopy: params.zeroCopy });
  const cut: [Outgoing, Ending][] = [];
  const whole: Outgoing[] = [];
  const numbers = new Map<number, number>();
  let count = 0;
  server.on('connection', (socket: net.Socket) => {
    assert.ok(isZeroCopy(socket));
    const number = descriptorOf(socket);
    numbers.set(number, (numbers.get(number) ?? 0) + 1);
    const out = client.begin(socket, {});
    out.write(PIECE);
    const ending = ENDINGS[count++ % ENDINGS.length] as Ending;
    if (count % 3 === 0) {
      out.end(PIECE);
      whole.push(out);
    } else {
      ending(out);
      cut.push([out, ending]);
    }
  });
  server.listen(0, '::');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  for (let round = 0; round < 10; round++) {
    const before = count;
    await client.dial(params.senderHost, port, ROUNDS);
    await until('all are accepted', () => count === before + ROUNDS);
  }
  // A reset that overtakes the first line leaves no stream: those can only be settled.
  for (const [out, ending] of cut) {
    if (ending === ENDINGS[2]) await assertReleased(out);
    else await assertCut(client, out, ending);
  }
  for (const out of whole) await assertComplete(client, out);
  const most = Math.max(...numbers.values());
  assert.ok(most > 10, `no descriptor number was used more than ${most} times`);
  server.close();
  await once(server, 'close');
});

/** destroy() in the turn of a write that is larger than the send buffer, to a reader that stalls. */
export const destroyedInTurn = scenario(async (client, params: UringParams) => {
  for (const ending of [ENDINGS[0], ENDINGS[1]] as Ending[]) {
    const out = await client.stream({ stallAfter: 0 }, { zeroCopy: params.zeroCopy });
    out.write(48 * MIB);
    out.write(PIECE);
    ending(out);
    await out.closed();
    await client.pace(out, { bytes: MIB, everyMs: 2 });
    const report = await client.report(out);
    assert.deepEqual([report.wrong, report.end], [0, 'end']);
    await assertReleased(out);
    assert.equal(report.bytes, out.accepted);
    assert.ok(report.bytes > 0, 'plain Node sends before destroy() is called');
    assert.ok(out.errors.length > 0, 'no write failed');
  }
});

/** end() in the turn of the writes, to a peer that has half-closed and one that has not. */
export const endedInTurn = scenario(async (client, params: UringParams) => {
  for (const manner of [{}, { endAfter: 1 }, { echo: true }]) {
    const options = { zeroCopy: params.zeroCopy, allowHalfOpen: true };
    const out = await client.stream(manner, options);
    if (manner.endAfter !== undefined) {
      out.write(1);
      await once(out.socket, 'end');
    }
    for (const bytes of [PIECE, 10, 3 * MIB, 40]) out.write(bytes);
    out.end(PIECE);
    await assertComplete(client, out);
  }
});

/** Requests whose answers are still to come when their connection is gone. */
export const destroyedInFlight = scenario(async (client, params: UringParams) => {
  for (let round = 0; round < ROUNDS; round++) {
    const out = await client.stream({}, { zeroCopy: params.zeroCopy });
    for (let i = 0; i < 4; i++) out.write(PIECE + round);
    // From a turn later on: in the check phase, in a tick of it, and when something was accepted.
    if (round % 3 === 0) await new Promise((resolve) => setImmediate(resolve));
    if (round % 3 === 1) await new Promise((resolve) => out.socket.write('', resolve));
    if (round % 3 === 2) await Promise.resolve();
    const ending = ENDINGS[round % 3] as Ending;
    ending(out);
    const report = await client.report(out);
    assert.equal(report.wrong, 0);
    await assertReleased(out);
    await portsClosed();
  }
});

/** The peer resets while requests are queued, in flight and waiting. */
export const resetByPeer = scenario(async (client, params: UringParams) => {
  const streams: Outgoing[] = [];
  for (let i = 0; i < 30; i++) {
    const resetAfter = 1 + i * 300_000;
    streams.push(await client.stream({ resetAfter }, { zeroCopy: params.zeroCopy }));
  }
  for (let i = 0; i < 100; i++) for (const out of streams) out.write(PIECE);
  for (const out of streams) {
    await out.closed();
    await assertReleased(out);
    assert.equal((await client.report(out)).wrong, 0);
    assert.match(out.socketError ?? '', /^(ECONNRESET|EPIPE)$/);
    assert.equal(out.released, 100);
    assert.equal(out.outOfOrder, 0);
  }
});
