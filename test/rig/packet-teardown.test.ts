// The end of packet sockets with frames under way: by close(), with the process, with a worker.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { type PacketPlace, packetSuites, plainPacketSuite } from '../helpers/packet-place';
import { tc } from '../helpers/packet-wire';

const LIBRARY = path.join(__dirname, '../../lib/index.js');

packetSuites('closing a packet socket', (getPlace) => {
  for (const by of ['commit', 'send'] as const) {
    it(`with frames being sent by ${by}() settles all and damages none`, () =>
      getPlace().runner.run('packet-teardown', 'closeInFlight', { by }));
  }
});

plainPacketSuite('closing a packet socket', (getPlace) => {
  it('with frames queued in a device that does not copy settles all', () =>
    getPlace().runner.run('packet-teardown', 'closeInFlightSink'));

  it('with reserved frames sends none of them', () =>
    getPlace().runner.run('packet-teardown', 'closeReserved'));

  it('leaves harmless views', () => getPlace().runner.run('packet-teardown', 'viewsAfterClose'));

  for (const order of ['close', 'drop'] as const) {
    it(`releases descriptors and mapped memory (${order})`, () =>
      getPlace().runner.run('packet-teardown', 'comeAndGo', { order }));
  }

  for (const ending of ['terminate', 'exit', 'close'] as const) {
    it(`in a worker: ${ending}`, () =>
      getPlace().runner.run('packet-teardown', 'workers', { ending }));
  }
});

const ENDINGS = [
  ['exit', { code: 7, signal: null }],
  ['close', { code: 7, signal: null }],
  ['throw', { code: 1, signal: null }],
  ['SIGTERM', { code: null, signal: 'SIGTERM' }],
] as const;

plainPacketSuite('the end of a process with a full ring', (getPlace) => {
  for (const [ending, expected] of ENDINGS) {
    it(`by ${ending}: no crash, and what the kernel took arrives`, async () => {
      const place = getPlace();
      const port = await place.runner.run('packet-teardown', 'listen');
      const { near } = place.wire;
      const device = ['dev', near.device, 'root'];
      const shape = ['tbf', 'rate', '4mbit', 'burst', '1600', 'limit', '1mb'];
      tc(near, 'qdisc', 'replace', ...device, ...shape);
      try {
        const leaver = place.startRunner();
        const { code, signal } = await leaver.runToEnd('packet-teardown', 'leave', {
          port,
          ending,
        });
        assert.deepEqual({ code, signal }, expected);
        const arrived = await place.runner.run('packet-teardown', 'arrivedFrom', port);
        assert.ok(arrived > 0, 'nothing arrived');
      } finally {
        tc(near, 'qdisc', 'replace', ...device, 'pfifo', 'limit', '10000');
      }
    });
  }
});

/** Runs a script in the near namespace to its end. */
function run({ wire }: PacketPlace, body: string): { status: number | null; stderr: string } {
  const { netns, device } = wire.near;
  const script = `const { createPacketSocket } = require(process.argv[1]);
    const device = process.argv[2]; ${body}`;
  const node = [process.execPath, '--no-warnings', '-e', script, LIBRARY, device];
  const result = spawnSync('ip', ['netns', 'exec', netns, ...node], {
    encoding: 'utf8',
    timeout: 10_000,
    killSignal: 'SIGKILL',
  });
  return { status: result.status, stderr: result.stderr };
}

plainPacketSuite('the event loop', (getPlace) => {
  const CLEAN = { status: 0, stderr: '' };

  it('ends when the socket is closed', () => {
    for (const ring of [false, true]) {
      const body = `const socket = createPacketSocket({ interface: device, ring: ${ring} });
        socket.on('message', () => {});
        socket.send(Buffer.alloc(60, 255), () => socket.close());`;
      assert.deepEqual(run(getPlace(), body), CLEAN);
    }
  });

  it("ends although an unref'ed socket is open", () => {
    for (const ring of [false, true]) {
      const body = `const socket = createPacketSocket({ interface: device, ring: ${ring}, protocol: 'all' });
        socket.on('message', () => {});
        socket.unref();`;
      assert.deepEqual(run(getPlace(), body), CLEAN);
    }
  });

  it('calls the kernel at process.exit() for frames that share a call with it', () => {
    const body = `const socket = createPacketSocket({ interface: device, ring: { frames: 8 } });
      (async () => {
        const commitFive = () => Array.from({ length: 5 }, () => socket.reserve(1000).fill(255))
          .map((frame) => socket.commit(frame));
        const sent = () => socket.zeroCopy.stats.zeroCopySends;
        let before = 0;
        // Until a callback is quick enough for them to share a call.
        for (let i = 0; i < 10_000; i++) {
          await new Promise(setImmediate);
          before = sent();
          const commits = commitFive();
          if (i > 100 && sent() < before + 5) break;
          await Promise.all(commits);
        }
        process.exitCode = sent() < before + 5 ? 0 : 10;
        process.on('exit', () => { if (sent() !== before + 5) process.exitCode = 4; });
        process.exit();
      })();`;
    assert.deepEqual(run(getPlace(), body), CLEAN);
  });

  it('ends only after what was sent is released', () => {
    const body = `const socket = createPacketSocket({ interface: device, ring: { frames: 4 } });
      let told = 0;
      for (let i = 0; i < 20; i++) socket.send(Buffer.alloc(1000, 255), () => told++);
      socket.close(() => { if (told !== 20) process.exitCode = 3; });
      process.on('exit', () => { if (told !== 20) process.exitCode = 4; });`;
    assert.deepEqual(run(getPlace(), body), CLEAN);
  });
});
