// The sinks: that what is sent through them leaves and vanishes, and that nothing stays behind.
import assert from 'node:assert';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';

import { listNamespaces } from '../../scripts/rig/commands';
import { Sink, sinkKinds, sinkUnavailable } from '../../scripts/rig/sink';

const DATAGRAMS = 20;
const PAYLOAD = 1400;
const HEADERS = { udp4: 20 + 8, udp6: 40 + 8 } as const;
const LIBRARY = path.join(__dirname, '../../scripts/rig/sink.js');

/** Sends DATAGRAMS and ends when each has been accepted; run as a program of its own. */
function send(type: 'udp4' | 'udp6', address: string): string {
  return `
    const socket = require('node:dgram').createSocket('${type}');
    let left = ${DATAGRAMS};
    const done = (error) => {
      if (error) throw error;
      if (--left === 0) socket.close();
    };
    socket.connect(9, '${address}', () => {
      for (let i = 0; i < ${DATAGRAMS}; i++) socket.send(Buffer.alloc(${PAYLOAD}, i), done);
    });`;
}

function run(sink: Sink, script: string): void {
  const [file = '', ...rest] = sink.command([process.execPath, '-e', script]);
  const { status, stderr } = spawnSync(file, rest, { encoding: 'utf8' });
  assert.strictEqual(status, 0, stderr);
}

for (const kind of sinkKinds) {
  describe(`rig: a sink of ${kind}`, () => {
    const unavailable = sinkUnavailable(kind);
    if (unavailable !== undefined) {
      const problem = `${unavailable.reason} (remedy: ${unavailable.remedy})`;
      if (process.env['CI'] && process.geteuid?.() === 0) {
        it('comes up', () => assert.fail(problem));
      } else {
        it(`skipped: ${problem}`);
      }
      return;
    }

    it('lets datagrams of both families leave through its device', () => {
      const sink = Sink.up({ kind });
      try {
        for (const type of ['udp4', 'udp6'] as const) {
          const before = sink.sent();
          run(sink, send(type, type === 'udp4' ? sink.target4 : sink.target6));
          const after = sink.sent();
          // The kernel's own announcements may come on top.
          assert(after.packets - before.packets >= DATAGRAMS, `${type}: ${after.packets} packets`);
          const least = DATAGRAMS * (PAYLOAD + HEADERS[type]);
          assert(after.bytes - before.bytes >= least, `${type}: ${after.bytes} bytes`);
        }
      } finally {
        sink.down();
      }
    });

    it('has the requested MTU', () => {
      const sink = Sink.up({ kind, mtu: 9000 });
      try {
        const script = `
          const mtu = require('node:fs').readFileSync('/sys/class/net/${sink.device}/mtu', 'utf8');
          if (Number(mtu) !== 9000) throw new Error(mtu);`;
        run(sink, script);
      } finally {
        sink.down();
      }
    });

    it('leaves nothing behind after down, not even a running program', async () => {
      const sink = Sink.up({ kind });
      const child = sink.spawn([process.execPath, '-e', 'setInterval(() => {}, 1000)']);
      const ended = new Promise((resolve) => child.once('exit', resolve));
      sink.down();
      sink.down();
      await ended;
      assert(!listNamespaces().includes(sink.netns));
      assert(!existsSync(`/sys/class/net/${sink.device}`));
    });

    it('leaves nothing behind when its owner throws', () => {
      const script = `
        const { Sink } = require(${JSON.stringify(LIBRARY)});
        console.log(Sink.up({ kind: '${kind}' }).netns);
        throw new Error('the end');`;
      const owner = spawnSync(process.execPath, ['-e', script], { encoding: 'utf8' });
      assert.match(owner.stderr, /the end/);
      assert.match(owner.stdout, /^zcrig-\S+\n$/);
      assert(!listNamespaces().includes(owner.stdout.trim()));
    });
  });
}

describe('rig: an impossible sink', () => {
  it('refuses an invalid MTU', () => {
    if (sinkUnavailable('xdp-drop') !== undefined) return;
    const before = listNamespaces().length;
    assert.throws(() => Sink.up({ kind: 'ifb', mtu: 10 }), RangeError);
    assert(listNamespaces().length <= before);
  });
});
