// Files of file systems that cannot tell what is in memory: those of containers' images (overlay) are read ahead and
// go by the kernel; where a read may wait for another machine or for the program itself, Node reads them.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import type net from 'node:net';
import { enableZeroCopy, metrics, sendFile, type SendReport } from '../../lib/index';
import { tryCommand } from '../../scripts/rig/commands';
import { answersOf } from '../helpers/file-kit';
import { isolated, type Tools } from '../helpers/isolated';
import { gather, loopback, sha256 } from '../helpers/loopback';
import { answered, withPair } from '../helpers/sent-files';
import { missing } from '../helpers/suites';

/** Of sysfs: regular, says its size, and read without the page cache. */
const ELSEWHERE = '/sys/kernel/btf/vmlinux';
/** Of sysfs: says that it has 4096 bytes, and has six. */
const SMALL = '/sys/class/net/lo/mtu';
/** Runs a command where this directory is of an overlay. */
const OVERLAY = '/mnt/merged';
const MOUNT = `mount -t tmpfs none /mnt && cd /mnt && mkdir lower upper work merged &&
  mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work none merged && exec "$@"`;
const WITH_OVERLAY = ['unshare', '--user', '--map-root-user', '--mount', 'sh', '-ec', MOUNT, 'sh'];

describe('files of file systems that cannot report what is cached', () => {
  if (fs.existsSync(ELSEWHERE)) declareElsewhere();
  else missing('a large file of sysfs', `there is no ${ELSEWHERE}`);
  declareUnsized();
  const { problem } = tryCommand([...WITH_OVERLAY, 'true']);
  if (problem === undefined) declareOverlay();
  else missing('an overlay', problem);
});

function declareUnsized(): void {
  const content = fs.readFileSync(SMALL);

  it('of sysfs: sendFile() answers with the bytes that there are, not with as many as its size', async () => {
    assert.notEqual(fs.statSync(SMALL).size, content.length);
    const { arrived, outcome } = await answered('upgraded', (response) =>
      sendFile(response, SMALL),
    );
    const [answer] = answersOf(arrived);
    assert.ok(answer?.headers.includes(`Content-Length: ${content.length}`));
    assert.ok(answer?.body.equals(content));
    const { bytes, reason } = outcome as SendReport;
    assert.deepEqual({ bytes, reason }, { bytes: content.length, reason: 'no-size' });
  });

  it('of sysfs: sendFile() to a socket sends the bytes that there are, and later writes follow', () =>
    withPair('upgraded', async (near, far) => {
      const sending = sendFile(near, SMALL);
      near.end('behind');
      const { bytes, reason } = await sending;
      assert.deepEqual({ bytes, reason }, { bytes: content.length, reason: 'no-size' });
      far.socket.resume();
      await once(far.socket, 'close');
      assert.equal(far.all().toString(), `${content.toString()}behind`);
    }));
}

function declareElsewhere(): void {
  const connections = loopback();
  const expected = (): string => sha256(fs.readFileSync(ELSEWHERE));

  async function received(send: (near: net.Socket) => unknown): Promise<string> {
    const { sender, receiver } = await connections.plainPair();
    enableZeroCopy(sender);
    const [arrived] = await Promise.all([gather(receiver), send(sender)]);
    return arrived.sha256;
  }

  it('of sysfs: sendFile() copies, and gives the reason', async () => {
    const before = metrics().files.left['kernel-refused'] ?? 0;
    const all = await received((near) => {
      const sending = sendFile(near, ELSEWHERE).finally(() => near.end());
      return sending.then(({ engine, reason, zeroCopyBytes }) =>
        assert.deepEqual([engine, reason, zeroCopyBytes], ['copy', 'kernel-refused', 0]),
      );
    });
    assert.equal(all, expected());
    assert.equal(metrics().files.left['kernel-refused'], before + 1);
  });

  it('of sysfs: a piped file is read by its stream', async () => {
    const before = metrics().files.left['kernel-refused'] ?? 0;
    const all = await received((near) => fs.createReadStream(ELSEWHERE).pipe(near));
    assert.equal(all, expected());
    assert.equal(metrics().files.left['kernel-refused'], before + 1);
  });
}

function declareOverlay(): void {
  for (const way of ['sendFile()', 'piped'] as const) {
    it(`of an overlay: sendfile(2) sends them, ${way}, to a reader that is slow at times`, async () => {
      const { answer, stderr } = await isolated(sendOfOverlay, {
        prefix: WITH_OVERLAY,
        env: { OVERLAY, WAY: way },
      });
      assert.deepEqual(answer, { whole: true, byKernel: true, left: {} }, stderr);
    });
  }
}

async function sendOfOverlay({ zc, net, events }: Tools): Promise<unknown> {
  const { fs, crypto } = { fs: await import('node:fs'), crypto: await import('node:crypto') };
  const { OVERLAY: folder = '', WAY: way } = process.env;
  const data = crypto.randomBytes(24 * 1024 * 1024 + 12_345);
  const file = `${folder}/file`;
  fs.writeFileSync(file, data);
  const server = net.createServer();
  await events.once(server.listen(0, '127.0.0.1'), 'listening');
  const accepted = events.once(server, 'connection');
  const far = net.connect((server.address() as { port: number }).port, '127.0.0.1');
  const [near] = (await accepted) as [import('node:net').Socket];
  server.close();
  // First: it watches pipe().
  if (way === 'piped') zc.enableZeroCopy(near);
  if (way === 'piped') fs.createReadStream(file).pipe(near);
  else void zc.sendFile(near, file).then(() => near.end());
  const parts: Buffer[] = [];
  let bytes = 0;
  let next = 0;
  for await (const part of far as AsyncIterable<Buffer>) {
    parts.push(part);
    bytes += part.length;
    if (bytes < next) continue;
    // Longer than what was read ahead counts, at the first time.
    await new Promise((resolve) => setTimeout(resolve, next === 0 ? 1500 : 50));
    next = bytes + 5 * 1024 * 1024;
  }
  const { files } = zc.metrics();
  const byKernel = files.bytes > 20 * 1024 * 1024;
  return { whole: Buffer.concat(parts).equals(data), byKernel, left: files.left };
}
