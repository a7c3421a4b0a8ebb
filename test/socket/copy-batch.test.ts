// Responses that share a system call: many connections are answered in each turn, in every way that a response
// can be followed by something else, and the far end compares every byte.
import assert from 'node:assert/strict';
import { AsyncLocalStorage } from 'node:async_hooks';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { loadNative, type Native } from '../../lib/native/binding';
import { countWrong } from '../../scripts/pattern';
import { seededRandom } from '../../scripts/random';
import {
  askedByMany,
  Client,
  CONNECTIONS,
  countingShared,
  HEAD_END,
  serve,
  type Handler,
} from '../helpers/many-clients';
import { uringSuite } from '../helpers/suites';
import { withCountedSubmits } from '../helpers/counted-submits';

/** In which plain Node tells of the end of a response: since 24 the callback of end() comes first. */
const ORDER =
  Number.parseInt(process.versions.node, 10) >= 24
    ? 'callback,finish,close'
    : 'finish,callback,close';

uringSuite('responses that share a system call', () => {
  const counts = countingShared('queueSend');

  it('arrive whole, of one body each', async () => {
    const answers = await askedByMany((_request, response, body) => response.end(body), 200);
    assert.equal(answers, CONNECTIONS * 200);
    assert.ok(counts.shared > answers / 2, `${counts.shared} of ${answers} shared a call`);
  });

  for (const taken of [0, 1, 60, 100, 500, 1_000]) {
    it(`of which the socket takes at most ${taken} bytes arrive whole, with the rest sent by Node`, async () => {
      const { native } = loadNative() as { native: Native };
      const { queueSend } = native;
      native.queueSend = (fd, head, body, encoding) =>
        queueSend(
          fd,
          head.slice(0, taken),
          body?.subarray(0, Math.max(0, taken - head.length)),
          encoding,
        );
      try {
        const options = { atOnce: 3, largest: 5_000 };
        await askedByMany((_request, response, body) => response.end(body), 64, options);
      } finally {
        native.queueSend = queueSend;
      }
      assert.ok(counts.shared > 0);
    });
  }

  it('arrive whole in every way that a response can be written', async () => {
    const random = seededRandom(7);
    const ways: Handler[] = [
      (_request, response, body) => response.end(body),
      (_request, response, body) => {
        response.setHeader('Content-Length', body.length);
        response.write(body.subarray(0, 10));
        response.end(body.subarray(10));
      },
      (_request, response, body) => {
        response.setHeader('Content-Length', body.length);
        response.writeHead(200);
        response.flushHeaders();
        response.end(body);
      },
      (_request, response, body) => {
        response.setHeader('Content-Length', body.length);
        response.write(body.subarray(0, 10));
        setImmediate(() => response.end(body.subarray(10)));
      },
      (_request, response, body) => response.end(body.toString('latin1'), 'latin1'),
      (_request, response, body) => {
        response.end(body);
        // Something else of the socket, in the same turn.
        response.socket?.setTimeout(0);
        response.socket?.cork();
        response.socket?.uncork();
      },
      (_request, response, body) => process.nextTick(() => response.end(body)),
      (_request, response, body) => setImmediate(() => response.end(body)),
    ];
    for (let round = 0; round < 10; round++) {
      const way: Handler = (...args) => ways[Math.floor(random() * ways.length)]?.(...args);
      await askedByMany(way, 50, { atOnce: 1 + (round % 3), seed: round, largest: 20_000 });
    }
    assert.ok(counts.shared > 1_000, `${counts.shared} shared a call`);
  });

  it('in UTF-8 text are encoded as Node encodes them', async () => {
    const text = 'ü€😀\ud800 '.repeat(50);
    const { server, port } = await serve((_request, response) => response.end(text));
    const wanted = Buffer.from(text).toString('latin1');
    const ask = async (): Promise<void> => {
      const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
      for (let i = 0; i < 100; i++) {
        const [response] = (await once(http.get({ port, agent, path: '/0' }), 'response')) as [
          http.IncomingMessage,
        ];
        response.setEncoding('latin1');
        let body = '';
        for await (const chunk of response) body += String(chunk);
        assert.equal(body, wanted);
      }
      agent.destroy();
    };
    await Promise.all(Array.from({ length: CONNECTIONS }, ask));
    assert.ok(counts.shared > 0);
    server.close();
  });

  it('reach the peer although the connection is destroyed right after them', async () => {
    const { server, port } = await serve((request, response, body) => {
      response.end(body);
      if (response.req.headers['x-last'] === 'yes') request.socket.destroy();
    });
    let lasts = 0;
    const ask = async (): Promise<void> => {
      const socket = net.connect(port, '127.0.0.1');
      for (let i = 0; i < 50; i++) {
        const last = i === 49 ? 'yes' : 'no';
        socket.write(`GET /500 HTTP/1.1\r\nHost: localhost\r\nX-Last: ${last}\r\n\r\n`);
        let received = Buffer.alloc(0);
        while (
          received.indexOf(HEAD_END) < 0 ||
          received.length < received.indexOf(HEAD_END) + 504
        ) {
          const [chunk] = (await once(socket, 'data')) as [Buffer];
          received = Buffer.concat([received, chunk]);
        }
        assert.equal(countWrong(received.subarray(-500), 500, 0), 0);
      }
      lasts++;
      await once(socket, 'close');
    };
    await Promise.all(Array.from({ length: CONNECTIONS }, ask));
    assert.equal(lasts, CONNECTIONS);
    assert.ok(counts.shared > 0);
    server.close();
  });

  it('do not take along what is written behind an upgrade', async () => {
    const { server, port } = await serve((_request, response, body) => response.end(body));
    let upgrades = 0;
    let kept = 0;
    server.on('upgrade', (_request, socket: net.Socket) => {
      const before = counts.shared;
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n\r\n');
      socket.end('other');
      kept += counts.shared - before;
      upgrades++;
    });
    const clients = Array.from({ length: CONNECTIONS }, () => new Client(port, () => 9, 1, 200));
    const ask = async (): Promise<void> => {
      const socket = net.connect(port, '127.0.0.1');
      const request = 'GET /9 HTTP/1.1\r\nHost: localhost\r\n';
      socket.write(`${request}\r\n${request}Connection: upgrade\r\nUpgrade: other\r\n\r\n`);
      let received = '';
      socket.setEncoding('latin1').on('data', (chunk) => (received += String(chunk)));
      await once(socket, 'close');
      assert.match(
        received,
        /^HTTP\/1.1 200 OK[^]*\r\n\r\n[^]{9}HTTP\/1.1 101 .*[^]*\r\n\r\nother$/,
      );
    };
    for (let i = 0; i < 40; i++) await ask();
    await Promise.all(clients.map((client) => client.ended()));
    assert.deepEqual([upgrades, kept], [40, 0]);
    assert.ok(counts.shared > 0);
    server.close();
  });

  it('are submitted before a child process starts, which may use their descriptor by its number', async () => {
    const children: Promise<unknown>[] = [];
    let overtaken = 0;
    await withCountedSubmits(async (submits) => {
      await askedByMany((_request, response, body) => {
        const before = counts.shared;
        response.end(body);
        if (counts.shared === before || children.length === 5) return;
        const submitsBefore = submits();
        children.push(once(spawn('true', { stdio: 'ignore' }), 'close'));
        if (submits() === submitsBefore) overtaken++;
      }, 100);
      await Promise.all(children);
    });
    assert.deepEqual([children.length, overtaken], [5, 0]);
  });

  it('call back once each when callbacks act on all other connections', async () => {
    const sockets = new Set<net.Socket>();
    const told: http.ServerResponse[] = [];
    const answers = await askedByMany((_request, response, body) => {
      if (response.socket) sockets.add(response.socket);
      response.end(body, () => {
        told.push(response);
        // It hands over, and tells, what is queued of each.
        for (const socket of sockets) socket.setTimeout(0);
      });
    }, 100);
    assert.equal(answers, CONNECTIONS * 100);
    assert.ok(counts.shared > answers / 2, `${counts.shared} of ${answers} shared a call`);
    assert.deepEqual([told.length, new Set(told).size], [answers, answers]);
  });

  it('keep their async context, and call back in order', async () => {
    const storage = new AsyncLocalStorage<number>();
    const wrong: string[] = [];
    let request = 0;
    const answers = await askedByMany((_request, response, body) => {
      storage.run(++request, () => {
        const mine = request;
        const heard: string[] = [];
        const note = (what: string): void => {
          if (storage.getStore() !== mine) wrong.push(`${what} in ${storage.getStore()}`);
          heard.push(what);
          if (what === 'close' && heard.join() !== ORDER) wrong.push(heard.join());
        };
        response.on('finish', () => note('finish')).on('close', () => note('close'));
        response.end(body, () => note('callback'));
      });
    }, 100);
    assert.deepEqual(wrong.slice(0, 5), []);
    assert.ok(counts.shared > answers / 2, `${counts.shared} of ${answers} shared a call`);
  });

  it("are counted like Node's own writes", async () => {
    const seen: string[] = [];
    const written = new Map<net.Socket, number>();
    await askedByMany((_request, response, body) => {
      const { socket } = response;
      assert.ok(socket);
      response.setHeader('Date', 'today');
      const head = `HTTP/1.1 200 OK\r\nDate: today\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\nContent-Length: ${body.length}${HEAD_END}`;
      const before = written.get(socket) ?? 0;
      response.end(body);
      const expected = before + head.length + body.length;
      written.set(socket, expected);
      if (socket.bytesWritten !== expected) seen.push(`${socket.bytesWritten} for ${expected}`);
    }, 50);
    assert.deepEqual(seen.slice(0, 3), []);
    assert.ok(counts.shared > 0);
  });
});
