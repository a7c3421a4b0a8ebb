// Sockets that are not ours alone: the kernel counts zero-copy sends for each socket, so where another
// owner may have sent, or may send later, this package copies or lets go.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { connect } from '../../lib/index';
import { handOver, HEIR_BYTES, HEIR_FILL, Heirs } from './heirs';
import { isolated } from '../helpers/isolated';
import { until } from '../../scripts/until';
import {
  gather,
  loopback,
  sha256,
  STALLING_BYTES,
  type Gathered,
  type Upgraded,
} from '../helpers/loopback';

const ROOT = path.join(__dirname, '../../..');
/** Accepted at once over loopback, but far more than a far end that does not read has room for. */
const ACCEPTED_UNREAD = 1024 * 1024;
const FORCED = { engine: 'msg_zerocopy', threshold: 1 } as const;

describe('a Unix-domain socket', () => {
  const connections = loopback();
  let folder = '';
  before(() => (folder = mkdtempSync(path.join(os.tmpdir(), 'zero-copy-'))));
  after(() => rmSync(folder, { recursive: true, force: true }));

  it('copies with a reason, and every byte arrives', async () => {
    const file = path.join(folder, 'socket');
    const server = await connections.listen(net.createServer({ pauseOnConnect: true }), file);
    const accepted = once(server, 'connection') as Promise<[net.Socket]>;
    const sender = connections.own(connect({ path: file, zeroCopy: FORCED }));
    const early = Buffer.alloc(ACCEPTED_UNREAD, 1);
    sender.write(early); // while connecting
    const arrived = gather((await accepted)[0]);
    const late = Buffer.alloc(STALLING_BYTES, 2);
    const report = await sender.send(late);
    assert.equal(report.copiedBytes, STALLING_BYTES);
    assert.equal(report.reason, 'not-tcp');
    const { engine, state, reason, stats } = sender.zeroCopy;
    const { zeroCopyBytes } = stats;
    assert.deepEqual(
      { engine, state, reason, zeroCopyBytes },
      { engine: 'copy', state: 'unsupported', reason: 'not-tcp', zeroCopyBytes: 0 },
    );
    sender.end();
    assert.equal((await arrived).sha256, sha256(early, late));
  });
});

describe('a socket on which other code has enabled SO_ZEROCOPY', () => {
  let folder = '';
  before(() => (folder = mkdtempSync(path.join(os.tmpdir(), 'zero-copy-'))));
  after(() => rmSync(folder, { recursive: true, force: true }));

  it('copies with a reason, and every byte arrives', async () => {
    // The addon from another path is another addon, with counters of its own.
    const somebody = path.join(folder, 'somebody_else.node');
    copyFileSync(path.join(ROOT, 'build/Release/msg_zerocopy.node'), somebody);
    const { answer, stderr } = await isolated(besideSomebody, { env: { SOMEBODY: somebody } });
    assert.deepEqual(
      answer,
      {
        right: true,
        before: 'none',
        control: { engine: 'copy', state: 'unsupported', reason: 'foreign-owner' },
        report: { copiedBytes: 1_000_000, reason: 'foreign-owner' },
        zeroCopySends: 0,
      },
      stderr,
    );
  });
});

describe('a socket that is passed to another process', () => {
  const connections = loopback();
  const heirs = new Heirs('msg_zerocopy');

  it('with pending data: all of it arrives, then what the other process sends, copied', async () => {
    const { sender, receiver } = await connections.pair(FORCED);
    sender.on('error', assert.fail);
    const mine = Buffer.alloc(ACCEPTED_UNREAD, 1);
    const released = new Promise<Error | null | undefined>((resolve) =>
      sender.write(mine, (error) => {
        mine.fill(0xee);
        resolve(error);
      }),
    );
    await until('all is accepted', () => sender.writableLength === 0);
    assert.ok(sender.zeroCopy.pendingBytes > 0);
    const { reason } = await handOver(await heirs.start(), sender);
    assert.equal(reason, 'foreign-owner');
    const arrived = gather(receiver);
    assert.equal((await released) ?? null, null);
    assert.equal(
      (await arrived).sha256,
      sha256(Buffer.alloc(ACCEPTED_UNREAD, 1), Buffer.alloc(HEIR_BYTES, HEIR_FILL)),
    );
  });

  it('with nothing pending: the other process continues where this one stopped', async () => {
    const { sender, receiver } = await connections.pair(FORCED);
    const arrived = gather(receiver);
    await sender.send(Buffer.alloc(ACCEPTED_UNREAD, 1));
    await sender.zeroCopy.flush();
    assert.equal((await handOver(await heirs.start(), sender)).reason, 'foreign-owner');
    assert.equal(
      (await arrived).sha256,
      sha256(Buffer.alloc(ACCEPTED_UNREAD, 1), Buffer.alloc(HEIR_BYTES, HEIR_FILL)),
    );
  });

  it('with part of a write waiting: the writer gets an error, and no other bytes follow the part that was sent', async () => {
    const { sender, receiver } = await connections.pair(FORCED);
    const failed = once(sender, 'error') as Promise<[NodeJS.ErrnoException]>;
    const callback = waitingWrite(sender);
    const answer = heirs.start().then((child) => handOver(child, sender));
    assert.equal((await failed)[0].code, 'ERR_ZC_HANDLE_TAKEN');
    assert.equal((await callback)?.code, 'ERR_ZC_HANDLE_TAKEN');
    const seen = new Set<number>();
    const arrived: Promise<Gathered> = gather(receiver, (chunk) => {
      for (const byte of chunk) seen.add(byte);
    });
    await answer;
    const { bytes } = await arrived;
    assert.ok(bytes < STALLING_BYTES, `${bytes} arrived`);
    assert.ok(!seen.has(HEIR_FILL), 'the other process sent into the middle of a write');
    assert.ok(!seen.has(0xee), 'released too early');
    assert.equal(sender.destroyed, true);
  });
});

function waitingWrite(sender: Upgraded): Promise<NodeJS.ErrnoException | null | undefined> {
  const data = Buffer.alloc(STALLING_BYTES, 1);
  const settled = new Promise<NodeJS.ErrnoException | null | undefined>((resolve) =>
    sender.write(data, (error) => {
      data.fill(0xee);
      resolve(error);
    }),
  );
  assert.ok(sender.writableLength > 0, 'nothing waits');
  return settled;
}

/** Lets another addon attach to a connection, then upgrades it and sends. */
async function besideSomebody({
  zc,
  net: nodeNet,
  events,
}: Parameters<Parameters<typeof isolated>[0]>[0]): Promise<object> {
  // eslint-disable-next-line @typescript-eslint/no-require-imports
  const somebody = require(
    process.env['SOMEBODY'] ?? '',
  ) as import('../../lib/native/binding').Native;
  const words = new Uint32Array(1024 * somebody.constants.RECORD_WORDS + 1);
  const numbers = new Float64Array(2048);
  somebody.start(words, () => undefined, 0, numbers, numbers);
  const server = nodeNet.createServer().listen(0, '127.0.0.1');
  const accepted = events.once(server, 'connection') as Promise<[net.Socket]>;
  await events.once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  const plain = nodeNet.connect(port, '127.0.0.1');
  const [far] = await accepted;
  if (plain.connecting) await events.once(plain, 'connect');
  const parts: Buffer[] = [];
  far.on('data', (part: Buffer) => parts.push(part));
  const index = somebody.attach(
    (plain as unknown as { _handle: { fd: number } })._handle.fd,
    false,
    false,
    0,
  );
  if (index < 0) throw new Error(`attach answered ${index}`);
  const sender = zc.enableZeroCopy(plain, { engine: 'msg_zerocopy', threshold: 1 });
  const before = sender.zeroCopy.reason ?? 'none';
  const { copiedBytes, reason: why } = await sender.send(Buffer.alloc(1_000_000, 5));
  const { engine, state, reason, stats } = sender.zeroCopy;
  const ended = events.once(far, 'end');
  sender.end();
  await ended;
  somebody.detach(index);
  server.close();
  return {
    right: Buffer.concat(parts).equals(Buffer.alloc(1_000_000, 5)),
    before,
    control: { engine, state, reason },
    report: { copiedBytes, reason: why },
    zeroCopySends: stats.zeroCopySends,
  };
}
