// Piped files that were opened lately: the event loop opens and closes them, and nobody can tell.
import assert from 'node:assert/strict';
import { createHook } from 'node:async_hooks';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import type http from 'node:http';
import { answersOf, exchange, Story, withFiles, type Folder } from '../helpers/file-kit';
import { withServer } from '../helpers/http-kit';
import { until } from '../../scripts/until';

const REQUEST = 'GET / HTTP/1.1\r\nHost: files\r\nConnection: close\r\n\r\n';

type Listener = (response: http.ServerResponse) => void;

/** Lets `change` listen instead of a server that pipes a file, once that file is known. */
async function opened(
  folder: Folder,
  body: (known: {
    readonly path: string;
    readonly data: Buffer;
    readonly answer: (listener?: Listener) => Promise<Buffer>;
  }) => Promise<void>,
): Promise<void> {
  const { path, data } = folder.file(300_000);
  const pipes: Listener = (response) => void fs.createReadStream(path).pipe(response);
  let present: Listener = pipes;
  await withServer(
    'upgraded',
    (_, response) => present(response),
    async ({ port }) => {
      const answer = (listener: Listener = pipes): Promise<Buffer> => {
        present = listener;
        return exchange(port, REQUEST);
      };
      await until('its path is known', async () => (await trips(() => answer())) === 0);
      await body({ path, data, answer });
    },
  );
}

/** Requests of `fs` to the thread pool meanwhile. */
async function trips(body: () => Promise<unknown>): Promise<number> {
  let count = 0;
  const hook = createHook({ init: (_, type) => void (type === 'FSREQCALLBACK' && count++) });
  hook.enable();
  await body().finally(() => hook.disable());
  return count;
}

function bodyOf(arrived: Buffer): Buffer {
  return answersOf(arrived)[0]?.body ?? Buffer.alloc(0);
}

const descriptors = (): number => fs.readdirSync('/proc/self/fd').length;

describe('piped files that were opened lately', () => {
  it('are opened and closed without the thread pool', () =>
    withFiles((folder) =>
      opened(folder, async ({ data, answer }) => {
        const before = descriptors();
        for (let time = 0; time < 3; time++) {
          let arrived: Buffer = Buffer.alloc(0);
          assert.equal(await trips(async () => (arrived = await answer())), 0);
          assert.ok(bodyOf(arrived).equals(data));
        }
        await until('none is left open', () => descriptors() <= before);
      }),
    ));

  it('are those that their paths name when they are opened', () =>
    withFiles((folder) =>
      opened(folder, async ({ path, answer }) => {
        const other = folder.file(200_000);
        fs.renameSync(other.path, path);
        assert.ok(bodyOf(await answer()).equals(other.data));
      }),
    ));

  it('fail as those of plain Node if they are gone, or a directory by now', () =>
    withFiles((folder) =>
      opened(folder, async ({ path, answer }) => {
        const told = async (): Promise<readonly string[]> => {
          const story = new Story();
          await answer((response) => {
            const stream = story.ofStream(fs.createReadStream(path));
            stream.on('error', () => response.destroy());
            stream.pipe(response);
          });
          await story.closed();
          return story.stream;
        };
        fs.unlinkSync(path);
        assert.deepEqual(await told(), ['error ENOENT', 'close']);
        fs.mkdirSync(path);
        assert.deepEqual(await told(), ['open', 'ready', 'error EISDIR', 'close']);
      }),
    ));

  it('are read by the thread pool if they are a FIFO by now', () =>
    withFiles((folder) =>
      opened(folder, async ({ path, answer }) => {
        fs.unlinkSync(path);
        execFileSync('mkfifo', [path]);
        const arriving = answer();
        const writer = await fs.promises.open(path, 'w');
        await writer.write('by a writer');
        await writer.close();
        assert.equal(bodyOf(await arriving).toString(), 'by a writer');
      }),
    ));

  it('call listeners that were added after pipe()', () =>
    withFiles((folder) =>
      opened(folder, async ({ path, data, answer }) => {
        const story = new Story();
        const arrived = await answer((response) => {
          const stream = fs.createReadStream(path);
          stream.pipe(response);
          void Promise.resolve().then(() => process.nextTick(() => story.ofStream(stream)));
        });
        await story.closed();
        assert.deepEqual(story.stream, ['open', 'ready', 'end', 'close']);
        assert.ok(bodyOf(arrived).equals(data));
      }),
    ));

  it('are closed when they are destroyed before they are open, or while they are sent', () =>
    withFiles((folder) =>
      opened(folder, async ({ path, answer }) => {
        const before = descriptors();
        for (const when of ['piped', 'open', 'ready'] as const) {
          const story = new Story();
          await answer((response) => {
            const stream = story.ofStream(fs.createReadStream(path));
            const destroy = (): void => {
              stream.destroy();
              response.destroy();
            };
            stream.pipe(response);
            if (when === 'piped') destroy();
            else stream.on(when, destroy);
          });
          await story.closed();
          assert.equal(story.stream.at(-1), 'close');
        }
        await until('none is left open', () => descriptors() <= before);
      }),
    ));

  const replaceable: readonly [string, object, string][] = [
    ['fs.open()', fs, 'open'],
    ['_construct() of streams', fs.ReadStream.prototype, '_construct'],
  ];
  for (const [title, owner, name] of replaceable) {
    it(`are opened by a replaced ${title}`, () =>
      withFiles((folder) =>
        opened(folder, async ({ data, answer }) => {
          const methods = owner as Record<string, (...args: unknown[]) => unknown>;
          const own = methods[name] as (...args: unknown[]) => unknown;
          let calls = 0;
          methods[name] = function (this: unknown, ...args: unknown[]): unknown {
            calls++;
            return Reflect.apply(own, this, args);
          };
          try {
            assert.ok(bodyOf(await answer()).equals(data));
          } finally {
            methods[name] = own;
          }
          assert.equal(calls, 1);
        }),
      ));
  }

  it('are opened by a replaced open() of streams', () =>
    withFiles((folder) =>
      opened(folder, async ({ path, data, answer }) => {
        const { prototype } = fs.ReadStream as unknown as { prototype: { open: unknown } };
        const { open } = prototype;
        const paths: unknown[] = [];
        prototype.open = function (this: fs.ReadStream & { fd: number }): void {
          paths.push(this.path);
          this.fd = fs.openSync(path, 'r');
          this.emit('open', this.fd);
        };
        try {
          assert.ok(bodyOf(await answer()).equals(data));
        } finally {
          prototype.open = open;
        }
        assert.deepEqual(paths, [path]);
      }),
    ));

  it('stay open if the stream does not close them', () =>
    withFiles((folder) =>
      opened(folder, async ({ path, answer }) => {
        let stream: fs.ReadStream | undefined;
        await answer((response) => {
          stream = fs.createReadStream(path, { autoClose: false });
          stream.pipe(response);
        });
        const { fd } = stream as unknown as { fd: number };
        assert.equal(fs.fstatSync(fd).size, 300_000);
        fs.closeSync(fd);
      }),
    ));
});
