// detectMutation on TCP: what it finds, whom it names, and that it finds nothing where all is well.
import assert from 'node:assert/strict';
import type { ZeroCopyOptions } from '../../lib/index';
import { Heard, WarningsHeard, type Finding } from '../helpers/heard';
import type { Outgoing } from '../helpers/outgoing';
import { between, seededRandom } from '../../scripts/random';
import { type Address, ReceiverClient } from '../helpers/receiver-client';
import { portsClosed } from '../helpers/remains';
import { until } from '../../scripts/until';

const LARGE = 256 * 1024;

export interface MutationParams {
  readonly to: Address;
  readonly zeroCopy: ZeroCopyOptions;
}

interface Scene {
  readonly out: Outgoing;
  readonly client: ReceiverClient;
  readonly found: Heard<Finding>;
  readonly warnings: WarningsHeard;
}

async function withScene(
  { to, zeroCopy }: MutationParams,
  detectMutation: ZeroCopyOptions['detectMutation'],
  body: (scene: Scene) => Promise<void>,
): Promise<void> {
  const client = await ReceiverClient.open(to);
  const found = new Heard<Finding>('mutation');
  const warnings = new WarningsHeard();
  const out = await client.stream({}, { zeroCopy: { ...zeroCopy, detectMutation } as never });
  try {
    await body({ out, client, found, warnings });
  } finally {
    out.socket.destroy();
    found.stop();
    warnings.stop();
  }
  await out.closed();
  await out.socket.zeroCopy.flush();
  await portsClosed();
  await client.close();
}

/** A write whose memory is changed behind it, in functions whose names the stack is to tell. */
function writesAndChanges(out: Outgoing): Promise<Error | null | undefined> {
  const buffer = out.take(LARGE);
  const released = new Promise<Error | null | undefined>((resolve) => {
    out.socket.write(buffer, resolve);
  });
  (buffer[LARGE - 7] as number) ^= 1;
  return released;
}

function fillsACork(out: Outgoing, buffers: readonly Buffer[]): void {
  out.socket.cork();
  // Views that streams make Buffers of, as well.
  for (const [i, { buffer, byteOffset, length }] of buffers.entries()) {
    const chunk = i % 2 === 0 ? buffers[i] : new Uint8Array(buffer, byteOffset, length);
    out.socket.write(chunk as Uint8Array);
  }
}

function sendsList(out: Outgoing, list: readonly Buffer[]): Promise<unknown> {
  return out.socket.send(list);
}

function endsWith(out: Outgoing, buffer: Buffer): Promise<unknown> {
  return new Promise<void>((resolve) => out.socket.end(buffer, () => resolve()));
}

/** One changed byte is found, each time, and its sender named; a place is warned of once. */
export function changed(params: MutationParams): Promise<void> {
  return withScene(params, true, async ({ out, found, warnings }) => {
    for (let i = 1; i <= 3; i++) {
      assert.equal((await writesAndChanges(out)) ?? null, null);
      await until('it is told', () => found.messages.length === i);
      assert.equal(out.socket.zeroCopy.stats.mutatedBuffers, i);
    }
    for (const { socket, bytes, kind, stack } of found.messages) {
      assert.deepEqual([socket === out.socket, bytes, kind], [true, LARGE, 'changed']);
      assert.match(stack.split('\n').slice(0, 3).join('\n'), /writesAndChanges/);
      assert.doesNotMatch(stack, /tcp\/overrides|mutation\.js:.*capture|stream-engine/);
    }
    await until('it is warned of', () => warnings.list.length > 0);
    assert.equal(out.socket.destroyed, false);
    const [warning, ...others] = warnings.list;
    assert.deepEqual(others, []);
    assert.match(String(warning?.detail), /writesAndChanges/);
    assert.match(String(warning?.message), /262144 bytes was changed before/);
  });
}

/** What is sent in a later turn than it was written in has its writer's name all the same. */
export function later(params: MutationParams): Promise<void> {
  return withScene(params, 'warn', async ({ out, found }) => {
    const buffers = [out.take(LARGE), out.take(LARGE + 1), out.take(LARGE + 2)];
    fillsACork(out, buffers);
    await new Promise((resolve) => setImmediate(resolve));
    const flushed = new Promise<void>((resolve) => out.socket.write('.', () => resolve()));
    out.socket.uncork();
    for (const index of [1, 2]) ((buffers[index] as Buffer)[0] as number) ^= 0x80;
    await flushed;
    await out.socket.zeroCopy.flush();
    await until('both are told', () => found.messages.length === 2);
    const told = found.messages.map(({ bytes, kind }) => [bytes, kind]);
    assert.deepEqual(told, [
      [LARGE + 1, 'changed'],
      [LARGE + 2, 'changed'],
    ]);
    for (const { stack } of found.messages) assert.match(stack, /fillsACork/);
    assert.equal(out.socket.zeroCopy.stats.mutatedBuffers, 2);
  });
}

/** send() and end() name their callers, too. */
export function methods(params: MutationParams): Promise<void> {
  return withScene(params, 'warn', async ({ out, found }) => {
    const list = [out.take(LARGE), out.take(LARGE)];
    const sent = sendsList(out, list);
    ((list[1] as Buffer)[3] as number) ^= 1;
    await sent;
    const last = out.take(LARGE);
    const ended = endsWith(out, last);
    (last[0] as number) ^= 1;
    await ended;
    await until('both are told', () => found.messages.length === 2);
    const [first, second] = found.messages;
    assert.match(String(first?.stack), /sendsList/);
    assert.match(String(second?.stack), /endsWith/);
  });
}

function writesAndDetaches(out: Outgoing) {
  const buffer = out.take(64 * 1024);
  const released = new Promise<NodeJS.ErrnoException | null | undefined>((resolve) => {
    out.socket.write(buffer, resolve);
  });
  const memory = buffer.buffer as ArrayBuffer;
  return { released, kept: structuredClone(memory, { transfer: [memory] }) };
}

/** A buffer that is transferred away: behind its send, and with a ring before it. */
export function detached(params: MutationParams): Promise<void> {
  return withScene(params, true, async ({ out, found }) => {
    const { released, kept } = writesAndDetaches(out);
    assert.ifError(await released);
    await until('it is told', () => found.messages.length === 1);
    const [{ kind, bytes, stack } = {} as Partial<Finding>] = found.messages;
    assert.deepEqual([kind, bytes], ['detached', kept.byteLength]);
    assert.match(String(stack), /writesAndDetaches/);
    assert.equal(out.socket.zeroCopy.stats.mutatedBuffers, 1);
  });
}

/** With 'throw' the stream is destroyed; callbacks still come in order, and once. */
export function thrown(params: MutationParams): Promise<void> {
  return withScene(params, 'throw', async ({ out, found, warnings }) => {
    const failed = new Promise<Error & { code?: string }>((resolve) =>
      out.socket.once('error', resolve),
    );
    const order: number[] = [];
    for (const index of [0, 1, 2]) {
      const buffer = out.take(LARGE);
      out.socket.write(buffer, () => order.push(index));
      if (index === 1) (buffer[9] as number) ^= 1;
    }
    const error = await failed;
    assert.equal(error.code, 'ERR_ZC_BUFFER_MUTATED');
    assert.match(String(error.stack), /The stack shows who sent it\n\s+at .*mutation\.js/);
    assert.equal(out.socket.destroyed, true);
    await until('all are released', () => order.length === 3);
    assert.deepEqual(order, [0, 1, 2]);
    await until('it is told', () => found.messages.length === 1);
    assert.deepEqual(warnings.list, []);
  });
}

/** What the callback of a later write hands back was released long ago, and is overwritten then: no word. */
export function handedBackLater(params: MutationParams): Promise<void> {
  return withScene(params, 'warn', async ({ out, found }) => {
    for (const last of ['', '.', '', '.', '', '.']) {
      const buffer = out.take(LARGE);
      out.socket.write(buffer);
      // Sooner than the sweep that would compare it.
      while (out.socket.zeroCopy.pendingBytes > 0)
        await new Promise((resolve) => setImmediate(resolve));
      await new Promise<void>((resolve) =>
        out.socket.write(last, () => {
          buffer.fill(0);
          resolve();
        }),
      );
    }
    await out.socket.zeroCopy.flush();
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(found.messages.length, 0);
    assert.equal(out.socket.zeroCopy.stats.mutatedBuffers, 0);
  });
}

/** Buffers that are overwritten the moment they are released, in all sizes and as text: no word. */
export async function clean(params: MutationParams): Promise<{ zeroCopySends: number }> {
  let zeroCopySends = 0;
  await withScene(params, 'throw', async ({ out, client, found, warnings }) => {
    const random = seededRandom(11);
    const sizes = Array.from({ length: 2_000 }, () => 2 ** between(random, 0, 17) + 3);
    await out.writeAll(sizes);
    out.end(LARGE);
    const report = await client.report(out);
    assert.deepEqual(report, { bytes: out.written, wrong: 0, end: 'end' });
    await out.settled();
    assert.deepEqual([out.errors, out.outOfOrder, out.socketError], [[], 0, undefined]);
    const { stats } = out.socket.zeroCopy;
    assert.equal(stats.mutatedBuffers, 0);
    assert.deepEqual([found.messages, warnings.list], [[], []]);
    zeroCopySends = stats.zeroCopySends;
  });
  return { zeroCopySends };
}
