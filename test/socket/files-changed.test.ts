// Files that change while they are sent: what arrives, and what becomes of the connection, is as in plain Node
// where the bytes are still there to be sent.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import { sendFile } from '../../lib/index';
import { answersOf, withFiles } from '../helpers/file-kit';
import { BYTES, FRAMINGS, inTheMiddle, readAll } from '../helpers/file-middle';
import { withPair } from '../helpers/sent-files';
import { until } from '../../scripts/until';

const MiB = 1024 * 1024;
const FLAVOURS = ['plain', 'upgraded'] as const;
const ERROR = 'ERR_ZC_FILE_CHANGED';

interface Change {
  readonly title: string;
  readonly to: (path: string) => void;
}

/** After these the file that was opened has the same bytes. */
const ELSEWHERE: readonly Change[] = [
  { title: 'deleted', to: (path) => fs.rmSync(path) },
  {
    title: 'replaced by rename(2)',
    to: (path) => {
      fs.writeFileSync(`${path}-new`, 'another file');
      fs.renameSync(`${path}-new`, path);
    },
  },
  {
    title: 'deleted, and written anew',
    to: (path) => {
      fs.rmSync(path);
      fs.writeFileSync(path, 'another file');
    },
  },
];

describe('piped files that change while they are sent', () => {
  for (const framing of FRAMINGS) {
    for (const { title, to } of ELSEWHERE) {
      it(`with ${framing}, a file that is ${title} arrives with its old content`, () =>
        inTheMiddle('upgraded', framing, async ({ stream, client, data }) => {
          to(stream.path as string);
          assert.ok(answersOf(await readAll(client))[0]?.body.equals(data));
        }));
    }

    it(`with ${framing}, a file that grows is sent as by plain Node`, async () => {
      const seen: unknown[] = [];
      for (const flavour of FLAVOURS) {
        await inTheMiddle(flavour, framing, async ({ stream, client, data }) => {
          fs.appendFileSync(stream.path, 'and more');
          const arrived = await readAll(client);
          assert.equal(stream.bytesRead, BYTES + 8);
          const body = framing === 'chunks' ? answersOf(arrived)[0]?.body : behindHeader(arrived);
          assert.ok(body?.subarray(0, BYTES).equals(data));
          seen.push(body?.toString('latin1', BYTES));
        });
      }
      assert.deepEqual(seen[1], seen[0]);
    });
  }

  it('with a length, a file that shrinks ends as in plain Node', async () => {
    const seen: unknown[] = [];
    for (const flavour of FLAVOURS) {
      await inTheMiddle(flavour, 'a length', async ({ stream, response, client, data }) => {
        const sent = stream.bytesRead;
        fs.truncateSync(stream.path, MiB);
        const arrived = await readAll(client);
        const [answer] = answersOf(arrived);
        assert.ok((answer?.bytes as number) < BYTES);
        // Of what waits in the socket, the kernel clears the pages that it shared with the part cut off.
        assert.ok(answer?.body.subarray(0, MiB).equals(data.subarray(0, MiB)));
        assert.ok((answer?.bytes as number) >= MiB && sent > 0);
        // The descriptor is closed on the thread pool.
        if (!stream.closed) await once(stream, 'close');
        seen.push([response.writableFinished, stream.readableEnded]);
      });
    }
    assert.deepEqual(seen[1], seen[0]);
  });

  it('in chunks, a file that shrinks beyond the present chunk ends as in plain Node', async () => {
    for (const flavour of FLAVOURS) {
      await inTheMiddle(flavour, 'chunks', async ({ stream, response, client, data }) => {
        // Behind the chunk that was begun.
        const left = stream.bytesRead + MiB;
        fs.truncateSync(stream.path, left);
        const [answer] = answersOf(await readAll(client));
        assert.ok(answer?.body.equals(data.subarray(0, left)));
        if (!stream.closed) await once(stream, 'close');
        assert.deepEqual([response.writableFinished, stream.readableEnded], [true, true]);
      });
    }
  });

  it('in chunks, a file that shrinks within the present chunk closes the connection', () =>
    inTheMiddle('upgraded', 'chunks', async ({ stream, response, client }) => {
      fs.truncateSync(stream.path, MiB);
      const failed = once(response.req.socket, 'error') as Promise<[NodeJS.ErrnoException]>;
      const arrived = await readAll(client);
      assert.equal((await failed)[0].code, ERROR);
      assert.ok(!arrived.subarray(-5).equals(Buffer.from('0\r\n\r\n')));
      assert.equal(response.writableFinished, false);
    }));
});

// Node does not count what is written: bytes beyond Content-Length follow.
function behindHeader(arrived: Buffer): Buffer {
  return arrived.subarray(arrived.indexOf('\r\n\r\n') + 4);
}

for (const flavour of FLAVOURS) {
  describe(`sendFile() of a file that changes while it is sent, on ${flavour} connections`, () => {
    for (const { title, to } of ELSEWHERE) {
      it(`a file that is ${title} arrives with its old content`, () =>
        withFiles(async (folder) => {
          const { path: name, data } = folder.file(BYTES);
          await withPair(flavour, async (near, far) => {
            const sent = sendFile(near, name);
            await until('it is begun', () => near.bytesWritten > 0);
            to(name);
            far.socket.resume();
            assert.equal((await sent).bytes, data.length);
            near.end();
            await until('all is there', () => far.ended);
            assert.ok(far.all().equals(data));
          });
        }));
    }

    it('a file that shrinks rejects and closes the connection', () =>
      withFiles(async (folder) => {
        const { path: name } = folder.file(24 * MiB);
        await withPair(flavour, async (near, far) => {
          const sent = assert.rejects(sendFile(near, name), { code: 'ERR_ZC_FILE_CHANGED' });
          await until('it is begun', () => near.bytesWritten > 0);
          fs.truncateSync(name, 10);
          far.socket.resume();
          await sent;
          assert.ok(near.destroyed);
        });
      }));

    it('a file that grows is sent with its old length', () =>
      withFiles(async (folder) => {
        const { path: name, data } = folder.file(12 * MiB);
        await withPair(flavour, async (near, far) => {
          const sent = sendFile(near, name);
          await until('it is begun', () => near.bytesWritten > 0);
          fs.appendFileSync(name, 'more');
          far.socket.resume();
          assert.equal((await sent).bytes, data.length);
          near.end();
          await until('all is there', () => far.ended);
          assert.ok(far.all().equals(data));
        });
      }));
  });
}
