// Streams of files that are piped into a response, or into a socket, and that the kernel sends: what a client, the
// stream and its response see is the same with and without the upgrade.
import assert from 'node:assert/strict';
import { AsyncLocalStorage } from 'node:async_hooks';
import fs from 'node:fs';
import type net from 'node:net';
import { Readable, finished, pipeline } from 'node:stream';
import { pipeline as piped } from 'node:stream/promises';
import { answersOf, exchange, withFiles } from '../helpers/file-kit';
import { withServer } from '../helpers/http-kit';
import { declareRows, plainly, sized, type Row } from '../helpers/piped-files';

const MiB = 1024 * 1024;

const context = new AsyncLocalStorage<string>();

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
];

/** Around what one call takes of text in front of a file. */
const HEADERS = Array.from({ length: 24 }, (_, at) => 4_080 + at);

describe('files that are piped', () => {
  declareRows(rows);

  it('a file in chunks arrives whole after a header of any length', () =>
    withFiles(async (folder) => {
      const { path, data } = folder.file(300_000);
      let padding = 1;
      const answer = async (port: number): Promise<Buffer> =>
        exchange(port, 'GET / HTTP/1.1\r\nHost: files\r\nConnection: close\r\n\r\n');
      await withServer(
        'upgraded',
        (_, response) => {
          response.setHeader('X-Padding', 'p'.repeat(padding));
          fs.createReadStream(path).pipe(response);
        },
        async ({ port }) => {
          const least = (await answer(port)).indexOf('\r\n\r\n') + 4 - padding;
          for (const length of HEADERS) {
            padding = length - least;
            const arrived = await answer(port);
            assert.equal(arrived.indexOf('\r\n\r\n') + 4, length);
            const [{ body } = { body: Buffer.alloc(0) }] = answersOf(arrived);
            assert.ok(body.equals(data), `other bytes behind a header of ${length}`);
          }
        },
      );
    }));

  it('a file goes to a socket after earlier writes', () =>
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
});
