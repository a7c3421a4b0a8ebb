// How datagrams travelled, as reports and counters tell it, where the kernel copies and where not.
import assert from 'node:assert/strict';
import type { SendReport } from '../../lib/index';
import type { UdpParams } from '../helpers/udp-place';
import { FORCED, type Session, withSession } from '../helpers/udp-session';

const SENDS = 200;
const FITTING_BYTES = 1200;
/** More than the rig's MTU: IP cuts it up, and copies to do so. */
const FRAGMENTED_BYTES = 4000;
const PAGE_BYTES = 4096;
/** MAX_SKB_FRAGS: separate pages that one datagram may lie in. */
const MOST_PAGES = 17;
/** So much memory malloc(3) always maps, so that it begins near the start of a page: a piece that
 * crossed into the next one would count twice. */
const MAPPED_BYTES = 33 * 1024 * 1024;

async function sendOne(session: Session, bytes: number): Promise<SendReport> {
  const { socket, out, target } = session;
  const { port, address } = target;
  const parcel = out.take(target, bytes);
  const report = await out.promised(parcel, socket.send(parcel.data, { port, address }));
  assert.ok(report !== undefined, out.errors.at(-1));
  return report;
}

function sumOf(reports: readonly SendReport[]): Omit<SendReport, 'engine' | 'reason'> {
  const sum = { bytes: 0, zeroCopyBytes: 0, copiedBytes: 0, kernelCopiedBytes: 0, unknownBytes: 0 };
  for (const report of reports) {
    for (const key of Object.keys(sum) as (keyof typeof sum)[]) sum[key] += report[key];
  }
  return sum;
}

/** Datagrams that fit the MTU: not copied on the rig, copied over loopback, where we go on by name. */
export function forced(params: UdpParams): Promise<void> {
  return withSession(params, { zeroCopy: FORCED }, async (session) => {
    const { socket, out } = session;
    const sent = Array.from({ length: SENDS }, () => sendOne(session, FITTING_BYTES));
    const sum = sumOf(await Promise.all(sent));
    await out.verify();
    const { stats, state, engine } = socket.zeroCopy;
    assert.deepEqual([state, engine], ['active', 'msg_zerocopy']);
    assert.equal(sum.bytes, SENDS * FITTING_BYTES);
    assert.equal(stats.zeroCopySends, SENDS);
    if (params.place === 'rig') {
      assert.deepEqual([sum.kernelCopiedBytes, sum.copiedBytes], [0, 0]);
      assert.ok(sum.zeroCopyBytes > 0);
      assert.equal(stats.kernelCopiedSends, 0);
    } else {
      assert.deepEqual([sum.zeroCopyBytes, sum.copiedBytes], [0, 0]);
      assert.ok(sum.kernelCopiedBytes > 0);
    }
  });
}

/** One after the other, so that no two notifications are merged: each report is certain. */
export function certain(params: UdpParams): Promise<void> {
  return withSession(params, { zeroCopy: FORCED }, async (session) => {
    for (let i = 0; i < 50; i++) {
      const { bytes, ...report } = await sendOne(session, FITTING_BYTES);
      const fate = params.place === 'rig' ? 'zeroCopyBytes' : 'kernelCopiedBytes';
      assert.equal(report[fate], bytes, JSON.stringify(report));
      assert.equal(report.engine, 'msg_zerocopy');
    }
    await session.out.verify();
  });
}

/** Left to itself: goes on where nothing is copied, pauses and says why where it is. */
export function automatic(params: UdpParams): Promise<void> {
  const zeroCopy = { engine: 'auto', threshold: 0 } as const;
  return withSession(params, { zeroCopy }, async (session) => {
    const { socket, out } = session;
    const reports: SendReport[] = [];
    for (let i = 0; i < SENDS; i++) reports.push(await sendOne(session, FITTING_BYTES));
    await out.verify();
    const { stats, state, reason } = socket.zeroCopy;
    if (params.place === 'rig') {
      assert.deepEqual([state, reason, stats.kernelCopiedSends], ['active', undefined, 0]);
      assert.equal(stats.zeroCopySends, SENDS);
      return;
    }
    assert.deepEqual([state, reason], ['paused', 'kernel-copied']);
    assert.ok(stats.zeroCopySends < SENDS / 2, `${stats.zeroCopySends} zero-copy sends`);
    assert.ok(stats.kernelCopiedSends > 0);
    const last = reports.at(-1) as SendReport;
    assert.deepEqual([last.copiedBytes, last.reason], [FITTING_BYTES, 'kernel-copied']);
  });
}

/** Small sends stay copies by default: the threshold. */
export function belowThreshold(params: UdpParams): Promise<void> {
  return withSession(params, { zeroCopy: { engine: 'msg_zerocopy' } }, async (session) => {
    const small = await sendOne(session, FITTING_BYTES);
    assert.deepEqual([small.copiedBytes, small.reason], [FITTING_BYTES, 'below-threshold']);
    const large = await sendOne(session, 40_000);
    assert.equal(large.copiedBytes, 0);
    await session.out.verify();
  });
}

/** Larger than the MTU: the kernel copies, the bytes arrive. Over loopback everything fits. */
export function fragmented(params: UdpParams): Promise<void> {
  return withSession(params, { zeroCopy: FORCED }, async (session) => {
    for (let i = 0; i < 20; i++) {
      const { bytes, kernelCopiedBytes } = await sendOne(session, FRAGMENTED_BYTES);
      assert.equal(kernelCopiedBytes, bytes);
    }
    await session.out.verify();
    assert.equal(session.socket.zeroCopy.stats.kernelCopiedSends, 20);
  });
}

/** A datagram without a byte has an id and a notification, as any other (kernel-notes.md, 2). */
export function empty(params: UdpParams): Promise<void> {
  return withSession(params, { zeroCopy: FORCED }, async (session) => {
    const { socket, out, target } = session;
    for (let i = 0; i < 400; i++) {
      const parcel = out.take(target, i % 3 === 0 ? 0 : 100 + i);
      socket.send(parcel.data, target.port, target.address, out.releaseCallback(parcel));
      if (i % 50 === 0) await socket.zeroCopy.flush();
    }
    await out.verify();
    assert.deepEqual(out.errors, []);
    const { stats } = socket.zeroCopy;
    assert.equal(stats.notifications, stats.zeroCopySends);
  });
}

// `count` pieces of one datagram, each in a page of its own and apart from the others.
function inPages(data: Buffer, count: number): Buffer[] {
  const memory = Buffer.allocUnsafeSlow(MAPPED_BYTES);
  const each = Math.ceil(data.length / count);
  return Array.from({ length: count }, (_, index) => {
    const part = data.subarray(index * each, (index + 1) * each);
    const piece = memory.subarray(2 * index * PAGE_BYTES, 2 * index * PAGE_BYTES + part.length);
    part.copy(piece);
    return piece;
  });
}

/** A datagram in more pages than a packet refers to goes by copy, and the report says so. */
export function manyPages(params: UdpParams): Promise<void> {
  return withSession(params, { zeroCopy: FORCED }, async (session) => {
    const { socket, out, target } = session;
    const { port, address } = target;
    for (const pages of [MOST_PAGES, MOST_PAGES + 1, 2, 40, MOST_PAGES]) {
      const parcel = out.take(target, 1000);
      const pieces = inPages(parcel.data, pages);
      const promise = socket.send(pieces, { port, address });
      const report = await out.promised(parcel, promise);
      for (const piece of pieces) piece.fill(0xee);
      assert.ok(report !== undefined, out.errors.at(-1));
      if (pages > MOST_PAGES) assert.equal(report.copiedBytes, 1000, JSON.stringify(report));
      else assert.equal(report.copiedBytes, 0, JSON.stringify(report));
    }
    await out.verify();
  });
}
