// Much data in mixed sizes, every buffer overwritten and used again when it is released.
import type { ZeroCopyOptions } from '../../lib/index';
import { seededRandom } from '../../scripts/random';
import { type Address, ReceiverClient } from '../helpers/receiver-client';
import { portsClosed } from '../helpers/remains';

const MIB = 1024 * 1024;

interface MixedParams {
  readonly to: Address;
  readonly totalBytes: number;
  readonly zeroCopy: ZeroCopyOptions;
}

// Sizes from a byte to four MiB, all orders of magnitude alike, rounded so that memory is used again.
function* mixedSizes(totalBytes: number): Generator<number> {
  const random = seededRandom(20_260_101);
  let left = totalBytes;
  while (left > 0) {
    const exponent = random() * 22;
    const size = Math.ceil(2 ** Math.floor(exponent) * (1 + Math.floor((exponent % 1) * 4) / 4));
    const bytes = Math.min(left, size, 4 * MIB);
    left -= bytes;
    yield bytes;
  }
}

/** Sends `totalBytes`, ends, and says how that went at both ends. */
export async function mixed(params: MixedParams) {
  const client = await ReceiverClient.open(params.to);
  const out = await client.stream({}, { zeroCopy: params.zeroCopy });
  await out.writeAll(mixedSizes(params.totalBytes));
  const beforeEnd = out.socket.zeroCopy.state;
  out.end(MIB);
  const report = await client.report(out);
  await out.settled();
  await out.closed();
  const { pendingBytes, pendingSends, stats } = out.socket.zeroCopy;
  await portsClosed();
  await client.close();
  return {
    report,
    written: out.written,
    errors: out.errors,
    outOfOrder: out.outOfOrder,
    bytesWritten: out.socket.bytesWritten,
    state: beforeEnd,
    pendingBytes,
    pendingSends,
    stats,
  };
}
