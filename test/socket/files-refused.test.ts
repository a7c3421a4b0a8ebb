// What sendFile() refuses, before anything is sent: the response can still say so, and a socket goes on.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { open } from 'node:fs/promises';
import path from 'node:path';
import { sendFile } from '../../lib/index';
import { answersOf, withFiles } from '../helpers/file-kit';
import { isolated } from '../helpers/isolated';
import { answered, withPair } from '../helpers/sent-files';
import { until } from '../../scripts/until';

const REMEDY = 'Call sendFile() before you close it, or pass the path';

describe('a refusal of sendFile()', () => {
  const refused: readonly [title: string, file: (root: string) => string | number, code: string][] =
    [
      ['a missing file', (root) => path.join(root, 'missing'), 'ENOENT'],
      ['a directory', (root) => root, 'EISDIR'],
      ['a FIFO', fifo, 'ERR_ZC_FILE_NOT_REGULAR'],
      ['a device', () => '/dev/zero', 'ERR_ZC_FILE_NOT_REGULAR'],
      ['a path with a zero', () => 'a\0b', 'ERR_INVALID_ARG_VALUE'],
      ['a descriptor that is not open', () => 1_000_000, 'EBADF'],
    ];
  for (const [title, file, code] of refused) {
    it(`${title} rejects with ${code}, and the response can say so`, () =>
      withFiles(async (folder) => {
        const { arrived, outcome } = await answered('upgraded', (response) =>
          sendFile(response, file(folder.root)),
        );
        assert.equal((outcome as NodeJS.ErrnoException).code, code);
        const [answer] = answersOf(arrived);
        assert.match(answer?.status ?? '', / 500 /);
        assert.equal(answer?.body.toString(), 'refused');
      }));
  }

  it('a closed FileHandle rejects with EBADF', () =>
    withFiles(async (folder) => {
      const handle = await open(folder.file(10).path);
      await handle.close();
      await withPair('upgraded', async (near) => {
        await assert.rejects(sendFile(near, handle), {
          code: 'EBADF',
          message: `dup EBADF: the "file" argument is a FileHandle that is closed. ${REMEDY}`,
        });
        assert.equal(near.destroyed, false);
      });
    }));

  it('bad arguments throw, and nothing is sent', () =>
    withPair('upgraded', async (near) => {
      const wrong: readonly [unknown, unknown, unknown, string][] = [
        [{}, 'file', undefined, 'ERR_INVALID_ARG_TYPE'],
        [near, {}, undefined, 'ERR_INVALID_ARG_TYPE'],
        [near, -1, undefined, 'ERR_OUT_OF_RANGE'],
        [near, 1.5, undefined, 'ERR_OUT_OF_RANGE'],
        [near, 'file', 7, 'ERR_INVALID_ARG_TYPE'],
        [near, 'file', { start: -1 }, 'ERR_OUT_OF_RANGE'],
        [near, 'file', { start: NaN }, 'ERR_OUT_OF_RANGE'],
        [near, 'file', { end: -1 }, 'ERR_OUT_OF_RANGE'],
        [near, 'file', { start: Infinity }, 'ERR_OUT_OF_RANGE'],
        [near, NaN, undefined, 'ERR_OUT_OF_RANGE'],
        [near, 'file', { end: 1.5 }, 'ERR_OUT_OF_RANGE'],
        [near, 'file', { start: '1' }, 'ERR_INVALID_ARG_TYPE'],
        [near, 'file', { start: 2, end: 1 }, 'ERR_OUT_OF_RANGE'],
        [near, 'file', { signal: {} }, 'ERR_INVALID_ARG_TYPE'],
      ];
      for (const [target, file, options, code] of wrong) {
        assert.throws(() => sendFile(target as never, file as never, options as never), { code });
      }
      assert.equal(near.bytesWritten, 0);
    }));

  it('a response that has ended, or has another Content-Length, rejects', () =>
    withFiles(async (folder) => {
      const { path: name } = folder.file(100);
      const over = await answered('upgraded', async (response) => {
        response.end('over');
        return sendFile(response, name);
      });
      assert.equal((over.outcome as NodeJS.ErrnoException).code, 'ERR_STREAM_WRITE_AFTER_END');
      assert.equal(answersOf(over.arrived)[0]?.body.toString(), 'over');
      const other = await answered('upgraded', (response) => {
        response.setHeader('Content-Length', 99);
        return sendFile(response, name).catch((error: unknown) => {
          response.removeHeader('Content-Length');
          throw error;
        });
      });
      const { code } = other.outcome as NodeJS.ErrnoException;
      assert.equal(code, 'ERR_HTTP_CONTENT_LENGTH_MISMATCH');
      assert.match(answersOf(other.arrived)[0]?.status ?? '', / 500 /);
    }));

  it('a closed descriptor rejects with EBADF, and later writes are still sent', () =>
    withFiles(async (folder) => {
      const { path: name } = folder.file(10);
      await withPair('upgraded', async (near, far) => {
        const descriptor = fs.openSync(name, 'r');
        fs.closeSync(descriptor);
        await assert.rejects(sendFile(near, descriptor), {
          code: 'EBADF',
          syscall: 'dup',
          message: `dup EBADF: the "file" argument is descriptor ${descriptor}, which is not open. ${REMEDY}`,
        });
        near.end('behind');
        far.socket.resume();
        await until('it is there', () => far.ended);
        assert.equal(far.all().toString(), 'behind');
      });
    }));

  it('a closed descriptor rejects with EBADF without the addon as well', async () => {
    const env = { MSG_ZEROCOPY_ADDON: 'off' };
    const { answer, stderr } = await isolated(
      ({ zc, net }) =>
        zc
          .sendFile(new net.Socket(), 1_000_000)
          .catch(({ code, message }: NodeJS.ErrnoException) => ({ code, message })),
      { env },
    );
    const message = `fstat EBADF: the "file" argument is descriptor 1000000, which is not open. ${REMEDY}`;
    assert.deepEqual(answer, { code: 'EBADF', message }, stderr);
  });

  it('a socket that is ended or destroyed rejects', () =>
    withFiles(async (folder) => {
      const { path: name } = folder.file(10);
      await withPair('upgraded', async (near, far) => {
        far.socket.resume();
        near.end('all');
        await assert.rejects(sendFile(near, name), { code: 'ERR_STREAM_WRITE_AFTER_END' });
        await until('it is there', () => far.ended);
        assert.equal(far.all().toString(), 'all');
      });
      await withPair('upgraded', async (near) => {
        near.destroy();
        await assert.rejects(sendFile(near, name), { code: 'ERR_STREAM_DESTROYED' });
      });
    }));

  it('an unreadable file rejects with EACCES, also by a path that was readable before', () =>
    withFiles(async (folder) => {
      const { path: name } = folder.file(1000);
      const program = `
        const { sendFile } = require(${JSON.stringify(path.resolve(__dirname, '../../lib'))});
        const http = require('node:http'), fs = require('node:fs');
        const name = ${JSON.stringify(name)};
        const codes = [];
        const server = http.createServer(async (_, response) => {
          await sendFile(response, name).catch((error) => {
            codes.push([error.code, response.headersSent]);
            response.statusCode = 403;
            response.end();
          });
        }).listen(0, '127.0.0.1', async () => {
          const ask = async () => {
            const response = await fetch('http://127.0.0.1:' + server.address().port);
            await response.arrayBuffer();
            return response.status;
          };
          fs.chmodSync(name, 0);
          const statuses = [await ask()];
          fs.chmodSync(name, 0o600);
          statuses.push(await ask(), await ask());
          fs.chmodSync(name, 0);
          statuses.push(await ask());
          console.log(JSON.stringify({ codes, statuses }));
          server.close();
          server.closeAllConnections();
        });`;
      const root = process.geteuid?.() === 0;
      const bare = root ? ['setpriv', '--bounding-set=-all', '--inh-caps=-all'] : [];
      const [command = '', ...argv] = [...bare, process.execPath, '-e', program];
      const printed = execFileSync(command, argv, { encoding: 'utf8' });
      const refused = ['EACCES', false];
      assert.deepEqual(JSON.parse(printed), {
        codes: [refused, refused],
        statuses: [403, 200, 200, 403],
      });
    }));
});

function fifo(root: string): string {
  const name = path.join(root, 'fifo');
  execFileSync('mkfifo', [name]);
  return name;
}
