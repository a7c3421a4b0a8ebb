// Several engines on one connection, one after another, and reports of what each of them did.
import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { enableZeroCopy, type ZeroCopyOptions } from '../../lib/index';
import { OVERWRITTEN } from '../../scripts/pattern';
import { Heard } from '../helpers/heard';
import { ReceiverClient } from '../helpers/receiver-client';
import { until } from '../../scripts/until';
import { assertComplete, MIB, scenario, turn, type UringParams } from './io-uring-kit';

const ENGINES = ['io_uring', 'msg_zerocopy', 'copy', 'auto'] as const;
const ROUNDS = 24;

/** Switched between writes of one turn. */
export const switchedInTurn = scenario(async (client, params: UringParams) => {
  const out = await client.stream({}, { zeroCopy: params.zeroCopy });
  for (let i = 0; i < ROUNDS; i++) {
    for (const engine of ENGINES) {
      enableZeroCopy(out.socket, { engine });
      out.write(100_000 + i);
      out.write(10 + i);
    }
    if (i % 4 === 3) await out.settled();
  }
  out.end(50_000);
  await assertComplete(client, out);
});

/** Switched while what was written before waits for space, or for its release. */
export const switchedWhileStalled = scenario(async (client, params: UringParams) => {
  for (const first of ENGINES) {
    for (const second of ENGINES) {
      const out = await client.stream({ stallAfter: 0 }, { zeroCopy: { engine: first } });
      for (let i = 0; i < 4; i++) out.write(200_000);
      // Every other time nothing waits in the stream, only for its release.
      if (params.zeroCopy.threshold === undefined) out.write(16 * MIB);
      await turn();
      enableZeroCopy(out.socket, { engine: second });
      for (let i = 0; i < 4; i++) out.write(200_000 + i);
      await turn();
      await client.resume(out);
      out.end(100_000);
      await assertComplete(client, out);
    }
  }
});

/** Thresholds changed between writes: staged, chained and separate sends follow each other. */
export const thresholds = scenario(async (client, params: UringParams) => {
  const out = await client.stream({}, { zeroCopy: params.zeroCopy });
  for (let i = 0; i < ROUNDS; i++) {
    const threshold = [1, 0, 32_768, 8192, 'auto'][i % 5] as ZeroCopyOptions['threshold'];
    enableZeroCopy(out.socket, { ...params.zeroCopy, threshold: threshold ?? 'auto' });
    for (const bytes of [1, 9000, 100_000, 3, 40_000, 4096]) out.write(bytes);
    out.socket.cork();
    for (const bytes of [180, 70_000, 2, 9000, 1]) out.write(bytes);
    out.socket.uncork();
    if (i % 3 === 0) await out.settled();
  }
  out.end(50_000);
  await assertComplete(client, out);
});

/** Reports of many send()s, one by one and at once. Every byte is accounted for exactly once. */
export async function reports(params: UringParams) {
  const client = await ReceiverClient.open(params.to);
  // A queue builds up, in which sends share packets.
  const pace = { bytes: 256 * 1024, everyMs: 2 };
  const out = await client.stream({ pace }, { zeroCopy: params.zeroCopy });
  const sums = { zeroCopyBytes: 0, copiedBytes: 0, kernelCopiedBytes: 0, unknownBytes: 0 };
  const engines = new Set<string>();
  const sendOne = async (sizes: readonly number[]): Promise<void> => {
    const buffers = sizes.map((bytes) => out.take(bytes));
    const report = await out.socket.send(buffers);
    for (const buffer of buffers) buffer.fill(OVERWRITTEN);
    const bytes = sizes.reduce((a, b) => a + b);
    const { zeroCopyBytes, copiedBytes, kernelCopiedBytes, unknownBytes } = report;
    assert.equal(report.bytes, bytes);
    assert.equal(
      zeroCopyBytes + copiedBytes + kernelCopiedBytes + unknownBytes,
      bytes,
      `${JSON.stringify(report)} of ${sizes.join()}`,
    );
    sums.zeroCopyBytes += zeroCopyBytes;
    sums.copiedBytes += copiedBytes;
    sums.kernelCopiedBytes += kernelCopiedBytes;
    sums.unknownBytes += unknownBytes;
    if (zeroCopyBytes + kernelCopiedBytes + unknownBytes > 0) engines.add(report.engine);
  };
  const shapes = [[MIB], [10], [100_000, 3, 50_000], [5000, 5000], [4 * MIB], [0], [64_000]];
  for (const sizes of shapes) await sendOne(sizes);
  // At once: these are chained to one another.
  for (let round = 0; round < 10; round++) await Promise.all(shapes.map((sizes) => sendOne(sizes)));
  const { stats } = out.socket.zeroCopy;
  out.end(1);
  await assertComplete(client, out);
  await client.close();
  return { ...sums, written: out.written, engines: [...engines], stats };
}

/** What the diagnostics channels say of one connection, and of the process. */
export async function channels(params: UringParams) {
  const rings: unknown[] = [];
  const onRing = (message: unknown): void => void rings.push(message);
  subscribe('msg-zerocopy:io_uring', onRing);
  const sends = new Heard<{ bytes: number; id: number }>('send');
  const releases = new Heard<{ bytes: number }>('release');
  const client = await ReceiverClient.open(params.to);
  for (let i = 0; i < 3; i++) {
    const out = await client.stream({}, { zeroCopy: params.zeroCopy });
    for (let j = 0; j < 5; j++) out.write(200_000);
    out.end(100_000);
    await assertComplete(client, out);
  }
  const sum = (all: readonly { bytes: number }[]): number => all.reduce((n, m) => n + m.bytes, 0);
  await until('all releases are told', () => sum(releases.messages) === sum(sends.messages));
  unsubscribe('msg-zerocopy:io_uring', onRing);
  sends.stop();
  releases.stop();
  await client.close();
  return { rings, sent: sum(sends.messages), released: sum(releases.messages) };
}
