// Sends that wait behind reserved frames of a ring: what becomes of their memory meanwhile, what sets them
// going, and what a flush() waits for.
import assert from 'node:assert/strict';
import { OVERWRITTEN } from '../../scripts/pattern';
import {
  assertIdle,
  assertSent,
  outcomeOf,
  type Outcome,
  reserveFor,
  ringOf,
  scenario,
} from './packet-scenario';

const FRAMES = 4;
const RING = ringOf(FRAMES);
/** Several slots. */
const GROWN_BYTES = 30_000;

function codeOf(outcome: Outcome): string | undefined {
  return 'error' in outcome ? outcome.error.code : 'sent';
}

function turns(): Promise<void> {
  return new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
}

/** A copy in memory of its own that can be detached. */
function detachable(frame: Buffer): Uint8Array {
  return new Uint8Array(frame);
}

/** What Node 20 has and the library of TypeScript's target does not know. */
interface Growable {
  resize?(bytes: number): void;
  grow?(bytes: number): void;
}

/** A copy that grows with its memory. */
function growing(frame: Buffer, kind: 'alone' | 'shared'): { view: Uint8Array; grow(): void } {
  const Memory = (kind === 'alone' ? ArrayBuffer : SharedArrayBuffer) as unknown as new (
    bytes: number,
    limits: { maxByteLength: number },
  ) => ArrayBuffer & Growable;
  const memory = new Memory(frame.length, { maxByteLength: GROWN_BYTES });
  const view = new Uint8Array(memory);
  view.set(frame);
  const grow = (): void => {
    if (kind === 'alone') memory.resize?.(GROWN_BYTES);
    else memory.grow?.(GROWN_BYTES);
    assert.equal(view.length, GROWN_BYTES);
    view.fill(OVERWRITTEN);
  };
  return { view, grow };
}

export interface ChangeParams {
  readonly change: 'detached' | 'grown' | 'shared and grown';
  readonly by: 'send' | 'send in pieces' | 'sendMany';
}

/** What changed while it waited is not sent, and nothing else suffers. */
export const changed = scenario<ChangeParams>(async (near, { change, by }) => {
  const { udp, out } = await near.route(4);
  const socket = near.open({ ring: RING });
  const reserved = Array.from({ length: FRAMES }, () => reserveFor(socket, out.stray(100)));
  const stray = out.stray(200);
  const { view, grow } = growing(stray, change === 'grown' ? 'alone' : 'shared');
  const given = change === 'detached' ? detachable(stray) : view;
  const [first, second] = [out.frame(300), out.frame(310)];
  const before = outcomeOf(socket.send(first, {}), first);
  const pieces = [given.subarray(0, 42), given.subarray(42)];
  const sent =
    by === 'send'
      ? socket.send(given, {})
      : by === 'send in pieces'
        ? socket.send(pieces, {})
        : socket.sendMany([given]);
  const behind = outcomeOf(socket.send(second, {}), second);
  const outcome = outcomeOf(sent);
  if (change === 'detached')
    structuredClone(given.buffer, { transfer: [given.buffer as ArrayBuffer] });
  else grow();
  for (const frame of reserved) socket.discard(frame);
  assert.equal(codeOf(await outcome), 'ERR_ZC_BUFFER_DETACHED');
  assertSent(await before, first.length);
  assertSent(await behind, second.length);
  await udp.expect(out.taken());
  assert.equal(socket.freeFrames, FRAMES);
  assertIdle(socket);
});

/** Nothing but discards: no frame of the kernel's comes back that would set the queue going. */
export const setGoing = scenario(async (near) => {
  const { udp, out } = await near.route(4);
  const socket = near.open({ ring: RING });
  for (let round = 0; round < 3; round++) {
    const reserved = Array.from({ length: FRAMES }, () => reserveFor(socket, out.stray(100)));
    const frames = Array.from({ length: 2 * FRAMES }, () => out.frame(300));
    const sent = frames.map((frame) => outcomeOf(socket.send(frame, {}), frame));
    for (const frame of reserved) socket.discard(frame);
    for (const outcome of sent) assertSent(await outcome, 342);
  }
  await udp.expect(out.taken());
});

/** flush() waits for what is committed behind a reserved frame, and for nothing that is sent later. */
export const flushed = scenario<{ readonly then: 'commit' | 'discard' }>(async (near, { then }) => {
  const { udp, out } = await near.route(4);
  const socket = near.open({ ring: RING });
  const order: string[] = [];
  const holder = reserveFor(socket, then === 'commit' ? out.frame(100) : out.stray(100));
  const behind = reserveFor(socket, out.frame(200));
  const nothing = socket.zeroCopy.flush().then(() => order.push('flush of nothing'));
  const committed = socket.commit(behind).then(() => order.push('commit'));
  const given = out.frame(300);
  socket.send(given, (error) => {
    given.fill(OVERWRITTEN);
    order.push(error === null ? 'send' : error.message);
  });
  const flush = socket.zeroCopy.flush().then(() => order.push('flush'));
  const last = reserveFor(socket, out.stray(400));
  await nothing;
  await turns();
  assert.deepEqual(order, ['flush of nothing']);
  if (then === 'commit') await socket.commit(holder);
  else socket.discard(holder);
  await Promise.all([committed, flush]);
  assert.equal(order.at(-1), 'flush');
  assert.deepEqual(order.slice(0, 3).sort(), ['commit', 'flush of nothing', 'send']);
  socket.discard(last);
  await udp.expect(out.taken());
});
