// Memory that is taken away while a part of a write waits for space: its pointer must be looked up as late as
// the next request, and what is gone must not be sent from.
import assert from 'node:assert/strict';
import { fillFrom } from '../../scripts/pattern';
import type { Outgoing } from '../helpers/outgoing';
import { assertComplete, MIB, scenario } from './io-uring-kit';

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

function written(out: Outgoing, view: Uint8Array): Promise<Error | null | undefined> {
  return new Promise((resolve) => out.socket.write(view, resolve));
}

// A view of resizable memory with the next bytes of the stream.
function takeResizable(out: Outgoing, length: number): [Uint8Array, ResizableArrayBuffer] {
  const memory = new (ArrayBuffer as unknown as ResizableConstructor)(LARGE, {
    maxByteLength: 2 * LARGE,
  });
  const view = new Uint8Array(memory, 0, length);
  const bytes = Buffer.alloc(LARGE);
  fillFrom(bytes, out.stream, out.written);
  view.set(bytes.subarray(0, view.length));
  out.written += view.length;
  return [view, memory];
}

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
