// Streams with a limit of their rate: how long they take, and that they arrive as they were.
import assert from 'node:assert/strict';
import type { ZeroCopyOptions } from '../../lib/index';
import { type Address, ReceiverClient } from '../helpers/receiver-client';

interface Params {
  readonly to: Address;
  readonly zeroCopy: ZeroCopyOptions;
  readonly totalBytes: number;
}

const CHUNK_BYTES = 256 * 1024;

/** Milliseconds until the receiver has all of it, and what the kernel says of the limit meanwhile. */
export async function stream({ to, zeroCopy, totalBytes }: Params) {
  const client = await ReceiverClient.open(to);
  const out = await client.stream({}, { zeroCopy });
  const begin = performance.now();
  const chunks = totalBytes / CHUNK_BYTES;
  // Whole chunks that are not text.
  for (let i = 0; i < chunks; i++) if (!out.write(CHUNK_BYTES)) await out.drained();
  const { maxPacingRate } = out.socket.zeroCopy;
  out.end(1);
  const report = await client.report(out);
  const milliseconds = performance.now() - begin;
  assert.deepEqual(report, { bytes: out.written, wrong: 0, end: 'end' });
  await out.settled();
  assert.deepEqual([out.errors, out.outOfOrder], [[], 0]);
  await client.close();
  const { zeroCopySends } = out.socket.zeroCopy.stats;
  return { milliseconds, maxPacingRate, zeroCopySends };
}
