// GSO where the sending device has features switched off: whoever cuts the row, its datagrams are right.
import assert from 'node:assert/strict';
import type { UdpParams } from '../helpers/udp-place';
import { type Session, type SessionOptions, withSession } from '../helpers/udp-session';

export interface DeviceAnswer {
  readonly softwareSegments: number;
  readonly kernelCopiedSends: number;
  readonly zeroCopySends: number;
}

async function sendRows(session: Session, count: number): Promise<void> {
  const { socket, out, target } = session;
  const { port, address } = target;
  for (let i = 0; i < count; i++) {
    const segmentSize = 400 + 13 * i;
    const parcel = out.takeSegments(target, segmentSize, segmentSize * 20 + (i % 7) * 31);
    const sent = socket.send(parcel.data, { port, address, segmentSize });
    const report = await out.promised(parcel, sent);
    assert.ok(report !== undefined, out.errors.at(-1));
  }
}

/** Rows and single datagrams in turn. */
export async function rows(
  params: UdpParams & { readonly options?: SessionOptions },
): Promise<DeviceAnswer> {
  let answer: DeviceAnswer | undefined;
  await withSession(params, params.options ?? {}, async (session) => {
    const { out, socket, target } = session;
    await sendRows(session, 30);
    const parcel = out.take(target, 900);
    socket.send(parcel.data, target.port, target.address, out.releaseCallback(parcel));
    await out.verify();
    assert.equal((await target.report()).outOfOrder, 0);
    const { softwareSegments, kernelCopiedSends, zeroCopySends } = socket.zeroCopy.stats;
    answer = { softwareSegments, kernelCopiedSends, zeroCopySends };
  });
  assert.ok(answer !== undefined);
  return answer;
}
