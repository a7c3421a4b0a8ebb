// Large responses that go without copying and share a system call: the far end compares every byte, and their buffers
// are overwritten as soon as they are released.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type http from 'node:http';
import net from 'node:net';
import { enableZeroCopy, metrics } from '../../lib/index';
import type { ZeroCopyControl, ZeroCopyMembers, ZeroCopyOptions } from '../../lib/index';
import { loadNative, type Native } from '../../lib/native/binding';
import { seededRandom } from '../../scripts/random';
import {
  askedByMany,
  CONNECTIONS,
  countingShared,
  serve,
  type Handler,
} from '../helpers/many-clients';
import { uringSuite } from '../helpers/suites';

const KB = 1_024;
/** The addon hands over what lies for longer. */
const LONGEST_WAIT_MS = 3;
/** What the addon gives the kernel by one call. */
const MOST_OF_ONE_CALL = 64;

function standStill(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}

const controlOf = ({ socket }: http.IncomingMessage): ZeroCopyControl =>
  (socket as net.Socket & ZeroCopyMembers).zeroCopy;

/** Sends a body and overwrites it at once when it is the program's again. */
const sendAndOverwrite: Handler = (_request, response, body) => {
  response.end(body, () => body.fill(0xee));
};

/** By name: 'auto' notices that loopback copies. */
const RING: ZeroCopyOptions = { engine: 'io_uring' };
const LARGE = { smallest: 40 * KB, largest: 300 * KB, options: RING };

uringSuite('large responses that share a system call', () => {
  const counts = countingShared('queueAnswer');
  const { native } = loadNative() as { native: Native };

  it('arrive whole, and are not overwritten before their release', async () => {
    const answers = await askedByMany(sendAndOverwrite, 50, LARGE);
    assert.equal(answers, CONNECTIONS * 50);
    assert.ok(counts.shared > answers / 2, `${counts.shared} of ${answers} shared a call`);
  });

  it('arrive whole among small ones, several requests at a time', async () => {
    for (const seed of [1, 2]) {
      const options = { atOnce: 1 + seed, largest: 200 * KB, seed, options: RING };
      await askedByMany(sendAndOverwrite, 40, options);
    }
    assert.ok(counts.shared > 0);
  });

  it('arrive whole where a turn has more of them than one call takes', async () => {
    const connections = 150;
    let most = 0;
    const waiting: (() => void)[] = [];
    const answerAll = (): void => {
      const shared = counts.shared;
      for (const answer of waiting.splice(0)) answer();
      most = Math.max(most, counts.shared - shared);
    };
    // Once most have asked; those who are left ask alone in the end.
    let timer: NodeJS.Timeout | undefined;
    const handler: Handler = (request, response, body) => {
      const count = waiting.push(() => sendAndOverwrite(request, response, body));
      if (count === 1) timer = setTimeout(answerAll, 250);
      if (count !== 2 * MOST_OF_ONE_CALL) return;
      clearTimeout(timer);
      setImmediate(answerAll);
    };
    const answers = await askedByMany(handler, 20, { ...LARGE, largest: 90 * KB, connections });
    assert.equal(answers, connections * 20);
    assert.ok(most > MOST_OF_ONE_CALL, `at most ${most} shared in a turn`);
  });

  it('are counted as shared, as sent and as released', async () => {
    const before = metrics();
    const answers = await askedByMany(sendAndOverwrite, 50, LARGE);
    const after = metrics();
    assert.equal(after.sharedSends - before.sharedSends, counts.shared);
    assert.ok(counts.shared > answers / 2, `${counts.shared} of ${answers} shared a call`);
    const { totals } = after;
    const sent = totals.zeroCopySends - before.totals.zeroCopySends;
    // On a slow machine many of them, or all, are copied late.
    const copied = totals.lateCopies - before.totals.lateCopies;
    assert.ok(sent + copied >= counts.shared, `${sent} sent, ${copied} copied of ${counts.shared}`);
    assert.equal(totals.zeroCopySends, totals.notifications);
  });

  for (const taken of [1, 100, 4_096, 40_000]) {
    it(`of which the socket takes at most ${taken} bytes of the body arrive whole`, async () => {
      const { queueAnswer } = native;
      native.queueAnswer = (port, text, body) => queueAnswer(port, text, body.subarray(0, taken));
      try {
        await askedByMany(sendAndOverwrite, 30, { ...LARGE, atOnce: 2 });
      } finally {
        native.queueAnswer = queueAnswer;
      }
      assert.ok(counts.shared > 0);
    });
  }

  it('are copied, and counted, when JavaScript keeps running for 3 ms', async () => {
    const before = metrics().totals.lateCopies;
    let computed = 0;
    const handler: Handler = (request, response, body) => {
      const shared = counts.shared;
      sendAndOverwrite(request, response, body);
      if (counts.shared === shared || computed === 20) return;
      computed++;
      standStill(LONGEST_WAIT_MS);
    };
    await askedByMany(handler, 60, LARGE);
    assert.equal(computed, 20);
    assert.ok(metrics().totals.lateCopies - before >= 10);
  });

  it('stay within the budget of pinned bytes, and are copied beyond it', async () => {
    const options: ZeroCopyOptions = { ...RING, maxPendingBytes: 100 * KB };
    let most = 0;
    const handler: Handler = (request, response, body) => {
      sendAndOverwrite(request, response, body);
      most = Math.max(most, controlOf(request).pendingBytes);
    };
    await askedByMany(handler, 60, { ...LARGE, options });
    assert.ok(most <= 100 * KB, `${most} bytes were pinned`);
    assert.ok(counts.shared > 0);
  });

  it('arrive whole in every way that a response can be followed', async () => {
    const random = seededRandom(11);
    const halves = (response: http.ServerResponse, body: Buffer): void => {
      response.setHeader('Content-Length', body.length);
      response.write(body.subarray(0, body.length >> 1));
      response.end(body.subarray(body.length >> 1));
    };
    const ways: Handler[] = [
      sendAndOverwrite,
      (_request, response, body) => halves(response, body),
      (request, response, body) => {
        response.end(body);
        request.socket.setTimeout(0);
        request.socket.cork();
        request.socket.uncork();
      },
      (request, response, body) => {
        response.end(body);
        void controlOf(request).flush();
      },
      (request, response, body) => {
        response.end(body);
        enableZeroCopy(request.socket, { ...RING, maxStagedBytes: 8 * KB });
      },
      (request, response, body) => {
        response.end(body);
        request.socket.unref();
        setImmediate(() => request.socket.ref());
      },
      (_request, response, body) => setImmediate(() => response.end(body)),
      (_request, response, body) => process.nextTick(() => response.end(body)),
    ];
    for (let round = 0; round < 4; round++) {
      const way: Handler = (...args) => ways[Math.floor(random() * ways.length)]?.(...args);
      await askedByMany(way, 30, { ...LARGE, atOnce: 1 + (round % 3), seed: round });
    }
    assert.ok(counts.shared > 200, `${counts.shared} shared a call`);
  });

  it('call back once each when callbacks act on all other connections', async () => {
    const sockets = new Set<net.Socket>();
    const told: http.ServerResponse[] = [];
    const answers = await askedByMany(
      (_request, response, body) => {
        if (response.socket) sockets.add(response.socket);
        response.end(body, () => {
          body.fill(0xee);
          told.push(response);
          for (const socket of sockets) socket.setTimeout(0);
        });
      },
      50,
      LARGE,
    );
    assert.ok(counts.shared > answers / 4, `${counts.shared} of ${answers} shared a call`);
    assert.deepEqual([told.length, new Set(told).size], [answers, answers]);
  });

  it('fail with the error of the connection when the peer resets it', async () => {
    const errors = new Set<string>();
    let reset = 0;
    const background = askedByMany(sendAndOverwrite, 60, LARGE);
    const { server, port } = await serve((request, response, body) => {
      request.socket.on('error', (error: NodeJS.ErrnoException) => errors.add(error.code ?? ''));
      response.end(body, () => body.fill(0xee));
    }, RING);
    for (let i = 0; i < 30; i++) {
      const socket = net.connect(port, '127.0.0.1');
      await once(socket, 'connect');
      socket.write('GET /200000 HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(3));
      await once(socket, 'data');
      socket.resetAndDestroy();
      reset++;
    }
    await background;
    server.close();
    server.closeAllConnections();
    assert.equal(reset, 30);
    for (const code of errors) assert.match(code, /^(ECONNRESET|EPIPE)$/);
  });
});
