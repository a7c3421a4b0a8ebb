// sendFile() to a socket, cancelled before anything of the file is sent: nothing of it is, whatever became of its
// descriptor meanwhile, and what is written behind it goes on.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { sendFile } from '../../lib/index';
import { withFiles } from '../helpers/file-kit';
import type { Flavour } from '../helpers/http-kit';
import { withPair } from '../helpers/sent-files';
import { until } from '../../scripts/until';

const MiB = 1024 * 1024;
const FLAVOURS: readonly Flavour[] = ['plain', 'upgraded'];

for (const flavour of FLAVOURS) {
  describe(`a file for a socket (${flavour}) that is cancelled`, () => {
    for (const kind of [
      'descriptor',
      'FileHandle',
      'path',
      'path that was opened before',
    ] as const) {
      it(`while it waits, a ${kind}: nothing of it is sent, and nothing of the file that got its descriptor`, () =>
        withFiles(async (folder) => {
          const first = folder.file(24 * MiB);
          const cancelled = folder.file(5_000);
          const others = folder.file(6_000);
          const opened = await fs.promises.open(cancelled.path);
          await withPair(flavour, async (near, far) => {
            const behind = [first.data, Buffer.from('behind')];
            if (kind === 'path that was opened before') {
              await sendFile(near, cancelled.path);
              behind.unshift(cancelled.data);
            }
            const sent = sendFile(near, first.path);
            const controller = new AbortController();
            const name =
              kind === 'descriptor' ? opened.fd : kind === 'FileHandle' ? opened : cancelled.path;
            const waiting = sendFile(near, name, { signal: controller.signal });
            near.write('behind');
            await until('the first is begun', () => near.bytesWritten > 5_000);
            controller.abort();
            await assert.rejects(waiting, { name: 'AbortError' });
            await opened.close();
            // Numbers are given out from the lowest on.
            const numbers = Array.from({ length: 20 }, () => fs.openSync(others.path, 'r'));
            far.socket.resume();
            await sent;
            near.end();
            await until('all is there', () => far.ended);
            for (const number of numbers) fs.closeSync(number);
            assert.ok(far.all().equals(Buffer.concat(behind)), `${far.all().length} bytes`);
          });
        }));
    }

    it('while it is read into memory, because its reported size is 0: the connection goes on', () =>
      withFiles(async (folder) => {
        const empty = fs.openSync(folder.file(0).path, 'r');
        await withPair(flavour, async (near, far) => {
          const controller = new AbortController();
          const sent = sendFile(near, empty, { signal: controller.signal });
          // The thread pool answers in a later turn.
          for (let i = 0; i < 10; i++) await Promise.resolve();
          controller.abort();
          await assert.rejects(sent, { name: 'AbortError' });
          fs.closeSync(empty);
          assert.equal(near.destroyed, false);
          near.end('behind');
          far.socket.resume();
          await until('the rest is there', () => far.ended);
          assert.equal(far.all().toString(), 'behind');
        });
      }));
  });
}
