// Streams of files that are piped into a response, or into a socket: what a client, the stream and its
// response see is the same with and without the upgrade, whoever moves the bytes.
import assert from 'node:assert/strict';
import { AsyncLocalStorage } from 'node:async_hooks';
import fs from 'node:fs';
import type http from 'node:http';
import net from 'node:net';
import { PassThrough, Readable, finished, pipeline } from 'node:stream';
import { pipeline as piped } from 'node:stream/promises';
import { BufferPool, metrics, type FileReason } from '../../lib/index';
import { answersOf, exchange, Story, withFiles, type Answer } from '../helpers/file-kit';
import { withServer, type Flavour } from '../helpers/http-kit';

const MiB = 1024 * 1024;

interface Row {
  readonly title: string;
  readonly bytes?: number;
  /** Of each request; the last one closes. Default: one GET. */
  readonly methods?: readonly string[];
  readonly version?: string;
  /** Who sends the bytes of an upgraded connection. */
  readonly by: 'kernel' | FileReason;
  readonly answer: (file: string, response: http.ServerResponse, story: Story) => void;
}

const context = new AsyncLocalStorage<string>();

const plainly: Row['answer'] = (file, response, story) => {
  story.ofStream(fs.createReadStream(file)).pipe(response);
};

const sized: Row['answer'] = (file, response, story) => {
  response.setHeader('Content-Length', fs.statSync(file).size);
  plainly(file, response, story);
};

const rows: readonly Row[] = [
  { title: 'a file whose length the header tells', by: 'kernel', answer: sized },
  { title: 'a file in chunks', by: 'kernel', answer: plainly },
  { title: 'a file of one byte', bytes: 1, by: 'kernel', answer: sized },
  { title: 'a file of 20 MiB', bytes: 20 * MiB, by: 'kernel', answer: sized },
  { title: 'a file of 20 MiB in chunks', bytes: 20 * MiB, by: 'kernel', answer: plainly },
  { title: 'a file to a client of HTTP/1.0', version: '1.0', by: 'kernel', answer: plainly },
  { title: 'three pipelined answers', methods: ['GET', 'GET', 'GET'], by: 'kernel', answer: sized },
  {
    title: 'three pipelined answers in chunks',
    methods: ['GET', 'GET', 'GET'],
    by: 'kernel',
    answer: plainly,
  },
  {
    title: 'a part of a file',
    by: 'kernel',
    answer: (file, response, story) => {
      story.ofStream(fs.createReadStream(file, { start: 1000, end: 200_999 })).pipe(response);
    },
  },
  {
    title: 'the last bytes of a file',
    by: 'kernel',
    answer: (file, response, story) => {
      story.ofStream(fs.createReadStream(file, { start: 299_990 })).pipe(response);
    },
  },
  {
    title: 'a descriptor and a position',
    by: 'kernel',
    answer: (file, response, story) => {
      const fd = fs.openSync(file, 'r');
      story.ofStream(fs.createReadStream('', { fd, start: 7 })).pipe(response);
    },
  },
  {
    title: 'a file behind a beginning',
    by: 'kernel',
    answer: (file, response, story) => {
      response.write('<html>');
      plainly(file, response, story);
    },
  },
  {
    title: 'a file in front of an end',
    by: 'kernel',
    answer: (file, response, story) => {
      const stream = story.ofStream(fs.createReadStream(file));
      stream.pipe(response, { end: false });
      stream.on('end', () => response.end('</html>'));
    },
  },
  {
    title: 'a file by pipeline()',
    by: 'kernel',
    answer: (file, response, story) => {
      pipeline(story.ofStream(fs.createReadStream(file)), response, (error) =>
        story.response.push(`callback ${error?.message}`),
      );
    },
  },
  {
    title: 'a file by the pipeline() of promises',
    by: 'kernel',
    answer: (file, response, story) => {
      void piped(story.ofStream(fs.createReadStream(file)), response).then(() =>
        story.response.push('settled'),
      );
    },
  },
  {
    title: 'a stream that is piped when it is open',
    by: 'kernel',
    answer: (file, response, story) => {
      const stream = story.ofStream(fs.createReadStream(file));
      stream.on('open', () => stream.pipe(response));
    },
  },
  {
    title: 'a file behind a header that is sent already',
    by: 'kernel',
    answer: (file, response, story) => {
      response.writeHead(200, { 'Content-Length': fs.statSync(file).size });
      response.flushHeaders();
      plainly(file, response, story);
    },
  },
  {
    title: 'a file in front of trailers',
    by: 'kernel',
    answer: (file, response, story) => {
      response.setHeader('Trailer', 'X-Sum');
      const stream = story.ofStream(fs.createReadStream(file));
      stream.on('end', () => response.addTrailers({ 'X-Sum': String(stream.bytesRead) }));
      stream.pipe(response);
    },
  },
  {
    title: 'a file that is shorter than the header says',
    by: 'kernel',
    answer: (file, response, story) => {
      response.setHeader('Content-Length', fs.statSync(file).size + 1);
      plainly(file, response, story);
    },
  },
  {
    title: 'a stream that does not close its file',
    by: 'kernel',
    answer: (file, response, story) => {
      const fd = fs.openSync(file, 'r');
      const stream = fs.createReadStream('', { fd, start: 0, autoClose: false });
      story.ofStream(stream).pipe(response);
      stream.on('end', () => {
        // It is open until then.
        fs.fstatSync(fd);
        stream.destroy();
      });
    },
  },
  {
    title: 'a stream with small buffers and a signal',
    by: 'kernel',
    answer: (file, response, story) => {
      const { signal } = new AbortController();
      const options = { highWaterMark: 1000, signal };
      story.ofStream(fs.createReadStream(file, options)).pipe(response);
    },
  },
  {
    title: 'a stream whose listeners keep their async context',
    by: 'kernel',
    answer: (file, response, story) => {
      context.run('its request', () => {
        const stream = story.ofStream(fs.createReadStream(file));
        const tell = (list: string[]) => () => list.push(`within ${context.getStore()}`);
        for (const name of ['open', 'end', 'close']) stream.on(name, tell(story.stream));
        response.on('finish', tell(story.response));
        stream.pipe(response);
      });
    },
  },
  {
    title: 'a stream that an agent of monitoring listens to, but for its bytes',
    by: 'kernel',
    answer: (file, response, story) => {
      const stream = story.ofStream(fs.createReadStream(file));
      finished(stream, (error) => story.stream.push(`finished ${error?.message}`));
      finished(response, (error) => story.response.push(`finished ${error?.message}`));
      stream.pipe(response);
      stream.on('end', () =>
        story.stream.push(`disturbed ${Readable.isDisturbed(stream)} ${stream.readableDidRead}`),
      );
    },
  },
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
];

interface Seen {
  readonly answers: readonly Omit<Answer, 'body'>[];
  readonly stories: readonly Story[];
}

async function see(flavour: Flavour, row: Row, file: string): Promise<Seen> {
  const stories: Story[] = [];
  const { methods = ['GET'], version = '1.1' } = row;
  const request = methods
    .map((method, at) => {
      const last = at === methods.length - 1 ? 'Connection: close\r\n' : '';
      return `${method} / HTTP/${version}\r\nHost: files\r\n${last}\r\n`;
    })
    .join('');
  let arrived: Buffer = Buffer.alloc(0);
  await withServer(
    flavour,
    (_, response) => {
      const story = new Story();
      stories.push(story);
      story.ofResponse(response);
      row.answer(file, response, story);
    },
    async ({ port }) => {
      arrived = await exchange(port, request);
      await Promise.all(stories.map((story) => story.closed()));
    },
    {},
  );
  const answers = answersOf(arrived, methods).map(({ body: _, ...rest }) => rest);
  return { answers, stories };
}

// http's write() is watched as soon as there is a pool, and is Node's all the same.
describe('files that are piped', () => {
  before(() => void new BufferPool({ bytes: 64 * 1024 }));

  for (const row of rows) {
    it(`${row.title}: an upgraded server answers as a plain one, by ${row.by}`, () =>
      withFiles(async (folder) => {
        const { path } = folder.file(row.bytes ?? 300_000);
        const plain = await see('plain', row, path);
        const before = metrics().files;
        const upgraded = await see('upgraded', row, path);
        const after = metrics().files;
        assert.deepEqual(upgraded.answers, plain.answers);
        assert.deepEqual(
          upgraded.stories.map(({ stream, response, bytesRead }) => ({
            stream,
            response,
            bytesRead,
          })),
          plain.stories.map(({ stream, response, bytesRead }) => ({ stream, response, bytesRead })),
        );
        const requests = row.methods?.length ?? 1;
        if (row.by === 'kernel') {
          assert.equal(after.sent - before.sent, requests);
          assert.deepEqual(after.left, before.left);
        } else {
          assert.equal(after.sent, before.sent);
          assert.equal((after.left[row.by] ?? 0) - (before.left[row.by] ?? 0), requests);
        }
        if (!plain.answers.some(({ headers }) => headers.includes('Transfer-Encoding: chunked')))
          assert.deepEqual(
            upgraded.stories.map(({ bytesWritten }) => bytesWritten),
            plain.stories.map(({ bytesWritten }) => bytesWritten),
          );
      }));
  }

  it('a file goes to a socket behind what was written before it', () =>
    withFiles(async (folder) => {
      const { path, data } = folder.file(3 * MiB);
      await withServer(
        'upgraded',
        () => undefined,
        async ({ server, port }) => {
          server.removeAllListeners('connection');
          const { enableZeroCopy } = await import('../../lib/index.js');
          server.on('connection', (socket: net.Socket) => {
            enableZeroCopy(socket);
            socket.write(Buffer.alloc(2 * MiB, 'x'));
            fs.createReadStream(path).pipe(socket);
          });
          const arrived = await exchange(port, '');
          assert.ok(arrived.equals(Buffer.concat([Buffer.alloc(2 * MiB, 'x'), data])));
        },
      );
    }));

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

  it('a stream behind a transform is read', () =>
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
});
