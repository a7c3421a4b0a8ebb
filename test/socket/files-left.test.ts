// Streams of files that are piped and left to Node's own stream, which somebody else wants to see or has changed, or
// that are no files: everybody sees what he sees without the upgrade, and the reason is counted.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import type net from 'node:net';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import { enableZeroCopy, metrics, sendFile, type SendReport } from '../../lib/index';
import { answersOf, exchange, withFiles } from '../helpers/file-kit';
import { withServer } from '../helpers/http-kit';
import { declareRows, plainly, sized, type Row } from '../helpers/piped-files';

const rows: readonly Row[] = [
  {
    title: 'a corked response',
    bytes: 5000,
    by: 'corked',
    answer: (file, response, story) => {
      response.cork();
      const stream = story.ofStream(fs.createReadStream(file));
      stream.pipe(response);
      stream.on('end', () => response.uncork());
    },
  },
  {
    title: 'a response with strictContentLength',
    by: 'strict-length',
    answer: (file, response, story) => {
      response.strictContentLength = true;
      sized(file, response, story);
    },
  },
  {
    title: 'the stream of a FileHandle',
    by: 'own-stream',
    answer: (file, response, story) => {
      void fs.promises.open(file).then((handle) => {
        story.ofStream(handle.createReadStream()).pipe(response);
      });
    },
  },
  {
    title: 'a stream that is throttled',
    by: 'other-readers',
    answer: (file, response, story) => {
      const stream = story.ofStream(fs.createReadStream(file, { highWaterMark: 10_000 }));
      stream.on('data', () => {
        stream.pause();
        setImmediate(() => stream.resume());
      });
      stream.pipe(response);
    },
  },
  { title: 'HEAD', methods: ['HEAD'], by: 'no-body', answer: sized },
  {
    title: 'a status without a body',
    by: 'no-body',
    answer: (file, response, story) => {
      response.statusCode = 304;
      plainly(file, response, story);
    },
  },
  { title: 'an empty file', bytes: 0, by: 'no-size', answer: plainly },
  {
    title: 'a file of /proc',
    by: 'no-size',
    answer: (_file, response, story) => plainly('/proc/version', response, story),
  },
  {
    title: 'a file of sysfs',
    by: 'no-size',
    answer: (_file, response, story) => plainly('/sys/class/net/lo/mtu', response, story),
  },
  {
    title: 'a descriptor at some position',
    by: 'no-position',
    answer: (file, response, story) => {
      const fd = fs.openSync(file, 'r');
      fs.readSync(fd, Buffer.alloc(100));
      story.ofStream(fs.createReadStream('', { fd })).pipe(response);
    },
  },
  {
    title: 'a stream that somebody else listens to',
    by: 'other-readers',
    answer: (file, response, story) => {
      const stream = story.ofStream(fs.createReadStream(file));
      let bytes = 0;
      stream.on('data', (chunk) => (bytes += chunk.length));
      stream.on('end', () => story.stream.push(`heard ${bytes}`));
      stream.pipe(response);
    },
  },
  {
    title: 'a stream with an encoding',
    by: 'other-readers',
    answer: (file, response, story) => {
      const stream = story.ofStream(fs.createReadStream(file, { encoding: 'latin1' }));
      response.setHeader('X-Encoding', String(stream.readableEncoding));
      stream.pipe(response);
    },
  },
  {
    title: 'a subclass of ReadStream',
    by: 'own-stream',
    answer: (file, response, story) => {
      class Upper extends fs.ReadStream {
        override push(chunk: Buffer | null): boolean {
          return super.push(chunk && Buffer.from(chunk.map((byte) => byte ^ 1)));
        }
      }
      story.ofStream(new Upper(file as unknown as never)).pipe(response);
    },
  },
  {
    title: 'an fs of its own',
    by: 'own-stream',
    answer: (file, response, story) => {
      const options = { fs: { ...fs } } as object;
      story.ofStream(fs.createReadStream(file, options)).pipe(response);
    },
  },
  {
    title: 'a response whose write() was replaced',
    by: 'own-write',
    answer: (file, response, story) => {
      const write = response.write.bind(response) as (chunk: Buffer) => boolean;
      response.write = ((chunk: Buffer) =>
        write(Buffer.from(chunk.map((byte) => byte ^ 2)))) as never;
      plainly(file, response, story);
    },
  },
  {
    title: 'a socket whose write() was replaced',
    by: 'own-write',
    answer: (file, response, story) => {
      const { socket } = response.req;
      const { write } = socket;
      socket.write = function (this: net.Socket, ...args: unknown[]) {
        return write.apply(this, args as never);
      } as never;
      sized(file, response, story);
    },
  },
  {
    title: 'a directory',
    by: 'not-regular',
    answer: (file, response, story) => {
      const stream = story.ofStream(fs.createReadStream(path.dirname(file)));
      stream.on('error', () => response.writeHead(500).end('no file'));
      stream.pipe(response);
    },
  },
  {
    title: 'a FIFO',
    by: 'not-regular',
    answer: (file, response, story) => {
      const fifo = `${file}.fifo`;
      if (!fs.existsSync(fifo)) execFileSync('mkfifo', [fifo]);
      fs.writeFile(fifo, Buffer.alloc(100_000, 'fifo'), () => undefined);
      plainly(fifo, response, story);
    },
  },
  {
    title: 'a device',
    by: 'not-regular',
    answer: (_file, response, story) => {
      const stream = fs.createReadStream('/dev/zero', { end: 99_999 });
      story.ofStream(stream).pipe(response);
    },
  },
  {
    title: 'what lies beyond the end of a file',
    by: 'no-size',
    answer: (file, response, story) => {
      story.ofStream(fs.createReadStream(file, { start: 1_000_000 })).pipe(response);
    },
  },
  {
    title: 'a missing file',
    by: 'nobody',
    answer: (file, response, story) => {
      const stream = story.ofStream(fs.createReadStream(`${file}.missing`));
      stream.on('error', () => response.writeHead(404).end('no file'));
      stream.pipe(response);
    },
  },
  {
    title: 'a descriptor that is closed',
    by: 'not-regular',
    answer: (file, response, story) => {
      const fd = fs.openSync(file, 'r');
      const stream = story.ofStream(fs.createReadStream('', { fd, start: 0 }));
      fs.closeSync(fd);
      stream.on('error', () => response.writeHead(500).end('no file'));
      stream.pipe(response);
    },
  },
];

describe('piped files that Node sends by itself', () => {
  declareRows(rows);

  it("files: 'off' leaves every stream to Node", () =>
    withFiles(async (folder) => {
      const { path, data } = folder.file(300_000);
      const before = metrics().files;
      await withServer(
        'upgraded',
        (_, response) => void fs.createReadStream(path).pipe(response),
        async ({ port }) => {
          const arrived = await exchange(port, 'GET / HTTP/1.0\r\n\r\n');
          assert.ok(answersOf(arrived)[0]?.body.equals(data));
        },
        { files: 'off' },
      );
      assert.deepEqual(metrics().files, before);
    }));

  it('a stream that is piped through a transform is read', () =>
    withFiles(async (folder) => {
      const { path, data } = folder.file(300_000);
      const before = metrics().files;
      await withServer(
        'upgraded',
        (_, response) => void fs.createReadStream(path).pipe(new PassThrough()).pipe(response),
        async ({ port }) => {
          const arrived = await exchange(port, 'GET / HTTP/1.0\r\n\r\n');
          assert.ok(answersOf(arrived)[0]?.body.equals(data));
        },
      );
      assert.deepEqual(metrics().files, before);
    }));

  it('a file of unknown size resolves over a connection that closes before the memory is released', async () => {
    const server = http.createServer();
    enableZeroCopy(server, { engine: 'msg_zerocopy', threshold: 0 });
    const sent = new Promise((resolve) =>
      server.on('request', (_, response) => {
        sendFile(response, '/proc/version').then(resolve, resolve);
      }),
    );
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const { port } = server.address() as net.AddressInfo;
    const asked = http.get({ port, host: '127.0.0.1', agent: false });
    const [response] = (await once(asked, 'response')) as [http.IncomingMessage];
    const got = Buffer.concat((await response.toArray()) as Buffer[]);
    server.close();
    assert.deepEqual(got, fs.readFileSync('/proc/version'));
    const report = (await sent) as SendReport;
    assert.equal(report.bytes, got.length, String(report));
  });
});
