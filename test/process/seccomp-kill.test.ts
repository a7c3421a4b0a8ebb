// Under a seccomp filter that kills who makes a system call that Node itself does not make, as some hardened
// containers have: everything works but what the filter forbids, and says why.
import assert from 'node:assert/strict';
import { isolated } from '../helpers/isolated';
import { uringSuite } from '../helpers/suites';
import { type Refusal, refusing } from '../helpers/refuse-io-uring';

const KILLS = /seccomp filter kills processes that use io_uring/;

/** Node from 22 on makes a ring of its own, and dies without us of the first kind. */
const KINDS: readonly Refusal[] = process.version.startsWith('v20.')
  ? ['KILL', 'KILL-REGISTER']
  : ['KILL-REGISTER'];

/** A server that answers three times from a pool; what it and the package's parts say of io_uring. */
function serve(how: Refusal, env: Readonly<Record<string, string>> = {}) {
  return isolated(
    async ({ zc, net, events }) => {
      let children = 0;
      process.on('SIGCHLD', () => children++);
      const pool = new zc.BufferPool({ bytes: 1 << 20 });
      const body = pool.alloc(200_000).fill(7);
      const ways: string[] = [];
      const server = zc.createServer((socket) => {
        socket.on('data', () => {
          const sent = socket.send(body);
          void sent.then(({ engine, reason }) => ways.push(`${engine} ${reason}`));
        });
      });
      server.listen(0, '127.0.0.1');
      await events.once(server, 'listening');
      const { port } = server.address() as import('node:net').AddressInfo;
      const asker = net.connect(port, '127.0.0.1');
      let right = 0;
      asker.on('data', (part: Buffer) => {
        for (const byte of part) if (byte === 7) right++;
        if (right % 200_000 === 0 && right < 600_000) asker.write('again');
        if (right === 600_000) asker.end();
      });
      asker.write('answer');
      await events.once(asker, 'close');
      server.close();
      return { ways, pool: pool.reason, children };
    },
    { prefix: refusing(how), env },
  );
}

/** What is said of io_uring by who asks. */
function ask(how: Refusal, env: Readonly<Record<string, string>> = {}) {
  return isolated(
    async ({ zc }) => {
      const { io_uring } = zc.capabilities().tcp;
      const { findings } = await zc.diagnose();
      return { io_uring, finding: findings.find(({ id }) => id === 'io_uring') };
    },
    { prefix: refusing(how), env },
  );
}

uringSuite('a seccomp filter that kills the process', () => {
  for (const how of KINDS) {
    it(`for calling io_uring does not kill a server, which uses MSG_ZEROCOPY (${how})`, async () => {
      const { answer, stderr } = await serve(how);
      assert.ok(answer !== undefined, stderr);
      assert.equal(answer.ways.length, 3);
      for (const way of answer.ways) assert.doesNotMatch(way, /io_uring/);
      assert.match(answer.pool ?? '', KILLS);
      assert.equal(answer.children, 0, 'the program heard of a child that it did not start');
    });

    it(`for calling io_uring is found by capabilities() and diagnose() (${how})`, async () => {
      const { answer, stderr } = await ask(how);
      assert.ok(answer !== undefined, stderr);
      assert.equal(answer.io_uring.support, 'no');
      assert.match(answer.io_uring.reason ?? '', KILLS);
      assert.equal(answer.finding?.verdict, 'limited');
      assert.match(answer.finding?.detail ?? '', KILLS);
      assert.match(answer.finding?.remedy?.command ?? '', /seccomp/);
    });
  }

  it('for calling io_uring does not kill workers, either', async () => {
    const { answer, stderr } = await isolated(
      async ({ events }) => {
        const { Worker } = await import('node:worker_threads');
        const library = process.argv[1] as string;
        const script = `
          const { parentPort, workerData } = require('node:worker_threads');
          const { BufferPool } = require(workerData);
          parentPort.postMessage(new BufferPool({ bytes: 1 << 20 }).reason);`;
        const workers = [1, 2, 3].map(
          () => new Worker(script, { eval: true, workerData: library }),
        );
        const said = await Promise.all(workers.map((worker) => events.once(worker, 'message')));
        return said.flat() as string[];
      },
      { prefix: refusing('KILL-REGISTER') },
    );
    assert.ok(answer !== undefined, stderr);
    assert.equal(answer.length, 3);
    for (const reason of answer) assert.match(reason, KILLS);
  });

  for (const engine of ['msg_zerocopy', 'copy']) {
    const reason = `not tried: MSG_ZEROCOPY_ENGINE=${engine}`;

    // Whoever tried would die: in this process of io_uring, or for its child.
    it(`is not probed by a server when MSG_ZEROCOPY_ENGINE=${engine}`, async () => {
      const { answer, stderr } = await serve('KILL-FORK', { MSG_ZEROCOPY_ENGINE: engine });
      assert.ok(answer !== undefined, stderr);
      assert.equal(answer.pool, reason);
      assert.equal(answer.ways.length, 3);
    });

    it(`is reported as not probed when MSG_ZEROCOPY_ENGINE=${engine}`, async () => {
      const { answer, stderr } = await ask('KILL-REGISTER', { MSG_ZEROCOPY_ENGINE: engine });
      assert.ok(answer !== undefined, stderr);
      assert.deepEqual(answer.io_uring, { support: 'unknown', reason });
      const { verdict, detail } = answer.finding ?? {};
      assert.deepEqual([verdict, detail], ['note', `It was ${reason}.`]);
    });
  }

  it('for opening a packet socket shows in capabilities()', async () => {
    const { answer, stderr } = await isolated(({ zc }) => zc.capabilities(), {
      prefix: refusing('KILL-PACKET'),
    });
    assert.ok(answer !== undefined, stderr);
    assert.match(
      answer.packet.open.reason ?? '',
      /seccomp filter kills processes that open the socket/,
    );
    assert.equal(answer.tcp.io_uring.support, 'yes');
  });
});

uringSuite('a seccomp filter that allows io_uring', () => {
  it('does not keep a server from using the ring', async () => {
    const { answer, stderr } = await serve('KILL-PACKET');
    assert.ok(answer !== undefined, stderr);
    assert.equal(answer.pool, undefined);
    assert.equal(answer.ways.length, 3);
    for (const way of answer.ways) assert.match(way, /^io_uring/);
  });
});
