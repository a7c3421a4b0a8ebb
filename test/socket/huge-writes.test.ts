// Lengths beyond what 31 and what 32 bits hold. Of the longer ones the memory is never touched, so that it takes no
// place.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import type { Writable } from 'node:stream';
import { connect, enableZeroCopy, type ZeroCopyOptions } from '../../lib/index';
import { randomBytes, seededRandom } from '../../scripts/random';
import { loopback } from '../helpers/loopback';
import { uringSuite } from '../helpers/suites';

const GIB = 2 ** 30;

/** Sends by an upgraded socket, and asserts that so many bytes arrive, all of them zero. */
async function assertArrives(
  bytes: number,
  options: ZeroCopyOptions,
  send: (socket: net.Socket) => void,
): Promise<void> {
  const sink = net.createServer().listen(0, '127.0.0.1');
  await once(sink, 'listening');
  const connected = once(sink, 'connection') as Promise<[net.Socket]>;
  const socket = net.connect((sink.address() as net.AddressInfo).port, '127.0.0.1');
  enableZeroCopy(socket, options);
  const [peer] = await connected;
  let received = 0;
  let wrong = 0;
  peer.on('data', (chunk: Buffer) => {
    received += chunk.length;
    if (chunk[0] !== 0 || chunk[chunk.length - 1] !== 0) wrong++;
  });
  send(socket);
  await once(peer, 'end');
  assert.deepEqual({ received, wrong }, { received: bytes, wrong: 0 });
  sink.close();
}

function oneOf4Gib(options: ZeroCopyOptions): void {
  it('of one buffer of 4 GiB arrives whole', async () => {
    const buffer = Buffer.from(new ArrayBuffer(4 * GIB));
    await assertArrives(4 * GIB, options, (socket) => {
      socket.end(buffer);
    });
  });
}

function twoUnderOneCork(options: ZeroCopyOptions): void {
  it('of two buffers of 2.5 GiB under one cork arrives whole', async () => {
    const buffer = Buffer.from(new ArrayBuffer(2.5 * GIB));
    await assertArrives(5 * GIB, options, (socket) => {
      socket.cork();
      socket.write(buffer);
      socket.end(buffer);
    });
  });
}

describe('a write by copy', () => twoUnderOneCork({ engine: 'copy' }));

describe('a write by MSG_ZEROCOPY', () => {
  twoUnderOneCork({ engine: 'msg_zerocopy', threshold: 1 });
  oneOf4Gib({ engine: 'msg_zerocopy', threshold: 1 });
});

uringSuite('a write by io_uring', () => {
  twoUnderOneCork({ engine: 'io_uring', threshold: 1 });

  // Nothing may be pinned, so that all of it is asked for by copy.
  oneOf4Gib({ engine: 'io_uring', maxPendingBytes: 1 });
});

/** More than 2^31 - 1 bytes: beyond INT_MAX, and beyond what one system call takes (0x7ffff000). */
const HUGE_BYTES = 2 ** 31;
/** A prime, so that no lost or doubled piece of a power of two keeps the pattern in step. */
const PERIOD_BYTES = 1_048_573;

// Runs as a program of its own. Prints its port, then how many bytes came and how many were not the
// pattern that their offset asks for.
const RECEIVER = `
const net = require('node:net');
const period = ${PERIOD_BYTES};
let pattern = Buffer.alloc(0);
process.stdin.on('data', (part) => (pattern = Buffer.concat([pattern, part])));
process.stdin.once('end', () => {
  const twice = Buffer.concat([pattern, pattern]);
  const server = net.createServer((socket) => {
    server.close();
    let bytes = 0;
    let wrong = 0;
    socket.on('data', (chunk) => {
      for (let at = 0; at < chunk.length; at += period) {
        const part = chunk.subarray(at, at + period);
        const from = (bytes + at) % period;
        if (!part.equals(twice.subarray(from, from + part.length))) wrong += part.length;
      }
      bytes += chunk.length;
    });
    socket.once('error', (error) => (wrong = error.message));
    socket.once('close', () => console.log(JSON.stringify({ bytes, wrong })));
  });
  server.listen(0, '127.0.0.1', () => console.log(JSON.stringify(server.address())));
});
`;

interface Receiver {
  readonly port: number;
  readonly arrived: Promise<{ bytes: number; wrong: number | string }>;
}

const receivers = new Set<ReturnType<typeof spawn>>();

async function startReceiver(pattern: Uint8Array): Promise<Receiver> {
  const child = spawn(process.execPath, ['-e', RECEIVER], { stdio: ['pipe', 'pipe', 'inherit'] });
  receivers.add(child);
  child.once('close', () => receivers.delete(child));
  (child.stdin as Writable).end(pattern);
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  const arrived = once(child.stdout, 'data').then(
    ([answer]) =>
      JSON.parse((answer as Buffer).toString()) as { bytes: number; wrong: number | string },
  );
  return { port: (JSON.parse(line.toString()) as { port: number }).port, arrived };
}

describe('a write of 2 GiB', () => {
  const connections = loopback();
  const pattern = randomBytes(seededRandom(31), PERIOD_BYTES);
  let huge: Uint8Array | undefined;

  before(() => {
    huge = new Uint8Array(HUGE_BYTES);
    huge.set(pattern);
    // Doubling what is there costs one pass over the memory.
    for (let filled = PERIOD_BYTES; filled < HUGE_BYTES; filled *= 2) {
      huge.copyWithin(filled, 0, Math.min(filled, HUGE_BYTES - filled));
    }
  });
  after(() => (huge = undefined));
  afterEach(() => {
    for (const receiver of receivers) receiver.kill('SIGKILL');
  });

  for (const zeroCopy of [{ engine: 'msg_zerocopy' }, { engine: 'copy' }] as const) {
    it(`arrives whole, engine ${zeroCopy.engine}`, async () => {
      const { port, arrived } = await startReceiver(pattern);
      const sender = connections.own(connect({ port, host: '127.0.0.1', zeroCopy }));
      const released = new Promise<Error | null | undefined>((resolve) =>
        sender.write(huge as Uint8Array, resolve),
      );
      assert.equal(sender.writableLength, HUGE_BYTES);
      assert.equal((await released) ?? null, null);
      assert.equal(sender.zeroCopy.pendingBytes, 0);
      assert.equal(sender.bytesWritten, HUGE_BYTES);
      const { zeroCopyBytes, copiedBytes } = sender.zeroCopy.stats;
      assert.equal(zeroCopyBytes + copiedBytes, HUGE_BYTES);
      if (zeroCopy.engine === 'msg_zerocopy') assert.ok(zeroCopyBytes > HUGE_BYTES / 2);
      sender.end();
      assert.deepEqual(await arrived, { bytes: HUGE_BYTES, wrong: 0 });
    });
  }

  it('between small chunks of one cork arrives whole, engine msg_zerocopy', async () => {
    const { port, arrived } = await startReceiver(pattern);
    const zeroCopy = { engine: 'msg_zerocopy' } as const;
    const sender = connections.own(connect({ port, host: '127.0.0.1', zeroCopy }));
    await once(sender, 'connect');
    // What comes in front continues the pattern, so that the receiver needs to know nothing more.
    const [head, body] = [pattern.subarray(0, 100), (huge as Uint8Array).subarray(100)];
    const from = HUGE_BYTES % PERIOD_BYTES;
    const tail = pattern.subarray(from, from + 200);
    const report = await sender.send([head, body, tail]);
    assert.equal(report.bytes, HUGE_BYTES + 200);
    const { zeroCopyBytes, copiedBytes, kernelCopiedBytes, unknownBytes } = report;
    assert.equal(zeroCopyBytes + copiedBytes + kernelCopiedBytes + unknownBytes, report.bytes);
    sender.end();
    assert.deepEqual(await arrived, { bytes: HUGE_BYTES + 200, wrong: 0 });
  });
});
