// Memory that is sent again and again, and is registered with the ring for that: the same memory with
// other bytes each time, and what happens to it in between.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { constants as osConstants } from 'node:os';
import { loadNative, type Native } from '../../lib/native/binding';
import { metrics } from '../../lib/index';
import { NO_SLOT } from '../../lib/memory/registered-memory';
import { getSubmitRing, SubmitRing } from '../../lib/native/submit-ring';
import { compiled } from '../helpers/compiled';
import { fillFrom, OVERWRITTEN } from '../helpers/keystream';
import type { Outgoing } from '../helpers/outgoing';
import type { ReceiverClient } from '../helpers/receiver-client';
import { until } from '../helpers/until';
import { assertComplete, assertReleased, MIB, scenario, type UringParams } from './io-uring-kit';

const HEAD = 300;
const BODY = 256 * 1024;
/** Far more than it takes: one send of four is looked at, at random. */
const ROUNDS = 200;

const { native } = loadNative() as { native: Native };
type Replaceable = 'sendByRing' | 'registerMemory' | 'send';

// Puts `instead` in the place of a call of the addon's while `body` runs.
async function replacing<K extends Replaceable>(
  name: K,
  instead: (real: Native[K]) => Native[K],
  body: () => Promise<void>,
): Promise<void> {
  const real = native[name];
  Object.assign(native, { [name]: instead(real) });
  try {
    await body();
  } finally {
    Object.assign(native, { [name]: real });
  }
}

// Requests that name a slot while `body` runs, and requests in all.
async function requestsIn(body: () => Promise<void>): Promise<{ named: number; all: number }> {
  const seen = { named: 0, all: 0 };
  const counted =
    (real: Native['sendByRing']): Native['sendByRing'] =>
    (...args) => {
      seen.all++;
      if (args[6] !== NO_SLOT) seen.named++;
      return real(...args);
    };
  await replacing('sendByRing', counted, body);
  return seen;
}

function giveBackAll(): void {
  const ring = getSubmitRing();
  assert.ok(ring instanceof SubmitRing);
  for (let i = 0; i < 10; i++) ring.memory.sweep();
  assert.equal(metrics().registeredBytes, 0);
}

/** A stream, and nothing registered before and after it. */
function registering(
  body: (out: Outgoing, client: ReceiverClient, params: UringParams) => Promise<void>,
): (params: UringParams) => Promise<void> {
  return scenario(async (client: ReceiverClient, params: UringParams) => {
    giveBackAll();
    const out = await client.stream({}, { zeroCopy: params.zeroCopy });
    await body(out, client, params);
    await assertReleased(out);
    giveBackAll();
  });
}

// Writes pieces together, and waits until they are handed back: Outgoing takes the same memory again.
async function write(out: Outgoing, ...sizes: number[]): Promise<void> {
  out.socket.cork();
  for (const size of sizes) out.write(size);
  out.socket.uncork();
  await out.settled();
}

async function writeUntilRegistered(out: Outgoing, ...sizes: number[]): Promise<void> {
  for (let i = 0; i < ROUNDS; i++) await write(out, ...sizes);
  assert.ok(metrics().registeredBytes >= BODY, `${metrics().registeredBytes} bytes registered`);
}

async function ends(client: ReceiverClient, out: Outgoing): Promise<void> {
  out.end(1000);
  await assertComplete(client, out);
}

export const alone = registering(async (out, client) => {
  const requests = await requestsIn(() => writeUntilRegistered(out, BODY));
  assert.ok(requests.named > ROUNDS / 4, `${requests.named} of ${requests.all} name a slot`);
  assert.ok(out.socket.zeroCopy.stats.registeredSends > ROUNDS / 4, 'and are counted');
  await ends(client, out);
});

export const behindHead = registering(async (out, client) => {
  const before = out.socket.zeroCopy.stats.copiedBytes;
  const requests = await requestsIn(() => writeUntilRegistered(out, HEAD, BODY));
  assert.ok(requests.named > ROUNDS / 4, `${requests.named} of ${requests.all} name a slot`);
  assert.ok(out.socket.zeroCopy.stats.registeredSends > ROUNDS / 4, 'and are counted');
  const { copiedBytes } = out.socket.zeroCopy.stats;
  assert.ok((copiedBytes - before) % HEAD === 0 && copiedBytes > before, `${copiedBytes} copied`);
  await ends(client, out);
});

export const behindLargePieces = registering(async (out, client) => {
  await writeUntilRegistered(out, BODY);
  const requests = await requestsIn(async () => {
    for (let i = 0; i < 10; i++) await write(out, 10_000, 20_000, BODY);
    for (let i = 0; i < 10; i++) await write(out, 20_000, BODY);
  });
  assert.equal(requests.named, 0);
  await ends(client, out);
});

function detach({ buffer }: Uint8Array): ArrayBuffer {
  return structuredClone(buffer as ArrayBuffer, { transfer: [buffer as ArrayBuffer] });
}

// Memory of the scenario's own, sent until it is registered.
async function registeredView(out: Outgoing): Promise<Buffer> {
  const view = Buffer.allocUnsafeSlow(BODY);
  for (let i = 0; i < ROUNDS; i++) assert.equal(await writeView(out, view), undefined);
  assert.ok(metrics().registeredBytes >= BODY);
  return view;
}

async function writeView(out: Outgoing, view: Buffer): Promise<string | undefined> {
  fillFrom(view, out.stream, out.written);
  out.written += view.length;
  return written(out, view);
}

function written(out: Outgoing, view: Buffer): Promise<string | undefined> {
  return new Promise((resolve) => {
    out.socket.write(view, (error) => {
      if (view.length > 0) view.fill(OVERWRITTEN);
      resolve((error as NodeJS.ErrnoException | null | undefined)?.code);
    });
  });
}

export const taken = registering(async (out, client) => {
  const view = await registeredView(out);
  fillFrom(view, out.stream, out.written);
  out.written += view.length;
  const settled = written(out, view);
  // The next owner keeps it as it is until then: what the kernel sends from is this memory.
  const moved = detach(view);
  assert.equal(await settled, undefined);
  new Uint8Array(moved).fill(OVERWRITTEN);
  await ends(client, out);
});

export const reused = registering(async (out, client) => {
  for (let i = 0; i < 5; i++) {
    detach(await registeredView(out)).slice(0, 1);
    // The allocator gives addresses out anew when the last owner is gone.
    globalThis.gc?.();
    const views = Array.from({ length: 8 }, () => Buffer.allocUnsafeSlow(BODY));
    const requests = await requestsIn(async () => {
      for (const view of views) await writeView(out, view);
    });
    assert.equal(requests.named, 0);
    giveBackAll();
  }
  await ends(client, out);
});

async function neverRegistered(out: Outgoing, view: Buffer): Promise<void> {
  const requests = await requestsIn(async () => {
    for (let i = 0; i < ROUNDS; i++) await writeView(out, view);
  });
  assert.equal(requests.named, 0);
  assert.ok(requests.all >= ROUNDS);
  assert.equal(metrics().registeredBytes, 0);
}

export const resizable = registering(async (out, client) => {
  type Growable = new (bytes: number, options: { maxByteLength: number }) => ArrayBuffer;
  const memory = new (ArrayBuffer as unknown as Growable)(BODY, { maxByteLength: 2 * BODY });
  await neverRegistered(out, Buffer.from(memory));
  await ends(client, out);
});

export const shared = registering(async (out, client) => {
  await neverRegistered(out, Buffer.from(new SharedArrayBuffer(BODY)));
  await ends(client, out);
});

export const spawned = registering(async (out, client) => {
  const view = await registeredView(out);
  const requests = await requestsIn(async () => {
    for (let i = 0; i < 5; i++) {
      assert.equal(spawnSync('true').status, 0);
      await writeView(out, view);
    }
  });
  assert.equal(requests.named, 5);
  await ends(client, out);
});

interface Forks {
  forkSleeper(): number;
  endSleeper(): number;
}

function loadForks(): Forks {
  const loaded = { exports: {} as Forks };
  process.dlopen(loaded, compiled('forks', ['-shared', '-fPIC']));
  return loaded.exports;
}

// A page that parent and child share is copied for whoever writes first: never for one that is pinned.
export const forked = registering(async (out, client) => {
  const forks = loadForks();
  const view = await registeredView(out);
  const requests = await requestsIn(async () => {
    for (let i = 0; i < 5; i++) {
      const pid = forks.forkSleeper();
      assert.ok(pid > 0);
      try {
        await writeView(out, view);
        await writeView(out, view);
      } finally {
        assert.equal(forks.endSleeper(), pid);
      }
      await writeView(out, view);
    }
  });
  assert.equal(requests.named, 15);
  await ends(client, out);
});

// As much as may be registered in one piece, and more than the buffers of a connection take.
const MUCH = 15 * MIB;

async function registerMuch(client: ReceiverClient, out: Outgoing): Promise<Buffer> {
  const much = Buffer.allocUnsafeSlow(MUCH);
  for (let at = 0; metrics().registeredBytes === 0; at = (at + MIB) % MUCH) {
    assert.ok(out.written < 100 * MUCH, 'it is never registered');
    await writeView(out, much.subarray(at, at + MIB));
  }
  await ends(client, out);
  return much;
}

// Sends it to a receiver that does not read, until no more is accepted.
async function sendMuch(client: ReceiverClient, out: Outgoing, much: Buffer) {
  fillFrom(much, out.stream, 0);
  out.written += MUCH;
  const handedBack: Promise<string | undefined>[] = [];
  for (let at = 0; at < MUCH; at += MIB) {
    handedBack.push(written(out, much.subarray(at, at + MIB)));
    await client.received(out);
  }
  return Promise.all(handedBack);
}

export const givenBack = registering(async (first, client, params) => {
  const much = await registerMuch(client, first);
  const out = await client.stream({ stallAfter: 0 }, { zeroCopy: params.zeroCopy });
  let handedBack: Promise<unknown> | undefined;
  const requests = await requestsIn(async () => {
    handedBack = sendMuch(client, out, much);
    await client.received(out);
  });
  assert.ok(requests.named > 0);
  await until('much is pending', () => out.socket.zeroCopy.pendingBytes > MIB);
  giveBackAll();
  // Other memory in its slot.
  const other = await client.stream({}, { zeroCopy: params.zeroCopy });
  await writeUntilRegistered(other, BODY);
  await ends(client, other);
  await client.resume(out);
  await handedBack;
  await ends(client, out);
});

export const ended = registering(async (first, client, params) => {
  const much = await registerMuch(client, first);
  const out = await client.stream({ stallAfter: 0 }, { zeroCopy: params.zeroCopy });
  const handedBack = sendMuch(client, out, much);
  await until('much is pending', () => out.socket.zeroCopy.pendingBytes > MIB);
  giveBackAll();
  out.socket.resetAndDestroy();
  await handedBack;
  await out.closed();
});

export const refused = registering(async (out, client) => {
  let tries = 0;
  const refuse = (): Native['registerMemory'] => () => {
    tries++;
    return -osConstants.errno.ENOMEM;
  };
  await replacing('registerMemory', refuse, async () => {
    for (let i = 0; i < ROUNDS; i++) await write(out, HEAD, BODY);
  });
  assert.equal(tries, 1);
  assert.equal(metrics().refusedRegistrations['ENOMEM'], 1);
  assert.equal(out.socket.zeroCopy.stats.enobufs, 0);
  await ends(client, out);
});

export const headInParts = registering(async (out, client) => {
  await writeUntilRegistered(out, HEAD, BODY);
  const { EAGAIN, ENOBUFS, EINTR } = osConstants.errno;
  for (const answer of [1, HEAD - 1, -EAGAIN, -ENOBUFS, -EINTR]) {
    let asked = 0;
    const shorten =
      (real: Native['send']): Native['send'] =>
      (port, pieces, first, offset, length, flags) => {
        asked++;
        if (answer < 0) return answer;
        return real(port, pieces, first, offset, Math.min(length, answer), flags);
      };
    await replacing('send', shorten, async () => {
      for (let i = 0; i < 3; i++) await write(out, HEAD, BODY);
    });
    assert.ok(asked >= 3, `${asked} heads`);
  }
  await ends(client, out);
});

export const headFails = registering(async (out, client) => {
  await writeUntilRegistered(out, HEAD, BODY);
  const before = out.written;
  const fail = (): Native['send'] => () => -osConstants.errno.EPIPE;
  await replacing('send', fail, () => write(out, HEAD, BODY));
  await out.closed();
  assert.deepEqual([out.errors, out.socketError], [['EPIPE', 'EPIPE'], 'EPIPE']);
  const report = await client.report(out);
  assert.deepEqual([report.bytes, report.wrong], [before, 0]);
});
