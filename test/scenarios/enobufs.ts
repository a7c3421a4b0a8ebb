// The kernel refuses zero-copy sends for want of memory that may be pinned or of option memory.
import assert from 'node:assert/strict';
import { loadNative } from '../../lib/native/binding';
import type { ZeroCopyOptions } from '../../lib/index';
import { Heard } from '../helpers/heard';
import type { Outgoing } from '../helpers/outgoing';
import { type Address, ReceiverClient } from '../helpers/receiver-client';
import { portsClosed } from '../helpers/remains';
import { until } from '../../scripts/until';

const PIECE = 64 * 1024;

export interface EnobufsParams {
  readonly to: Address;
  readonly zeroCopy: ZeroCopyOptions;
  /** Bytes of each write. */
  readonly size?: number;
}

let client: ReceiverClient | undefined;
let out: Outgoing | undefined;

/** Sends, while the limit is low, to a receiver that does not read yet; says what was seen. */
export async function squeeze(params: EnobufsParams) {
  client = await ReceiverClient.open(params.to);
  const fallbacks = new Heard<{ reason: string }>('fallback');
  out = await client.stream({ stallAfter: 0 }, { zeroCopy: params.zeroCopy });
  const size = params.size ?? PIECE;
  for (let i = 0; i < Math.ceil((16 * 1024 * 1024) / size); i++) out.write(size);
  const { zeroCopy } = out.socket;
  await until('the kernel refused', () => zeroCopy.stats.enobufs > 0);
  const { reason, state } = zeroCopy;
  await client.resume(out);
  await out.settled();
  fallbacks.stop();
  return {
    reason,
    state,
    reasons: [...new Set(fallbacks.messages.map((message) => message.reason))],
    stats: zeroCopy.stats,
    memlock: loadNative().native?.describe(),
  };
}

/**
 * Goes on on the same connection, read by now, until zero copy has taken over again; then ends it.
 * @returns the bytes of the last writes that went zero-copy
 */
export async function recover() {
  assert.ok(client !== undefined && out !== undefined);
  const { zeroCopy } = out.socket;
  const before = zeroCopy.stats;
  let rounds = 0;
  await until('zero copy resumed', async () => {
    rounds++;
    const { zeroCopySends } = zeroCopy.stats;
    // One at a time, and a few in a row: a probe alone does not count as resumed. Who waits for the release
    // of each is copied for.
    for (let i = 0; i < 4; i++) {
      out?.write(PIECE);
      await out?.drained();
    }
    await out?.settled();
    return zeroCopy.stats.zeroCopySends - zeroCopySends === 4;
  });
  const { state, stats, reason } = zeroCopy;
  out.end(1);
  const report = await client.report(out);
  await out.settled();
  const { errors, outOfOrder, written } = out;
  await until('all is released', () => zeroCopy.pendingSends === 0);
  await portsClosed();
  await client.close();
  return { state, reason, report, written, errors, outOfOrder, before, stats, rounds };
}
