// Streams of files that are piped into a response, seen from all sides, on a plain server and on an upgraded one.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import type http from 'node:http';
import { BufferPool, metrics, type FileReason } from '../../lib/index';
import { answersOf, exchange, Story, withFiles, type Answer } from './file-kit';
import { withServer, type Flavour } from './http-kit';

export interface Row {
  readonly title: string;
  readonly bytes?: number;
  /** Of each request; the last one closes. Default: one GET. */
  readonly methods?: readonly string[];
  readonly version?: string;
  /** What sends the bytes of an upgraded connection; 'nobody': there are none. */
  readonly by: 'kernel' | 'nobody' | FileReason;
  readonly answer: (file: string, response: http.ServerResponse, story: Story) => void;
}

export const plainly: Row['answer'] = (file, response, story) => {
  story.ofStream(fs.createReadStream(file)).pipe(response);
};

export const sized: Row['answer'] = (file, response, story) => {
  response.setHeader('Content-Length', fs.statSync(file).size);
  plainly(file, response, story);
};

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

/** Declares a test for each row. */
export function declareRows(rows: readonly Row[]): void {
  // http's write() is watched as soon as there is a pool, and is Node's all the same.
  before(() => void new BufferPool({ bytes: 64 * 1024 }));

  for (const row of rows) {
    it(`${row.title}: an upgraded server answers as a plain one, by ${row.by}`, () =>
      withFiles(async (folder) => {
        const { path } = folder.file(row.bytes ?? 300_000);
        const plain = await see('plain', row, path);
        // The second time its path is known, and the event loop opens it.
        for (let time = 0; time < 2; time++) {
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
            plain.stories.map(({ stream, response, bytesRead }) => ({
              stream,
              response,
              bytesRead,
            })),
          );
          const requests = row.methods?.length ?? 1;
          if (row.by === 'kernel') {
            assert.equal(after.sent - before.sent, requests);
            assert.deepEqual(after.left, before.left);
          } else if (row.by === 'nobody') {
            assert.deepEqual(after, before);
          } else {
            assert.equal(after.sent, before.sent);
            assert.equal((after.left[row.by] ?? 0) - (before.left[row.by] ?? 0), requests);
          }
          if (!plain.answers.some(({ headers }) => headers.includes('Transfer-Encoding: chunked')))
            assert.deepEqual(
              upgraded.stories.map(({ bytesWritten }) => bytesWritten),
              plain.stories.map(({ bytesWritten }) => bytesWritten),
            );
        }
      }));
  }
}
