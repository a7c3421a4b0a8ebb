// Somebody does something to a stream while the kernel moves its file: it goes on as an ordinary stream, from
// the right byte. The client reads nothing until then, so that the file is in the middle.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import type http from 'node:http';
import { constants as osConstants } from 'node:os';
import { finished } from 'node:stream/promises';
import { pipeline } from 'node:stream';
import { metrics } from '../../lib/index';
import { loadNative, type Native } from '../../lib/native/binding';
import { answersOf, withFiles } from '../helpers/file-kit';
import { BYTES, FRAMINGS, inTheMiddle, readAll } from '../helpers/file-middle';
import { RawClient, withServer } from '../helpers/http-kit';
import { until } from '../../scripts/until';

describe('files that are interrupted', () => {
  for (const framing of FRAMINGS) {
    describe(`with ${framing}`, () => {
      it('a listener that is added in the middle gets exactly the rest', () =>
        inTheMiddle('upgraded', framing, async ({ stream, client, data }) => {
          const before = metrics().files;
          const from = stream.bytesRead;
          const heard: Buffer[] = [];
          stream.on('data', (chunk) => heard.push(chunk as Buffer));
          const arrived = await readAll(client);
          assert.ok(answersOf(arrived)[0]?.body.equals(data));
          const rest = Buffer.concat(heard);
          assert.ok(rest.equals(data.subarray(BYTES - rest.length)));
          // Of a chunk that was begun, the rest goes with it.
          assert.ok(rest.length <= BYTES - from && rest.length >= BYTES - from - 256 * 1024);
          assert.equal(stream.bytesRead, BYTES);
          assert.equal(metrics().files.left['interrupted'], (before.left['interrupted'] ?? 0) + 1);
        }));

      it('an unpiped stream can be read to its end', () =>
        inTheMiddle('upgraded', framing, async ({ stream, response, client, data }) => {
          stream.unpipe(response);
          const rest: Buffer[] = [];
          for await (const chunk of stream) rest.push(chunk as Buffer);
          const left = Buffer.concat(rest);
          assert.ok(left.length > 0 && left.equals(data.subarray(BYTES - left.length)));
          response.end();
          const arrived = await readAll(client);
          const body = answersOf(arrived)[0]?.body;
          assert.ok(body?.equals(data.subarray(0, BYTES - left.length)));
        }));

      it('a paused stream goes on from where it stopped', () =>
        inTheMiddle('upgraded', framing, async ({ stream, client, data }) => {
          stream.pause();
          client.socket.resume();
          await until('what was sent is there', () => client.bytes > BYTES / 8);
          const { bytesRead } = stream;
          await once(stream, 'readable').catch(() => undefined);
          assert.ok(stream.bytesRead - bytesRead <= 64 * 1024);
          stream.resume();
          await once(client.socket, 'close');
          assert.ok(answersOf(client.all())[0]?.body.equals(data));
        }));

      it('a stream that is paused and resumed at once loses no byte', () =>
        inTheMiddle('upgraded', framing, async ({ stream, client, data }) => {
          stream.pause();
          stream.resume();
          assert.ok(answersOf(await readAll(client))[0]?.body.equals(data));
          assert.equal(stream.bytesRead, BYTES);
        }));

      it('data written after a stream is destroyed arrives after its bytes', () =>
        inTheMiddle('upgraded', framing, async ({ stream, response, client, data }) => {
          stream.destroy();
          const sent = stream.bytesRead;
          await once(stream, 'close');
          response.end('END');
          const body = answersOf(await readAll(client))[0]?.body as Buffer;
          assert.ok(body.subarray(0, sent).equals(data.subarray(0, sent)));
          assert.equal(body.toString('latin1', sent), 'END');
        }));

      it('a second target gets the rest, and the first one everything', () =>
        inTheMiddle('upgraded', framing, async ({ stream, client, data }) => {
          await withFiles(async (folder) => {
            const copy = fs.createWriteStream(folder.path('copy'));
            stream.pipe(copy);
            const arrived = await readAll(client);
            await finished(copy);
            assert.ok(answersOf(arrived)[0]?.body.equals(data));
            const rest = fs.readFileSync(folder.path('copy'));
            assert.ok(rest.length > 0 && rest.equals(data.subarray(BYTES - rest.length)));
          });
        }));

      it('a client that goes away leaves the stream open, as in plain Node', async () => {
        const seen: unknown[] = [];
        for (const flavour of ['plain', 'upgraded'] as const) {
          await inTheMiddle(flavour, framing, async ({ stream, response, client }) => {
            const events: string[] = [];
            response.on('unpipe', () => events.push('unpipe'));
            response.on('close', () => events.push('close'));
            stream.on('close', () => events.push('stream close'));
            client.socket.resetAndDestroy();
            await once(response, 'close');
            await new Promise((resolve) => setImmediate(resolve));
            seen.push([
              [...events],
              stream.destroyed,
              stream.readableEnded,
              stream.readableFlowing,
            ]);
          });
        }
        assert.deepEqual(seen[1], seen[0]);
      });
    });
  }

  it('an encoding that is set in the middle applies to the rest', () =>
    inTheMiddle('upgraded', 'chunks', async ({ stream, response, client, data }) => {
      stream.unpipe(response);
      stream.setEncoding('hex');
      let text = '';
      for await (const chunk of stream) text += chunk as string;
      assert.equal(text, data.toString('hex', BYTES - text.length / 2));
      client.socket.destroy();
    }));

  it('pipeline() fails as in plain Node when the client goes away', async () => {
    const seen: unknown[] = [];
    for (const flavour of ['plain', 'upgraded'] as const) {
      await withFiles(async (folder) => {
        const { path } = folder.file(BYTES);
        let failed: unknown;
        let stream: fs.ReadStream | undefined;
        await withServer(
          flavour,
          (_, response) => {
            stream = fs.createReadStream(path);
            pipeline(stream, response, (error) => (failed = error?.code));
          },
          async ({ port }) => {
            const client = await RawClient.open(port, 'stalled');
            client.socket.write('GET / HTTP/1.1\r\nHost: files\r\n\r\n');
            await until('the file is begun', () => (stream?.bytesRead ?? 0) > 0);
            client.socket.resetAndDestroy();
            await until('it failed', () => failed !== undefined);
            await until('the file is closed', () => stream?.closed === true);
          },
          {},
        );
        seen.push(failed);
      });
    }
    assert.equal(seen[1], seen[0]);
  });

  it("a socket's timeout fires while the client does not read, and not while it does", () =>
    inTheMiddle('upgraded', 'a length', async ({ response, client }) => {
      let fired = 0;
      response.setTimeout(600, () => fired++);
      await once(response, 'timeout');
      fired = 0;
      let due = 0;
      client.socket.on('data', (part) => {
        due += part.length;
        if (due > 512 * 1024) client.socket.pause();
      });
      const slowly = setInterval(() => {
        due = 0;
        client.socket.resume();
      }, 20);
      try {
        await until('more was read', () => client.socket.bytesRead > 20 * 1024 * 1024, 20_000);
      } finally {
        clearInterval(slowly);
      }
      assert.equal(fired, 0);
    }));

  it('a file whose connection failed at its first byte can still be read', () =>
    withFiles(async (folder) => {
      const { path, data } = folder.file(300_000);
      const { native } = loadNative() as { native: Native };
      const { moveFile } = native;
      native.moveFile = (_socket, _text, _file, _offset, _count, _time, moved) => {
        moved.fill(0);
        return -osConstants.errno.EPIPE;
      };
      let piped: [fs.ReadStream, http.ServerResponse] | undefined;
      const listener: http.RequestListener = (_, response) => {
        const stream = fs.createReadStream(path);
        piped = [stream, stream.pipe(response)];
      };
      try {
        await withServer('upgraded', listener, async ({ port }) => {
          const client = await RawClient.open(port, 'reading');
          client.socket.write('GET / HTTP/1.1\r\nHost: files\r\n\r\n');
          await once(client.socket, 'close');
          const [stream, response] = piped as [fs.ReadStream, http.ServerResponse];
          await until('the response is closed', () => response.closed);
          const parts: Buffer[] = [];
          stream.on('data', (part) => parts.push(part as Buffer)).resume();
          await once(stream, 'end');
          assert.deepEqual([client.bytes, Buffer.concat(parts).equals(data)], [0, true]);
        });
      } finally {
        native.moveFile = moveFile;
      }
    }));
});
