// Sends that wait for room: in the socket's send buffer, or in the ring. What may wait is limited, what
// was refused is not sent, and what was cancelled is not either.
import assert from 'node:assert/strict';
import type { ZeroCopyPacketSocket } from '../../lib/index';
import type { Outbox, Digest } from '../helpers/packet-frames';
import {
  assertIdle,
  assertSent,
  closed,
  failureOf,
  outcomeOf,
  type Outcome,
  type Ring,
  scenario,
} from './packet-scenario';
import { whileSlow } from '../helpers/packet-wire';

export interface QueueParams {
  readonly ring?: Ring;
}

const PAYLOAD = 1400;
const FRAME = PAYLOAD + 42;
/** Room for a few frames; the kernel doubles it. */
const SEND_BUFFER = 4608;
const COUNT = 60;

interface Attempt {
  readonly digest: Digest;
  readonly outcome: Promise<Outcome>;
}

function attempt(socket: ZeroCopyPacketSocket, out: Outbox, signal?: AbortSignal): Attempt {
  const frame = out.frame(PAYLOAD);
  const options = signal === undefined ? {} : { signal };
  const digest = out.expected.pop() as Digest;
  // The rejection may be a throw.
  const sent = (async () => socket.send(frame, options))();
  return { digest, outcome: outcomeOf(sent, frame) };
}

async function sorted(attempts: readonly Attempt[]): Promise<{ sent: Digest[]; codes: string[] }> {
  const sent: Digest[] = [];
  const codes: string[] = [];
  for (const { digest, outcome } of attempts) {
    const one = await outcome;
    if ('report' in one) {
      assertSent(one, FRAME);
      sent.push(digest);
    } else codes.push(one.error.code ?? one.error.name);
  }
  return { sent, codes };
}

export const refuses = scenario<QueueParams>(async (near, params) => {
  const { udp, out } = await near.route(4);
  const limit = 10 * FRAME;
  const socket = near.open({ ...params, sendBufferSize: SEND_BUFFER, maxQueuedBytes: limit });
  await whileSlow(near.wire, async () => {
    const attempts = Array.from({ length: COUNT }, () => attempt(socket, out));
    assert.ok(socket.getSendQueueCount() > 0, 'nothing waits');
    assert.ok(socket.getSendQueueSize() <= limit, `${socket.getSendQueueSize()} bytes wait`);
    const { sent, codes } = await sorted(attempts);
    assert.ok(codes.length > 0, 'nothing was refused');
    assert.deepEqual([...new Set(codes)], ['ERR_ZC_QUEUE_FULL']);
    assert.ok(sent.length >= 10, `${sent.length} were sent`);
    await udp.expect(sent);
  });
  // There is room again.
  const { sent } = await sorted([attempt(socket, out)]);
  await udp.expect(sent);
  assertIdle(socket);
});

/** A callback is told as well, and not before send() has returned. */
export const refusesCallbacks = scenario<QueueParams>(async (near, params) => {
  const { udp, out } = await near.route(4);
  const socket = near.open({ ...params, sendBufferSize: SEND_BUFFER, maxQueuedBytes: 5 * FRAME });
  await whileSlow(near.wire, async () => {
    const told: (string | number)[] = [];
    const all = Array.from({ length: COUNT }, () => {
      const frame = out.frame(PAYLOAD);
      return new Promise<void>((resolve) => {
        socket.send(frame, (error, bytes) => {
          frame.fill(0xee);
          told.push(error === null ? bytes : ((error as NodeJS.ErrnoException).code ?? ''));
          resolve();
        });
      });
    });
    assert.deepEqual(told, []);
    await Promise.all(all);
    const sent = told.filter((one) => one === FRAME).length;
    const refused = told.filter((one) => one === 'ERR_ZC_QUEUE_FULL').length;
    assert.equal(sent + refused, COUNT);
    assert.ok(refused > 0, 'nothing was refused');
    assert.equal((await udp.take()).length, sent);
  });
});

export const waits = scenario<QueueParams>(async (near, params) => {
  const { udp, out } = await near.route(4);
  const socket = near.open({
    ...params,
    sendBufferSize: SEND_BUFFER,
    maxQueuedBytes: 3 * FRAME,
    whenQueueFull: 'wait',
  });
  await whileSlow(near.wire, async () => {
    const attempts = Array.from({ length: COUNT }, () => attempt(socket, out));
    const { sent, codes } = await sorted(attempts);
    assert.deepEqual([sent.length, codes], [COUNT, []]);
    await udp.expect(sent);
  });
  assertIdle(socket);
});

export const cancelled = scenario<QueueParams>(async (near, params) => {
  const { udp, out } = await near.route(4);
  const socket = near.open({ ...params, sendBufferSize: SEND_BUFFER });
  const before = await failureOf(
    () => socket.send(out.stray(10), { signal: AbortSignal.abort() }),
    'send() with an aborted signal',
  );
  assert.equal(before.name, 'AbortError');
  await whileSlow(near.wire, async () => {
    const first = Array.from({ length: 30 }, () => attempt(socket, out));
    const controller = new AbortController();
    const doomed = Array.from({ length: 5 }, () => attempt(socket, out, controller.signal));
    const last = Array.from({ length: 5 }, () => attempt(socket, out));
    assert.ok(socket.getSendQueueCount() >= 10, 'nothing waits');
    controller.abort();
    const gone = await sorted(doomed);
    assert.deepEqual([gone.sent.length, new Set(gone.codes)], [0, new Set(['ABORT_ERR'])]);
    const rest = await sorted([...first, ...last]);
    assert.deepEqual([rest.sent.length, rest.codes], [35, []]);
    await udp.expect(rest.sent);
  });
  assertIdle(socket);
});

/** close() with sends that wait: each settles, and those that were told to be sent arrive. */
export const closedFull = scenario<QueueParams>(async (near, params) => {
  const { udp, out } = await near.route(4);
  const socket = near.open({ ...params, sendBufferSize: SEND_BUFFER });
  await whileSlow(near.wire, async () => {
    const attempts = Array.from({ length: COUNT }, () => attempt(socket, out));
    await closed(socket);
    const { sent, codes } = await sorted(attempts);
    assert.ok(codes.length > 0, 'nothing waited');
    const arrived = await udp.take();
    // Those that failed may have been accepted before the socket closed, but no others arrive.
    assert.deepEqual(arrived.slice(0, sent.length), sent);
    const made = attempts.map(({ digest }) => digest.sha256);
    for (const { sha256 } of arrived) assert.ok(made.includes(sha256), 'a stray frame');
  });
});
