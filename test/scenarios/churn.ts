// Many connections at once that end in every way from both sides, and what is left of them.
import assert from 'node:assert/strict';
import type { ZeroCopyOptions } from '../../lib/index';
import { getReactor } from '../../lib/native/reactor';
import { fillFrom, OVERWRITTEN } from '../../scripts/pattern';
import type { Outgoing } from '../helpers/outgoing';
import { type Address, type Manner, ReceiverClient } from '../helpers/receiver-client';
import { countDescriptors, descriptorsBackTo, openPorts, portsClosed } from '../helpers/remains';
import { until } from '../../scripts/until';
import { seededRandom } from '../../scripts/random';

const CONNECTIONS = 200;
const MIB = 1024 * 1024;

export interface ChurnParams {
  readonly to: Address;
  readonly zeroCopy: ZeroCopyOptions;
  readonly seed: number;
}

type Random = () => number;

const MANNERS: ((at: number) => Manner)[] = [
  () => ({}),
  (at) => ({ resetAfter: at }),
  (at) => ({ closeAfter: at }),
  (at) => ({ endAfter: at }),
  () => ({ pace: { bytes: 65_536, everyMs: 2 } }),
  () => ({ echo: true }),
];

const ENDINGS: ((out: Outgoing) => void)[] = [
  (out) => out.socket.destroy(),
  (out) => out.socket.destroy(new Error('meant to happen')),
  (out) => out.socket.resetAndDestroy(),
  (out) => out.socket.end(),
  (out) => out.socket.destroySoon(),
  (out) => void out.socket.end(() => out.socket.destroy()),
];

function pick<T>(list: readonly T[], random: Random): T {
  return list[Math.floor(random() * list.length)] as T;
}

// One connection's life. Writes more once memory comes back, so that it is used again under fire.
async function live(
  client: ReceiverClient,
  params: ChurnParams,
  random: Random,
): Promise<Outgoing> {
  const manner = pick(MANNERS, random)(Math.floor(random() * 2 * MIB));
  const out = await client.stream(manner, {
    zeroCopy: params.zeroCopy,
    allowHalfOpen: random() < 0.5,
  });
  const writes = 2 + Math.floor(random() * 12);
  const endAt = Math.floor(random() * writes * 1.3);
  const end = pick(ENDINGS, random);
  for (let i = 0; i < writes && !out.socket.destroyed && out.socket.writable; i++) {
    if (i === endAt) break;
    const more = out.write(Math.ceil(random() * 400_000));
    if (!more && random() < 0.7) await out.drained();
  }
  if (!out.socket.destroyed) end(out);
  return out;
}

/** Runs all of them; every received byte is right, and every callback fires. */
export async function churn(params: ChurnParams) {
  getReactor();
  const descriptors = countDescriptors();
  const client = await ReceiverClient.open(params.to);
  const random = seededRandom(params.seed);
  const alive = await Promise.all(
    Array.from({ length: CONNECTIONS }, () => live(client, params, random)),
  );
  // Whose peer only half-closed or dawdles, and who did not end: ends now.
  let bytes = 0;
  for (const out of alive) {
    const report = await client.report(out);
    assert.equal(report.wrong, 0, `seed ${params.seed}: ${JSON.stringify(report)}`);
    bytes += report.bytes;
    await out.settled();
    await out.socket.zeroCopy.flush();
    const { pendingBytes, pendingSends, stats } = out.socket.zeroCopy;
    assert.deepEqual([pendingBytes, pendingSends, stats.strayNotifications], [0, 0, 0]);
    assert.equal(out.outOfOrder, 0);
    out.socket.destroy();
  }
  await portsClosed();
  await client.close();
  await descriptorsBackTo(descriptors);
  return { bytes, openPorts: openPorts() };
}

/** Memory of connections that ended in every way is not held on to. */
export async function collectable(params: ChurnParams): Promise<void> {
  const left = new Set<number>();
  const registry = new FinalizationRegistry<number>((index) => left.delete(index));
  const client = await ReceiverClient.open(params.to);
  for (let i = 0; i < ENDINGS.length * 2; i++) {
    await abandonBuffers(client, params, i, (buffer) => {
      const index = left.size + i * 1000;
      left.add(index);
      registry.register(buffer, index);
    });
  }
  await portsClosed();
  await client.close();
  await until('every buffer is collected', () => {
    (globalThis as { gc?: () => void }).gc?.();
    return left.size === 0;
  });
}

/** Memory of writes without callbacks is not collected while the kernel references it. */
export async function retained(params: ChurnParams): Promise<void> {
  const client = await ReceiverClient.open(params.to);
  const out = await client.stream({ stallAfter: 0 }, { zeroCopy: params.zeroCopy });
  // Small enough for the allocator to use the same memory again: the pages of a larger piece would go
  // back to the kernel, which keeps those that it still needs.
  const bytes = 40_000;
  for (let i = 0; i < 40; i++) writeAndForget(out, bytes);
  await until('something is pinned', () => out.socket.zeroCopy.pendingBytes > 10 * bytes);
  const filled: Buffer[] = [];
  for (let round = 0; round < 5; round++) {
    (globalThis as { gc?: () => void }).gc?.();
    // A turn, in which memory that was collected is freed.
    await client.received(out);
    for (let i = 0; i < 40; i++) filled.push(Buffer.allocUnsafeSlow(bytes).fill(OVERWRITTEN));
  }
  await client.resume(out);
  out.end(1);
  assert.deepEqual(await client.report(out), { bytes: out.written, wrong: 0, end: 'end' });
  assert.equal(filled.length, 200);
  await out.settled();
  await portsClosed();
  await client.close();
}

function writeAndForget(out: Outgoing, bytes: number): void {
  const buffer = Buffer.allocUnsafeSlow(bytes);
  fillFrom(buffer, out.stream, out.written);
  out.written += bytes;
  out.socket.write(buffer);
}

// A function of its own: nothing of it stays on the stack.
async function abandonBuffers(
  client: ReceiverClient,
  params: ChurnParams,
  index: number,
  register: (buffer: Buffer) => void,
): Promise<void> {
  const manner = index % 2 === 0 ? {} : { resetAfter: MIB };
  const out = await client.stream(manner, { zeroCopy: params.zeroCopy });
  for (let i = 0; i < 8; i++) {
    const buffer = Buffer.allocUnsafeSlow(300_000);
    register(buffer);
    out.socket.write(buffer, () => {});
  }
  ENDINGS[index % ENDINGS.length]?.(out);
  await client.report(out);
  await out.socket.zeroCopy.flush();
  out.socket.destroy();
  await out.closed();
}
