// Requests are prepared at the end of the turn, so memory may be taken away between write() and then:
// its pointer must be looked up as late as that, and what is gone must not be sent from.
import assert from 'node:assert/strict';
import { fillFrom, OVERWRITTEN } from '../../helpers/keystream';
import type { Outgoing } from '../../helpers/outgoing';
import type { ReceiverClient } from '../../helpers/receiver-client';
import { assertComplete, assertReleased, MIB, scenario, type UringParams } from './io-uring-kit';

const LARGE = 256 * 1024;
const CODE = 'ERR_ZC_BUFFER_DETACHED';

/** ES2024, which the types do not know yet. */
interface ResizableArrayBuffer extends ArrayBuffer {
  resize(bytes: number): void;
}
type ResizableConstructor = new (
  bytes: number,
  options: { maxByteLength: number },
) => ResizableArrayBuffer;

// Transfers the memory away; its new owner writes into it at once.
function detach({ buffer }: Uint8Array): void {
  const moved = structuredClone(buffer, { transfer: [buffer as ArrayBuffer] });
  new Uint8Array(moved as ArrayBuffer).fill(OVERWRITTEN);
}

// Streams that write in the same turn, before and behind the one that fails.
async function bystanders(client: ReceiverClient, params: UringParams): Promise<Outgoing[]> {
  const streams: Outgoing[] = [];
  for (let i = 0; i < 3; i++) {
    streams.push(await client.stream({}, { zeroCopy: params.zeroCopy }));
  }
  return streams;
}

type Failing = (out: Outgoing) => Promise<Error | null | undefined>;

// `failing` writes what cannot be sent, behind `before` bytes that can, amid the bystanders' writes.
async function amidOthers(
  client: ReceiverClient,
  params: UringParams,
  before: number,
  failing: Failing,
): Promise<void> {
  const others = await bystanders(client, params);
  const out = await client.stream({}, { zeroCopy: params.zeroCopy });
  if (before > 0) {
    out.write(before);
    await out.settled();
  }
  // What is written while a turn ends may be sent at once; this comes from the peer's answer.
  await client.received(out);
  others[0]?.write(LARGE);
  const settled = failing(out);
  others[1]?.write(LARGE);
  others[2]?.write(MIB);
  const error = (await settled) as NodeJS.ErrnoException | null | undefined;
  assert.equal(error?.code, CODE);
  await out.closed();
  assert.equal(out.socketError, CODE);
  const report = await client.report(out);
  assert.equal(report.wrong, 0);
  assert.equal(report.bytes, before, 'something of the failed write was sent');
  await assertReleased(out);
  for (const other of others) {
    other.end(LARGE);
    await assertComplete(client, other);
  }
}

function written(out: Outgoing, view: Uint8Array): Promise<Error | null | undefined> {
  return new Promise((resolve) => out.socket.write(view, resolve));
}

/** The memory is transferred away in the turn of the write. */
export const detached = scenario((client, params) =>
  amidOthers(client, params, 100_000, (out) => {
    const buffer = out.take(LARGE);
    const settled = written(out, buffer);
    detach(buffer);
    return settled;
  }),
);

/** The same to the first write of a connection. */
export const detachedAtFirst = scenario((client, params) =>
  amidOthers(client, params, 0, (out) => {
    const buffer = out.take(LARGE);
    const settled = written(out, buffer);
    detach(buffer);
    return settled;
  }),
);

/** The second of two pieces that one request would take: the first must not go alone and be closed up. */
export const detachedPiece = scenario(async (client, params) => {
  const others = await bystanders(client, params);
  const out = await client.stream({}, { zeroCopy: params.zeroCopy });
  await client.received(out);
  out.socket.cork();
  out.write(LARGE);
  const gone = out.take(LARGE);
  const settled = written(out, gone);
  // Would close the gap, and be wrong there.
  out.write(LARGE);
  out.socket.uncork();
  others[0]?.write(LARGE);
  detach(gone);
  assert.equal(((await settled) as NodeJS.ErrnoException | null)?.code, CODE);
  await out.closed();
  const report = await client.report(out);
  assert.equal(report.wrong, 0);
  assert.ok(report.bytes <= LARGE, `${report.bytes} arrived`);
  await assertReleased(out);
  for (const other of others) {
    other.end(LARGE);
    await assertComplete(client, other);
  }
});

// A view of resizable memory with the next bytes of the stream.
function takeResizable(out: Outgoing, length?: number): [Uint8Array, ResizableArrayBuffer] {
  const memory = new (ArrayBuffer as unknown as ResizableConstructor)(LARGE, {
    maxByteLength: 2 * LARGE,
  });
  const view = length === undefined ? new Uint8Array(memory) : new Uint8Array(memory, 0, length);
  const bytes = Buffer.alloc(LARGE);
  fillFrom(bytes, out.stream, out.written);
  view.set(bytes.subarray(0, view.length));
  out.written += view.length;
  return [view, memory];
}

/** A view that follows its memory's length, of which nothing is left. */
export const shrunkToNothing = scenario((client, params) =>
  amidOthers(client, params, 100_000, (out) => {
    const [view, memory] = takeResizable(out);
    const settled = written(out, view);
    memory.resize(0);
    return settled;
  }),
);

/** A view of a fixed length, which its memory no longer has. */
export const shrunkUnderView = scenario((client, params) =>
  amidOthers(client, params, 100_000, (out) => {
    const [view, memory] = takeResizable(out, LARGE);
    const settled = written(out, view);
    memory.resize(4096);
    return settled;
  }),
);

/** A view that follows its memory's length: what is behind the end is not its memory any more. */
export const shrunkInPart = scenario((client, params) =>
  amidOthers(client, params, 100_000, (out) => {
    const [view, memory] = takeResizable(out);
    const settled = written(out, view);
    memory.resize(LARGE / 2);
    return settled;
  }),
);

/** Memory that grew moves nothing, and is sent. */
export const grown = scenario(async (client, params) => {
  const out = await client.stream({}, { zeroCopy: params.zeroCopy });
  await client.received(out);
  const [view, memory] = takeResizable(out, LARGE);
  const settled = written(out, view);
  memory.resize(2 * LARGE);
  assert.equal((await settled) ?? null, null);
  out.end(1);
  await assertComplete(client, out);
});

/** While a part of it waits for space in the send buffer. */
export const detachedWaiting = scenario(async (client, params) => {
  const out = await client.stream({ stallAfter: 0 }, { zeroCopy: params.zeroCopy });
  const gone = out.take(48 * MIB);
  const settled = written(out, gone);
  // Two turns: what the kernel takes of it at once, it has taken.
  await client.received(out);
  await client.received(out);
  const pending = out.socket.zeroCopy.pendingBytes;
  assert.ok(pending > 0, 'nothing is in flight');
  // Not with other bytes: the kernel references a part of the memory, which is the program's fault.
  structuredClone(gone.buffer, { transfer: [gone.buffer as ArrayBuffer] });
  await client.resume(out);
  assert.equal(((await settled) as NodeJS.ErrnoException | null)?.code, CODE);
  await out.closed();
  assert.equal((await client.report(out)).wrong, 0);
});
