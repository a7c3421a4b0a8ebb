// sendFile(): to responses and sockets, upgraded or not, in its place of the stream.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { open } from 'node:fs/promises';
import type http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { enableZeroCopy, metrics, sendFile, type SendReport } from '../../lib/index';
import { answersOf, exchange, sha256, withFiles } from '../helpers/file-kit';
import { withServer } from '../helpers/http-kit';
import { makeIdentity } from '../helpers/identity';
import { answered, GET, withPair } from '../helpers/sent-files';
import { until } from '../../scripts/until';

const MiB = 1024 * 1024;

function sumOf(report: SendReport): number {
  const { zeroCopyBytes, copiedBytes, kernelCopiedBytes, unknownBytes } = report;
  return zeroCopyBytes + copiedBytes + kernelCopiedBytes + unknownBytes;
}

describe('sendFile()', () => {
  for (const flavour of ['plain', 'upgraded'] as const) {
    describe(`on ${flavour} connections`, () => {
      for (const kind of ['path', 'URL', 'FileHandle', 'descriptor'] as const) {
        it(`a ${kind} becomes the body of a response, and its length the header's`, () =>
          withFiles(async (folder) => {
            const { path: name, data } = folder.file(12 * MiB);
            const { arrived, outcome } = await answered(flavour, async (response) => {
              if (kind === 'path') return sendFile(response, name);
              if (kind === 'URL') return sendFile(response, pathToFileURL(name));
              const handle = await open(name);
              try {
                return await sendFile(response, kind === 'FileHandle' ? handle : handle.fd);
              } finally {
                await handle.close();
              }
            });
            const [answer] = answersOf(arrived);
            assert.ok(answer?.body.equals(data));
            assert.ok(answer?.headers.includes(`Content-Length: ${data.length}`));
            const report = outcome as SendReport;
            assert.equal(report.bytes, data.length);
            assert.equal(sumOf(report), report.bytes);
            assert.equal(report.engine, 'sendfile');
            // A few bytes go by libuv each time the socket is full.
            assert.ok(report.zeroCopyBytes > 0.9 * report.bytes);
          }));
      }

      it('a part of a file is sent, up to the end of the file at most', () =>
        withFiles(async (folder) => {
          const { path: name, data } = folder.file(100_000);
          const parts = [
            [{ start: 10, end: 19 }, data.subarray(10, 20)],
            [{ start: 99_990 }, data.subarray(99_990)],
            [{ start: 99_999, end: 5_000_000 }, data.subarray(99_999)],
            [{ start: 100_000 }, data.subarray(100_000)],
            [{ end: 0 }, data.subarray(0, 1)],
          ] as const;
          for (const [options, expected] of parts) {
            const { arrived } = await answered(flavour, (response) =>
              sendFile(response, name, options),
            );
            assert.ok(answersOf(arrived)[0]?.body.equals(expected));
          }
        }));

      it('a response that asks for chunks gets chunks', () =>
        withFiles(async (folder) => {
          const { path: name, data } = folder.file(MiB);
          const { arrived } = await answered(flavour, (response) => {
            response.setHeader('Transfer-Encoding', 'chunked');
            return sendFile(response, name);
          });
          assert.ok(answersOf(arrived)[0]?.body.equals(data));
        }));

      it('a pipelined response is sent when its turn comes', () =>
        withFiles(async (folder) => {
          const { path: name, data } = folder.file(1000);
          // Open, so that it waits in the response when the first one ends.
          const file = fs.openSync(name, 'r');
          let first: http.ServerResponse | undefined;
          const reports: SendReport[] = [];
          await withServer(
            flavour,
            (_, response) => {
              if (first === undefined) {
                first = response;
                return;
              }
              void sendFile(response, file).then((report) => reports.push(report));
              setImmediate(() => void (first as http.ServerResponse).end('first'));
            },
            async ({ port }) => {
              const keep = 'GET / HTTP/1.1\r\nHost: files\r\n\r\n';
              const answers = answersOf(await exchange(port, keep + GET), ['GET', 'GET']);
              assert.equal(answers[0]?.body.toString(), 'first');
              assert.ok(answers[1]?.body.equals(data));
              await until('the promise is settled', () => reports.length === 1);
              assert.equal(reports[0]?.zeroCopyBytes, 1000);
              fs.closeSync(file);
            },
            {},
          );
        }));

      it('HEAD is answered with the header alone', () =>
        withFiles(async (folder) => {
          const { path: name } = folder.file(MiB);
          const { arrived, outcome } = await answered(
            flavour,
            (response) => sendFile(response, name),
            GET.replace('GET', 'HEAD'),
          );
          const [answer] = answersOf(arrived, ['HEAD']);
          assert.ok(answer?.headers.includes(`Content-Length: ${MiB}`));
          assert.equal((outcome as SendReport).bytes, 0);
        }));

      it('a file of /proc is sent although its reported size is 0', async () => {
        const { arrived, outcome } = await answered(flavour, (response) =>
          sendFile(response, '/proc/version'),
        );
        assert.deepEqual(answersOf(arrived)[0]?.body, fs.readFileSync('/proc/version'));
        assert.equal((outcome as SendReport).reason, 'no-size');
      });

      it('two files and writes around them reach a socket in the order of the calls', () =>
        withFiles(async (folder) => {
          const one = folder.file(5 * MiB);
          const two = folder.file(100_000);
          await withPair(flavour, async (near, far) => {
            near.write('begin');
            near.write(Buffer.alloc(3 * MiB, 'x'));
            const reports = [
              sendFile(near, one.path),
              sendFile(near, two.path),
              sendFile(near, '/proc/version'),
            ];
            near.write('between');
            reports.push(sendFile(near, one.path, { start: 5, end: 9 }));
            near.end('end');
            far.socket.resume();
            assert.deepEqual(
              (await Promise.all(reports)).map(({ bytes }) => bytes),
              [5 * MiB, 100_000, fs.readFileSync('/proc/version').length, 5],
            );
            await until('all is there', () => far.ended);
            const expected = Buffer.concat([
              Buffer.from('begin'),
              Buffer.alloc(3 * MiB, 'x'),
              one.data,
              two.data,
              fs.readFileSync('/proc/version'),
              Buffer.from('between'),
              one.data.subarray(5, 10),
              Buffer.from('end'),
            ]);
            assert.ok(far.all().equals(expected));
            assert.equal(near.bytesWritten, expected.length);
          });
        }));

      it('a missing file rejects, and later writes are still sent', () =>
        withPair(flavour, async (near, far) => {
          near.write('before ');
          const failed = assert.rejects(sendFile(near, '/nowhere/at/all'), { code: 'ENOENT' });
          near.end('behind');
          far.socket.resume();
          await failed;
          await until('the rest is there', () => far.ended);
          assert.equal(far.all().toString(), 'before behind');
        }));

      it('a signal cancels a file that has not begun, and closes the connection of one that has', () =>
        withFiles(async (folder) => {
          const { path: name } = folder.file(24 * MiB);
          await withPair(flavour, async (near, far) => {
            const waiting = new AbortController();
            const begun = new AbortController();
            const first = sendFile(near, name, { signal: begun.signal });
            const second = sendFile(near, name, { signal: waiting.signal });
            await until('the first is begun', () => near.bytesWritten > 0);
            waiting.abort();
            await assert.rejects(second, { name: 'AbortError' });
            assert.equal(near.destroyed, false);
            begun.abort();
            await assert.rejects(first, { name: 'AbortError' });
            assert.ok(near.destroyed);
            far.socket.resume();
            await assert.rejects(sendFile(near, name, { signal: AbortSignal.abort() }), {
              name: 'AbortError',
            });
          });
        }));

      it('a reset in the middle of a file rejects', () =>
        withFiles(async (folder) => {
          const { path: name } = folder.file(24 * MiB);
          await withPair(flavour, async (near, far) => {
            const sent = sendFile(near, name).then(
              () => undefined,
              (error: NodeJS.ErrnoException) => error.code,
            );
            await until('it is begun', () => near.bytesWritten > 0);
            far.socket.resetAndDestroy();
            assert.match((await sent) ?? '', /^(ECONNRESET|EPIPE|ECANCELED|ERR_STREAM_DESTROYED)$/);
          });
        }));

      it('a part of a sparse file beyond 4 GiB arrives', () =>
        withFiles(async (folder) => {
          const name = folder.path('sparse');
          const fd = fs.openSync(name, 'w');
          fs.ftruncateSync(fd, 6 * 1024 * MiB);
          fs.writeSync(fd, 'here', 5 * 1024 * MiB);
          fs.closeSync(fd);
          const start = 5 * 1024 * MiB - 2;
          const { arrived } = await answered(flavour, (response) =>
            sendFile(response, name, { start, end: start + MiB - 1 }),
          );
          const body = answersOf(arrived)[0]?.body;
          assert.equal(body?.length, MiB);
          assert.equal(body?.toString('latin1', 0, 8), '\0\0here\0\0');
        }));
    });
  }

  it('a file goes through a replaced write() of the response', () =>
    withFiles(async (folder) => {
      const { path: name, data } = folder.file(300_000);
      const { arrived, outcome } = await answered('upgraded', (response) => {
        const write = response.write.bind(response) as (chunk: Buffer) => boolean;
        response.write = ((chunk: Buffer) =>
          write(Buffer.from(chunk.map((byte) => byte ^ 1)))) as never;
        return sendFile(response, name);
      });
      const body = answersOf(arrived)[0]?.body;
      assert.ok(body?.equals(Buffer.from(data.map((byte) => byte ^ 1))));
      assert.equal((outcome as SendReport).reason, 'own-write');
    }));

  it('a socket that is upgraded between two files sends both', () =>
    withFiles(async (folder) => {
      const { path: name, data } = folder.file(MiB);
      await withPair('plain', async (near, far) => {
        far.socket.resume();
        await sendFile(near, name);
        enableZeroCopy(near);
        await sendFile(near, name);
        near.write('between');
        await sendFile(near, name, { end: 9 });
        near.end();
        await until('all is there', () => far.ended);
        const expected = Buffer.concat([data, data, Buffer.from('between'), data.subarray(0, 10)]);
        assert.ok(far.all().equals(expected));
        assert.equal(near.bytesWritten, expected.length);
      });
    }));

  it('a file waits until its socket is connected', () =>
    withFiles(async (folder) => {
      const { path: name, data } = folder.file(MiB);
      const server = net.createServer();
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      const socket = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1');
      const sent = sendFile(socket, name);
      const [far] = (await once(server, 'connection')) as [net.Socket];
      const parts: Buffer[] = [];
      far.on('data', (part: Buffer) => parts.push(part));
      assert.equal((await sent).bytes, MiB);
      socket.end();
      await once(far, 'end');
      assert.ok(Buffer.concat(parts).equals(data));
      far.destroy();
      server.close();
    }));

  it('every descriptor is closed, whatever happened', () =>
    withFiles(async (folder) => {
      const { path: name } = folder.file(100_000);
      const openNow = (): number => fs.readdirSync('/proc/self/fd').length;
      const before = openNow();
      for (let round = 0; round < 50; round++) {
        await withPair(round % 2 === 0 ? 'upgraded' : 'plain', async (near, far) => {
          const sent = sendFile(near, name);
          if (round % 3 === 0) near.destroy();
          else far.socket.resume();
          await sent.catch(() => undefined);
        });
      }
      await until('all are closed', () => openNow() <= before);
    }));

  it('counters and metrics count files, and those that were copied', () =>
    withFiles(async (folder) => {
      const { path: name } = folder.file(100_000);
      const before = metrics();
      await withPair('upgraded', async (near, far) => {
        far.socket.resume();
        await sendFile(near, name);
        await sendFile(near, '/proc/version');
        const { stats } = (near as unknown as { zeroCopy: { stats: Record<string, number> } })
          .zeroCopy;
        assert.equal(stats['files'], 1);
        assert.equal(stats['fileBytes'], 100_000);
        assert.equal(stats['filesLeft'], 1);
      });
      const { files, totals } = metrics();
      assert.equal(files.sent - before.files.sent, 1);
      assert.equal(files.bytes - before.files.bytes, 100_000);
      assert.equal(totals.files - before.totals.files, 1);
      assert.equal((files.left['no-size'] ?? 0) - (before.files.left['no-size'] ?? 0), 1);
    }));

  it('over TLS a file is copied and encrypted, and no byte leaves unencrypted', () =>
    withFiles(async (folder) => {
      const { path: name, data } = folder.file(3 * MiB);
      const identity = makeIdentity();
      const reports: SendReport[] = [];
      const server = https.createServer(identity, (_, response) => {
        void sendFile(response, name).then((report) => reports.push(report));
      });
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      const { port } = server.address() as net.AddressInfo;
      const request = https.get({
        port,
        host: '127.0.0.1',
        rejectUnauthorized: false,
        agent: false,
      });
      const [response] = (await once(request, 'response')) as [http.IncomingMessage];
      const parts: Buffer[] = [];
      for await (const part of response) parts.push(part as Buffer);
      assert.ok(Buffer.concat(parts).equals(data));
      await until('the report is there', () => reports.length === 1);
      assert.equal(reports[0]?.reason, 'tls');
      assert.equal(reports[0]?.zeroCopyBytes, 0);
      server.close();
    }));

  it('without the addon files are copied, in order with other writes', () =>
    withFiles(async (folder) => {
      const { path: name, data } = folder.file(3 * MiB);
      const program = `
        const { sendFile, enableZeroCopy } = require(${JSON.stringify(path.resolve(__dirname, '../../lib'))});
        const net = require('node:net'), fs = require('node:fs'), crypto = require('node:crypto');
        const server = net.createServer(async (socket) => {
          enableZeroCopy(socket);
          socket.write('begin');
          const sent = sendFile(socket, ${JSON.stringify(name)});
          socket.write('between');
          const { reason, copiedBytes } = await sent;
          socket.write(JSON.stringify({ reason, copiedBytes }));
          fs.createReadStream(${JSON.stringify(name)}).pipe(socket);
        }).listen(0, '127.0.0.1', () => {
          const hash = crypto.createHash('sha256');
          net.connect(server.address().port, '127.0.0.1').on('data', (part) => hash.update(part))
            .on('end', () => { console.log(hash.digest('hex')); server.close(); });
        });`;
      const env = { ...process.env, MSG_ZEROCOPY_ADDON: 'off' };
      const printed = execFileSync(process.execPath, ['-e', program], { env, encoding: 'utf8' });
      const report = JSON.stringify({ reason: 'addon-unavailable', copiedBytes: data.length });
      const all = ['begin', data, 'between', report, data].map((part) => Buffer.from(part));
      assert.equal(printed.trim(), sha256(Buffer.concat(all)));
    }));
});
