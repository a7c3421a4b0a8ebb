// What the io_uring scenarios share: the frame of a scenario, and writes that plain Node forgives.
import assert from 'node:assert/strict';
import { capabilities, type ZeroCopyOptions } from '../../lib/index';
import { getSubmitRing } from '../../lib/native/submit-ring';
import { fillFrom, OVERWRITTEN } from '../../scripts/pattern';
import type { Outgoing } from '../helpers/outgoing';
import { type Address, ReceiverClient } from '../helpers/receiver-client';
import { countDescriptors, descriptorsBackTo, portsClosed } from '../helpers/remains';

export const MIB = 1024 * 1024;

export interface UringParams {
  readonly to: Address;
  readonly zeroCopy: ZeroCopyOptions;
  /** Where the receiver reaches a server of the scenario's. */
  readonly senderHost: string;
}

type Body<P> = (client: ReceiverClient, params: P) => Promise<void>;

/** A scenario that leaves no port and no descriptor behind. */
export function scenario<P extends UringParams>(body: Body<P>): (params: P) => Promise<void> {
  return async (params) => {
    const client = await ReceiverClient.open(params.to);
    await useOnce(client, params);
    const before = countDescriptors();
    await body(client, params);
    await portsClosed();
    await descriptorsBackTo(before);
    await client.close();
  };
}

// The first use takes descriptors that stay: those of the ring and of the reactor.
async function useOnce(client: ReceiverClient, { zeroCopy }: UringParams): Promise<void> {
  if (zeroCopy.engine === 'io_uring') assert.equal(capabilities().tcp.io_uring.support, 'yes');
  const out = await client.stream({}, { zeroCopy: { ...zeroCopy, threshold: 1 } });
  out.end(100_000);
  await assertComplete(client, out);
  await portsClosed();
  // A stream that only writes does without; small writes that share a call make it later.
  getSubmitRing();
}

/** All that was written arrived, everything was released in order, and nothing is left. */
export async function assertComplete(client: ReceiverClient, out: Outgoing): Promise<void> {
  const report = await client.report(out);
  assert.deepEqual(report, { bytes: out.written, wrong: 0, end: 'end' });
  await out.settled();
  await out.closed();
  assert.deepEqual([out.errors, out.outOfOrder, out.socketError], [[], 0, undefined]);
  assert.equal(out.socket.bytesWritten, out.written + out.headBytes);
  await assertReleased(out);
}

/** Whatever became of the connection, the kernel references nothing of it. */
export async function assertReleased(out: Outgoing): Promise<void> {
  await out.settled();
  await out.socket.zeroCopy.flush();
  const { pendingBytes, pendingSends, stats } = out.socket.zeroCopy;
  assert.deepEqual([pendingBytes, pendingSends, stats.strayNotifications], [0, 0, 0]);
  assert.equal(stats.notifications, stats.zeroCopySends);
}

/** That the engine under test sent, and not another that took over quietly. */
export function assertEngine(out: Outgoing, { zeroCopy }: UringParams): void {
  const { engine, reason, stats } = out.socket.zeroCopy;
  const expected = zeroCopy.engine ?? 'auto';
  if (expected !== 'auto') assert.equal(engine, expected);
  // Where the kernel copies, which an earlier connection has found out.
  if (expected === 'auto' && reason === 'kernel-copied') return;
  if (expected !== 'copy') assert.ok(stats.zeroCopySends > 0, 'nothing was sent without copying');
}

/** Writes `frame` with the next bytes of the stream, and uses its memory for something else at once. */
export function writeReused(out: Outgoing, frame: Buffer): void {
  fillFrom(frame, out.stream, out.written);
  out.written += frame.length;
  out.socket.write(frame);
  frame.fill(OVERWRITTEN);
}

/** A turn of the event loop. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
