// Somebody does something to a stream while the kernel moves its file: it goes on as an ordinary stream, from
// the right byte. The client reads nothing until then, so that the file is in the middle.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import { constants as osConstants } from 'node:os';
import { finished } from 'node:stream/promises';
import { pipeline } from 'node:stream';
import { metrics } from '../../lib/index';
import { loadNative, type Native } from '../../lib/native/binding';
import { answersOf, withFiles } from '../helpers/file-kit';
import { RawClient, withServer, type Flavour, type Served } from '../helpers/http-kit';
import { until } from '../../scripts/until';

/** More than both buffers of a connection over loopback take. */
const BYTES = 24 * 1024 * 1024;

interface Middle {
  readonly stream: fs.ReadStream;
  readonly response: http.ServerResponse;
  readonly client: RawClient;
  readonly data: Buffer;
  readonly served: Served;
}

type Framing = 'chunks' | 'a length';

/** Runs `body` when a file is being sent to a client that does not read. */
async function inTheMiddle(
  flavour: Flavour,
  framing: Framing,
  body: (middle: Middle) => Promise<void>,
): Promise<void> {
  await withFiles(async (folder) => {
    const { path, data } = folder.file(BYTES);
    let begun: [fs.ReadStream, http.ServerResponse] | undefined;
    await withServer(
      flavour,
      (_, response) => {
        if (framing === 'a length') response.setHeader('Content-Length', BYTES);
        const stream = fs.createReadStream(path);
        stream.pipe(response);
        begun = [stream, response];
      },
      async (served) => {
        const client = await RawClient.open(served.port, 'stalled');
        client.socket.write('GET / HTTP/1.1\r\nHost: files\r\nConnection: close\r\n\r\n');
        await until('the file is begun', () => (begun?.[0].bytesRead ?? 0) > 0);
        const [stream, response] = begun as [fs.ReadStream, http.ServerResponse];
        let last = -1;
        await until('the client is full', () => {
          const stands = stream.bytesRead === last;
          last = stream.bytesRead;
          return stands;
        });
        assert.ok(stream.bytesRead < BYTES);
        try {
          await body({ stream, response, client, data, served });
        } finally {
          client.socket.destroy();
          stream.destroy();
        }
      },
      {},
    );
  });
}

async function readAll(client: RawClient): Promise<Buffer> {
  client.socket.resume();
  await once(client.socket, 'close');
  return client.all();
}

describe('files that are interrupted', () => {
  for (const framing of ['a length', 'chunks'] as const) {
    describe(`with ${framing}`, () => {
      it('a listener that is added in the middle hears exactly what is left', () =>
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

      it('a stream that is unpiped can be read to its end', () =>
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

      it('a stream that is paused goes on where it was', () =>
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

      it('a stream that is paused and resumed at once loses nothing', () =>
        inTheMiddle('upgraded', framing, async ({ stream, client, data }) => {
          stream.pause();
          stream.resume();
          assert.ok(answersOf(await readAll(client))[0]?.body.equals(data));
          assert.equal(stream.bytesRead, BYTES);
        }));

      it('what is written behind a destroyed stream arrives behind its bytes', () =>
        inTheMiddle('upgraded', framing, async ({ stream, response, client, data }) => {
          stream.destroy();
          const sent = stream.bytesRead;
          await once(stream, 'close');
          response.end('END');
          const body = answersOf(await readAll(client))[0]?.body as Buffer;
          assert.ok(body.subarray(0, sent).equals(data.subarray(0, sent)));
          assert.equal(body.toString('latin1', sent), 'END');
        }));

      it('a second target gets what is left, and the first one all', () =>
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

  it('an encoding that is set in the middle holds for what is left', () =>
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
      response.setTimeout(300, () => fired++);
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

  it('a file that is replaced or deleted while it is sent arrives as it was', () =>
    inTheMiddle('upgraded', 'a length', async ({ stream, client, data }) => {
      fs.rmSync(stream.path);
      fs.writeFileSync(stream.path, 'another file');
      assert.ok(answersOf(await readAll(client))[0]?.body.equals(data));
    }));

  it('a file that becomes shorter ends as in plain Node', async () => {
    const seen: unknown[] = [];
    for (const flavour of ['plain', 'upgraded'] as const) {
      await inTheMiddle(flavour, 'a length', async ({ stream, response, client, data }) => {
        const sent = stream.bytesRead;
        fs.truncateSync(stream.path, 1024 * 1024);
        const arrived = await readAll(client);
        const [answer] = answersOf(arrived);
        assert.ok((answer?.bytes as number) < BYTES);
        // Of what waits in the socket, the kernel clears the pages that it shared with the part cut off.
        assert.ok(answer?.body.subarray(0, 1024 * 1024).equals(data.subarray(0, 1024 * 1024)));
        assert.ok((answer?.bytes as number) >= 1024 * 1024 && sent > 0);
        // The descriptor is closed on the thread pool.
        if (!stream.closed) await once(stream, 'close');
        seen.push([response.writableFinished, stream.readableEnded]);
      });
    }
    assert.deepEqual(seen[1], seen[0]);
  });

  it('a file whose connection failed at its first byte can still be read', () =>
    withFiles(async (folder) => {
      const { path, data } = folder.file(300_000);
      const { native } = loadNative() as { native: Native };
      const { moveFile } = native;
      native.moveFile = () => -osConstants.errno.EPIPE;
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
