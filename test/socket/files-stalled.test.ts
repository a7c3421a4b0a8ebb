// Readers of files that stall: they cost a descriptor and next to no memory, the loop stays quiet, and timeouts
// fire for them, and not for readers that make progress, as in plain Node.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import type http from 'node:http';
import type net from 'node:net';
import { metrics, sendFile } from '../../lib/index';
import { answersOf, withFiles } from '../helpers/file-kit';
import { RawClient, withServer, type Flavour, type Served } from '../helpers/http-kit';
import { startProgram, stopPrograms } from '../helpers/program';
import type { StalledArgument } from '../scenarios/stalled-readers';
import { until } from '../../scripts/until';

const MiB = 1024 * 1024;
/** More than both buffers of a connection over loopback take. */
const BYTES = 24 * MiB;
const READERS = 1000;
/** A file and a connection for each. */
const DESCRIPTORS = 2 * READERS;
/** A piece of 4 KiB for each waits in libuv until there is space; of those that went not all are collected. */
const MOST_BYTES_EACH = 16 * 1024;
const GET = 'GET / HTTP/1.1\r\nHost: files\r\n\r\n';

type Way = 'piped' | 'sendFile()';

function answerBy(way: Way, name: string): http.RequestListener {
  return (_, response) => {
    response.on('error', () => undefined);
    if (way === 'sendFile()') {
      sendFile(response, name).catch(() => undefined);
      return;
    }
    response.setHeader('Content-Length', fs.statSync(name).size);
    const stream = fs.createReadStream(name);
    response.on('close', () => stream.destroy());
    stream.pipe(response);
  };
}

function openDescriptors(): number {
  return fs.readdirSync('/proc/self/fd').length;
}

function heldBytes(): number {
  const { arrayBuffers, external } = process.memoryUsage();
  return arrayBuffers + external;
}

/** Until nothing moves any more. */
async function stalled({ accepted }: Served, readers: number): Promise<void> {
  let last = -1;
  await until('all are stalled', async () => {
    await new Promise((resolve) => setTimeout(resolve, 100));
    const bytes = accepted.reduce((sum, socket) => sum + socket.bytesWritten, 0);
    const stands = accepted.length === readers && bytes > 0 && bytes === last;
    last = bytes;
    return stands;
  });
}

async function askAndStall(port: number): Promise<RawClient> {
  const client = await RawClient.open(port, 'stalled');
  client.socket.write(GET);
  return client;
}

describe('a thousand readers of files that stall', () => {
  afterEach(stopPrograms);

  for (const way of ['piped', 'sendFile()'] as const) {
    it(`${way}: need two descriptors each and hardly any memory, and the event loop rests`, function () {
      this.timeout(60_000);
      return withFiles(async (folder) => {
        const { path: name, data } = folder.file(BYTES);
        const { sent } = metrics().files;
        await withServer('upgraded', answerBy(way, name), (served) => hold(served, data), {});
        assert.equal(metrics().files.sent, sent + 1);
      });
    });
  }
});

async function hold(served: Served, data: Buffer): Promise<void> {
  const descriptors = openDescriptors();
  const bytes = heldBytes();
  // In a process of their own, so that what they hold is not counted.
  const given: StalledArgument = { port: served.port, readers: READERS };
  const readers = startProgram('stalled-readers', given);
  await readers.next();
  await stalled(served, READERS);
  const opened = openDescriptors() - descriptors;
  assert.ok(opened >= DESCRIPTORS && opened < DESCRIPTORS + 20, `${opened} descriptors`);
  const held = heldBytes() - bytes;
  assert.ok(held < READERS * MOST_BYTES_EACH, `${held} bytes`);
  const used = process.cpuUsage();
  await new Promise((resolve) => setTimeout(resolve, 300));
  const { user, system } = process.cpuUsage(used);
  // A loop that spins would take all of it.
  assert.ok(user + system < 200_000, `${user + system} us of 300 ms`);
  // Other readers are served meanwhile.
  const client = await RawClient.open(served.port, 'reading');
  client.socket.write(GET);
  await until('the file is there', () => client.bytes > BYTES, 30_000);
  assert.ok(answersOf(client.all())[0]?.body.equals(data));
  client.socket.destroy();
  readers.tell({});
  await until('all is given back', () => openDescriptors() < descriptors + 20, 30_000);
}

interface Case {
  readonly flavour: Flavour;
  readonly way: Way;
}

const CASES: readonly Case[] = [
  { flavour: 'plain', way: 'piped' },
  { flavour: 'upgraded', way: 'piped' },
  { flavour: 'upgraded', way: 'sendFile()' },
];

const TIMEOUT_MS = 300;

/** Serves a file to one client that has asked for it, and stalls. */
async function withReader(
  { flavour, way }: Case,
  prepare: (server: http.Server) => unknown,
  body: (client: RawClient, near: net.Socket, data: Buffer) => Promise<void>,
): Promise<void> {
  await withFiles(async (folder) => {
    const { path: name, data } = folder.file(BYTES);
    await withServer(
      flavour,
      answerBy(way, name),
      async (served) => {
        prepare(served.server);
        const client = await askAndStall(served.port);
        await until('it is begun', () => (served.accepted[0]?.bytesWritten ?? 0) > 0);
        await body(client, served.accepted[0] as net.Socket, data);
      },
      {},
    );
  });
}

/** Reads a little at a time, longer than the timeout. */
async function readSlowly({ socket }: RawClient): Promise<void> {
  let due = 0;
  const onData = (part: Buffer): void => {
    due += part.length;
    if (due > MiB / 2) socket.pause();
  };
  socket.on('data', onData);
  const slowly = setInterval(() => {
    due = 0;
    socket.resume();
  }, TIMEOUT_MS / 10);
  try {
    await until(
      'most is read',
      () => socket.bytesRead > BYTES - 2 * MiB || socket.destroyed,
      30_000,
    );
  } finally {
    clearInterval(slowly);
    socket.off('data', onData);
  }
}

for (const one of CASES) {
  describe(`timeouts of a server whose files are ${one.way} (${one.flavour})`, () => {
    it('server.timeout ends the connection of a stalled reader', () => {
      const events: string[] = [];
      return withReader(
        one,
        (server) => {
          server.timeout = TIMEOUT_MS;
          server.on('connection', (socket: net.Socket) => {
            for (const name of ['timeout', 'close']) socket.on(name, () => events.push(name));
          });
        },
        async (_client, near) => {
          await once(near, 'close');
          assert.deepEqual(events, ['timeout', 'close']);
        },
      );
    });

    it('server.timeout and socket.setTimeout() do not fire while the reader makes progress', () =>
      withReader(
        one,
        (server) => (server.timeout = TIMEOUT_MS),
        async (client, near, data) => {
          let fired = 0;
          near.setTimeout(TIMEOUT_MS, () => fired++);
          await readSlowly(client);
          assert.equal(fired, 0);
          client.socket.resume();
          await until('all is there', () => client.bytes > BYTES);
          assert.ok(answersOf(client.all())[0]?.body.equals(data));
        },
      ));

    it('socket.setTimeout() fires for a stalled reader, and keeps the connection', () =>
      withReader(
        one,
        // Otherwise http destroys what timed out.
        (server) => server.on('timeout', () => undefined),
        async (client, near, data) => {
          near.setTimeout(TIMEOUT_MS);
          await once(near, 'timeout');
          assert.equal(near.destroyed, false);
          client.socket.resume();
          await until('all is there', () => client.bytes > BYTES);
          assert.ok(answersOf(client.all())[0]?.body.equals(data));
        },
      ));

    it('keepAliveTimeout starts when a file is sent, and not before', () =>
      withReader(
        one,
        (server) => (server.keepAliveTimeout = TIMEOUT_MS),
        async (client, near, data) => {
          await readSlowly(client);
          assert.equal(near.destroyed, false);
          client.socket.resume();
          await until('all is there', () => client.bytes > BYTES);
          client.socket.write(GET);
          await until('all is there again', () => client.bytes > 2 * BYTES);
          await once(near, 'close');
          await until('the end is there', () => client.ended);
          const answers = answersOf(client.all(), ['GET', 'GET']);
          assert.ok(answers.every(({ body }) => body.equals(data)));
        },
      ));
  });
}
