// Files that are not in the page cache: nothing is sent before the thread pool has read it, and the event loop
// turns meanwhile.
import assert from 'node:assert/strict';
import { AsyncLocalStorage } from 'node:async_hooks';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import type net from 'node:net';
import { enableZeroCopy, sendFile } from '../../lib/index';
import { loadNative } from '../../lib/native/binding';
import { withFiles, type Folder } from '../helpers/file-kit';
import { loopback } from '../helpers/loopback';
import { until } from '../../scripts/until';

const MiB = 1024 * 1024;

/** The page cache forgets the file. */
function forget(name: string): void {
  const nothing = [`of=${name}`, 'oflag=nocache', 'conv=notrunc,fdatasync', 'count=0'];
  execFileSync('dd', ['if=/dev/null', ...nothing], { stdio: 'ignore' });
}

/** On a disk: what lies in memory is never cold. */
function coldFile(folder: Folder, bytes: number): { path: string; data: Buffer } {
  const file = folder.file(bytes);
  forget(file.path);
  return file;
}

describe('files that are not in the page cache', () => {
  const connections = loopback();
  const { native } = loadNative();
  assert.ok(native);
  const { FILE_COLD, FILE_DONE, FILE_END } = native.constants;

  async function withSockets(
    body: (near: net.Socket, far: net.Socket) => Promise<void>,
  ): Promise<void> {
    const { sender, receiver } = await connections.plainPair();
    await body(sender, receiver);
  }

  it('a call sends nothing that is not in the page cache, and sends it once it was read ahead', () =>
    withFiles((folder) =>
      withSockets(async (near) => {
        const { path } = coldFile(folder, 4 * MiB);
        const file = fs.openSync(path, 'r');
        const socket = (near as unknown as { _handle: { fd: number } })._handle.fd;
        const moved = new Float64Array(3);
        const move = (offset: number, count: number): number =>
          native.moveFile(socket, 'head', file, offset, count, 1000, moved);
        assert.equal(move(0, 1000), FILE_COLD);
        assert.deepEqual([...moved].slice(0, 2), [4, 0]);
        const result = await new Promise<number>((resolve) => {
          assert.equal(native.warmFile(file, 0, MiB, resolve), 0);
        });
        assert.equal(result, 0);
        assert.equal(move(0, 1000), FILE_DONE);
        assert.deepEqual([...moved].slice(0, 2), [4, 1000]);
        assert.equal(move(4 * MiB, 1000), FILE_END);
        assert.deepEqual([...moved].slice(0, 2), [4, 0]);
        fs.closeSync(file);
      }),
    ));

  it('a part that was sent a moment ago is checked again', () =>
    withFiles((folder) =>
      withSockets(async (near, far) => {
        far.resume();
        const { path } = folder.file(MiB);
        const file = fs.openSync(path, 'r');
        const socket = (near as unknown as { _handle: { fd: number } })._handle.fd;
        const move = (): number =>
          native.moveFile(socket, '', file, 0, 256 * 1024, 1000, new Float64Array(3));
        assert.equal(move(), FILE_DONE);
        assert.equal(move(), FILE_DONE);
        // Packets that were not read hold their pages.
        await until('all is read', () => far.bytesRead === 512 * 1024);
        forget(path);
        assert.equal(move(), FILE_COLD);
        fs.closeSync(file);
      }),
    ));

  it('a part that is missing between two cached ones is noticed', () =>
    withFiles((folder) =>
      withSockets(async (near) => {
        const { path } = coldFile(folder, 4 * MiB);
        const file = fs.openSync(path, 'r');
        const socket = (near as unknown as { _handle: { fd: number } })._handle.fd;
        const warm = (offset: number, count: number): Promise<number> =>
          new Promise((resolve) => native.warmFile(file, offset, count, resolve));
        await warm(0, 64 * 1024);
        await warm(3 * MiB, MiB);
        const moved = new Float64Array(3);
        let stop = FILE_DONE;
        let offset = 0;
        while (offset < 4 * MiB && stop === FILE_DONE) {
          stop = native.moveFile(socket, '', file, offset, 64 * 1024, 1000, moved);
          offset += moved[1] as number;
        }
        assert.equal(stop, FILE_COLD);
        assert.ok(offset < 3 * MiB);
        fs.closeSync(file);
      }),
    ));

  it('listeners of a file that is read from the disk run in their own async context', () =>
    withFiles((folder) =>
      withSockets(async (near, far) => {
        const { path } = coldFile(folder, 24 * MiB);
        const context = new AsyncLocalStorage<string>();
        far.resume();
        enableZeroCopy(near);
        const first = coldFile(folder, 24 * MiB);
        const heard = context.run('its own', () => {
          const stream = fs.createReadStream(path);
          stream.pipe(near);
          return new Promise((resolve) => stream.on('end', () => resolve(context.getStore())));
        });
        const sent = context.run('of sendFile()', async () => {
          await sendFile(near, first.path);
          return context.getStore();
        });
        assert.equal(await sent, 'of sendFile()');
        assert.equal(await heard, 'its own');
      }),
    ));

  for (const upgraded of [true, false]) {
    it(`cold files arrive whole ${upgraded ? 'from a pipe' : 'by sendFile()'}`, () =>
      withFiles((folder) =>
        withSockets(async (near, far) => {
          const { path, data } = coldFile(folder, 24 * MiB);
          const parts: Buffer[] = [];
          far.on('data', (part: Buffer) => parts.push(part)).resume();
          if (upgraded) fs.createReadStream(path).pipe(enableZeroCopy(near));
          else {
            const { zeroCopyBytes } = await sendFile(near, path);
            assert.ok(zeroCopyBytes > 20 * MiB);
            near.end();
          }
          await once(far, 'end');
          assert.ok(Buffer.concat(parts).equals(data));
        }),
      ));
  }

  it('closing a file while it is read ahead does not affect others', () =>
    withFiles((folder) =>
      withSockets(async (near, far) => {
        const { path, data } = coldFile(folder, 24 * MiB);
        const parts: Buffer[] = [];
        far.on('data', (part: Buffer) => parts.push(part)).resume();
        const stream = fs.createReadStream(path);
        stream.pipe(enableZeroCopy(near), { end: false });
        await once(stream, 'open');
        await new Promise((resolve) => setImmediate(resolve));
        stream.destroy();
        await once(stream, 'close');
        // Another file gets its number.
        const other = fs.openSync(folder.file(MiB).path, 'r');
        near.end('END');
        await once(far, 'end');
        const arrived = Buffer.concat(parts);
        const sent = arrived.length - 3;
        assert.equal(sent, stream.bytesRead);
        assert.ok(arrived.subarray(0, sent).equals(data.subarray(0, sent)));
        assert.equal(arrived.toString('latin1', sent), 'END');
        fs.closeSync(other);
      }),
    ));
});
