// The rig itself: that it gives real zero copy, takes it away and loses packets when told to, and
// leaves nothing behind, however its owner ends.
import assert from 'node:assert';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

import { Rig, patternHash, rigUnavailable } from '../../scripts/rig';
import { listNamespaces } from '../../scripts/rig/commands';
import { lineReader } from '../helpers/program';
import { type ProbeResult, runProbe, startReceiver } from './probe';
import { rigSuite } from '../helpers/suites';

const BYTES = 32 * 1024 * 1024 + 12_345;
const NOBODY = 65_534;
const OWNER = path.join(__dirname, '../scenarios/rig-owner.js');
const CLI = path.join(__dirname, '../../scripts/rig.js');
const CLI_LIBRARY = path.join(__dirname, '../../scripts/rig/cli.js');

/** Sends BYTES to `address`, which the given side owns, and checks what arrived. */
async function transfer(
  rig: Rig,
  side: 'sender' | 'receiver',
  address: string,
): Promise<ProbeResult> {
  const receiver = await startReceiver(rig, side, address);
  try {
    const result = await runProbe(rig, { address, port: receiver.port, bytes: BYTES });
    assert.deepStrictEqual(await receiver.nextReport(), {
      bytes: BYTES,
      sha256: patternHash(BYTES),
    });
    assert.strictEqual(result.completed, result.sends);
    assert(result.sends >= BYTES / 65_536, `only ${result.sends} sends`);
    return result;
  } finally {
    await receiver.stop();
  }
}

rigSuite('rig: the kernel', () => {
  for (const release of ['5.10.0-35-amd64', '6.1.0-37-amd64', '6.8.12']) {
    it(`is too old: ${release}`, () => {
      const { reason, remedy } = rigUnavailable(release) ?? {};
      assert.match(reason ?? '', new RegExp(`^the rig needs Linux 6\\.9; on ${release} `));
      assert.match(remedy ?? '', /^boot a newer kernel/);
    });
  }
  for (const release of ['6.9.0', '6.12.48+deb13-amd64', '6.18.44', '7.3.0-rc1']) {
    it(`is new enough: ${release}`, () => assert.strictEqual(rigUnavailable(release), undefined));
  }
});

rigSuite('rig: the path', (getRig) => {
  for (const address of ['address4', 'address6'] as const) {
    it(`copies nothing over ${address}`, async () => {
      const rig = getRig();
      const result = await transfer(rig, 'receiver', rig.receiver[address]);
      assert.strictEqual(result.copied, 0);
    });
  }

  it("copies everything while a capture runs on the sender's device, and nothing after", async () => {
    const rig = getRig();
    const capture = await rig.capture('sender');
    const during = await transfer(rig, 'receiver', rig.receiver.address4);
    await capture.stop();
    const after = await transfer(rig, 'receiver', rig.receiver.address4);
    assert.strictEqual(during.copied, during.completed);
    assert.strictEqual(after.copied, 0);
  });

  // Generic XDP comes before packet sockets (net/core/dev.c:__netif_receive_skb_core), so this
  // capture sees the receiver's own copy. On an ordinary veth it would cost the sender a copy.
  it("does not copy because of a capture on the receiver's device", async () => {
    const rig = getRig();
    const capture = await rig.capture('receiver');
    const result = await transfer(rig, 'receiver', rig.receiver.address4);
    await capture.stop();
    assert.strictEqual(result.copied, 0);
  });

  it('copies when the device cannot gather fragments', async () => {
    const rig = getRig();
    rig.setFeature('sender', 'sg', 'off');
    try {
      const result = await transfer(rig, 'receiver', rig.receiver.address4);
      assert(result.copied > 0, 'nothing was copied');
    } finally {
      rig.setFeature('sender', 'sg', 'on');
    }
    const after = await transfer(rig, 'receiver', rig.receiver.address4);
    assert.strictEqual(after.copied, 0);
  });

  it('delivers every byte under random loss, still uncopied', async () => {
    const rig = getRig();
    const before = rig.tcpSegments().retransmitted;
    rig.setLoss(20);
    try {
      const result = await transfer(rig, 'receiver', rig.receiver.address4);
      assert.strictEqual(result.copied, 0);
    } finally {
      rig.setLoss(0);
    }
    assert(rig.tcpSegments().retransmitted > before, 'nothing was lost');
  });

  it('loses what comes faster than a policer allows, and delivers every byte, still uncopied', async () => {
    const rig = getRig();
    const before = rig.tcpSegments();
    const bytesPerSecond = 32 * 1024 * 1024;
    const bucketBytes = 256 * 1024;
    rig.setPolicer({ bytesPerSecond, bucketBytes });
    const started = performance.now();
    try {
      const result = await transfer(rig, 'receiver', rig.receiver.address4);
      assert.strictEqual(result.copied, 0);
    } finally {
      rig.setPolicer(undefined);
    }
    const seconds = (performance.now() - started) / 1000;
    assert(seconds >= (BYTES - bucketBytes) / bytesPerSecond, `${BYTES} bytes in ${seconds} s`);
    const after = rig.tcpSegments();
    assert(after.retransmitted > before.retransmitted, 'nothing was lost');
    assert(after.sent > after.retransmitted);
  });

  it('refuses an invalid loss and an invalid policer', () => {
    for (const bucketBytes of [0, 69_999, NaN]) {
      assert.throws(() => getRig().setPolicer({ bytesPerSecond: 1e6, bucketBytes }), RangeError);
    }
    assert.throws(() => getRig().setLoss(1001), RangeError);
    assert.throws(() => getRig().setLoss(0.5), RangeError);
  });

  it('copies everything over loopback', async () => {
    const result = await transfer(getRig(), 'sender', '127.0.0.1');
    assert.strictEqual(result.copied, result.completed);
  });

  it("handles the sender's ACKs in a thread on the sender's CPU", () => {
    const { ackThread, sender } = getRig();
    assert(ackThread !== undefined, 'no such thread is visible');
    const affinity = spawnSync('taskset', ['-pc', String(ackThread)], { encoding: 'utf8' }).stdout;
    assert.match(affinity, new RegExp(`: ${sender.cpu}\n$`));
  });

  it('coexists with another, slower one', async () => {
    const other = Rig.up({ rate: '1gbit' });
    try {
      const started = process.hrtime.bigint();
      const result = await transfer(other, 'receiver', other.receiver.address6);
      const seconds = Number(process.hrtime.bigint() - started) / 1e9;
      assert.strictEqual(result.copied, 0);
      assert(seconds > (BYTES * 8) / 1e9 / 2, `${seconds} s is too fast for 1 Gbit/s`);
    } finally {
      other.down();
    }
    assertGone([other.sender.netns, other.receiver.netns]);
    const result = await transfer(getRig(), 'receiver', getRig().receiver.address4);
    assert.strictEqual(result.copied, 0);
  });

  for (const address of ['address4', 'address6'] as const) {
    it(`has the requested round trip over ${address}, and copies nothing`, async () => {
      const far = Rig.up({ roundTripMs: 40 });
      try {
        const { copied } = await transfer(far, 'receiver', far.receiver[address]);
        assert.strictEqual(copied, 0);
        const taken = await connectMs(far, far.receiver[address]);
        assert(taken >= 40, `connected within ${taken} ms`);
      } finally {
        far.down();
      }
      assertGone([far.sender.netns, far.receiver.netns]);
    });
  }

  it('refuses an invalid round trip', () => {
    assert.throws(() => Rig.up({ roundTripMs: 0 }), RangeError);
    assert.throws(() => Rig.up({ roundTripMs: 1.5 }), RangeError);
  });

  it('refuses an invalid rate', () => {
    assert.throws(() => Rig.up({ rate: 'fast' }), TypeError);
  });
});

rigSuite("rig: its owner's end", () => {
  for (const [ending, code] of [
    ['return', 0],
    ['exit', 0],
    ['throw', 1],
  ] as const) {
    it(`leaves nothing behind after ${ending}`, async () => {
      const owner = await startOwner(ending);
      const end = await owner.ended;
      assert.deepStrictEqual(end, { code, signal: null });
      assertGone(owner.namespaces);
    });
  }

  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
    it(`leaves nothing behind after ${signal}, and still dies of it`, async () => {
      const owner = await startOwner('signal');
      assertPresent(owner.namespaces);
      owner.child.kill(signal);
      assert.deepStrictEqual(await owner.ended, { code: null, signal });
      assertGone(owner.namespaces);
    });
  }

  it('is cleaned up by the next rig after SIGKILL', async () => {
    const owner = await startOwner('signal');
    const exited = new Promise((resolve) => owner.child.once('exit', resolve));
    assertPresent(owner.namespaces);
    owner.child.kill('SIGKILL');
    await exited;
    Rig.up().down();
    await owner.ended; // the program that was left in it held the pipe open
    assertGone(owner.namespaces);
  });
});

rigSuite('rig: the command line', () => {
  let temporary = '';
  before(() => {
    temporary = mkdtempSync(path.join(os.tmpdir(), 'rig-test-'));
  });
  after(() => rmSync(temporary, { recursive: true, force: true }));

  // A temporary folder of its own: the developer may have a persistent rig standing.
  const cli = (...argv: string[]) =>
    spawnSync(process.execPath, [CLI, ...argv], {
      encoding: 'utf8',
      env: { ...process.env, TMPDIR: temporary },
    });

  it('runs a command at either end and exits with its status', () => {
    const sender = cli('run', 'sh', '-c', 'ip netns identify $$; exit 7');
    assert.match(sender.stdout, /^zcrig-\S+-s\n$/);
    assert.strictEqual(sender.status, 7);
    const receiver = cli('run', '--side', 'receiver', 'sh', '-c', 'ip netns identify $$');
    assert.match(receiver.stdout, /^zcrig-\S+-r\n$/);
    assert.strictEqual(receiver.status, 0);
    assertGone([sender.stdout.trim(), receiver.stdout.trim()]);
  });

  it('keeps a rig between up and down, which other rigs do not clean up', () => {
    const up = cli('up', '--rate', '1gbit');
    try {
      assert.strictEqual(up.status, 0, up.stderr);
      Rig.up().down();
      const first = cli('run', 'sh', '-c', 'ip netns identify $$').stdout.trim();
      const second = cli('run', 'sh', '-c', 'ip netns identify $$').stdout.trim();
      assert.match(first, /^zcrig-keep-/);
      assert.strictEqual(second, first);
      assert.strictEqual(cli('up').status, 1);
    } finally {
      assert.strictEqual(cli('down').status, 0);
    }
    assert.match(up.stdout, /zcrig-keep-\S+-s/);
    assertGone(up.stdout.match(/zcrig-keep-\S+/g) ?? []);
  });

  for (const [signal, status] of [
    ['SIGTERM', 143],
    ['SIGINT', 130],
  ] as const) {
    it(`passes ${signal} to the command and removes the rig after it`, async () => {
      const argv = [CLI, 'run', 'sh', '-c', 'ip netns identify $$; exec sleep 600'];
      const child = spawn(process.execPath, argv, {
        stdio: ['ignore', 'pipe', 'inherit'],
        env: { ...process.env, TMPDIR: temporary },
      });
      const ended = endOf(child);
      const netns = await lineReader(child)();
      assertPresent([netns]);
      child.kill(signal);
      assert.deepStrictEqual(await ended, { code: status, signal: null });
      assertGone([netns]);
    });
  }

  it('prints its usage when misused', () => {
    for (const argv of [[], ['sideways'], ['run'], ['run', '--side', 'up', 'true'], ['up', 'x']]) {
      const result = cli(...argv);
      assert.strictEqual(result.status, 2, argv.join(' '));
      assert.match(result.stderr, /^usage: /m);
    }
    assert.strictEqual(cli('up', '--rate', 'fast').status, 2);
  });

  it('prints its usage when asked', () => {
    const { status, stdout } = cli('--help');
    assert.strictEqual(status, 0);
    assert.match(stdout, /^usage: npm run rig -- up /);
  });

  it('gives the reason and the remedy where it cannot work', () => {
    // Loaded before root is given up: the checkout may lie where only root can read.
    const library = JSON.stringify(CLI_LIBRARY);
    const script = `const { main } = require(${library}); process.seteuid(${NOBODY}); main(['up'])`;
    const nobody = spawnSync(process.execPath, ['-e', script], { encoding: 'utf8' });
    assert.strictEqual(nobody.status, 1, nobody.stderr);
    assert.match(nobody.stderr, /needs root\nremedy: run as root/);
    const noPrograms = spawnSync(process.execPath, [CLI, 'up'], {
      encoding: 'utf8',
      env: { ...process.env, PATH: temporary },
    });
    assert.strictEqual(noPrograms.status, 1);
    assert.match(noPrograms.stderr, /needs the program 'ip'\nremedy: install iproute2/);
  });
});

interface Owner {
  readonly child: ChildProcess;
  readonly namespaces: string[];
  readonly ended: Promise<End>;
}

interface End {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** Starts rig-owner.ts; settles when its rig stands. */
async function startOwner(ending: 'return' | 'exit' | 'throw' | 'signal'): Promise<Owner> {
  const child = spawn(process.execPath, [OWNER, ending], { stdio: ['ignore', 'pipe', 'ignore'] });
  const ended = endOf(child);
  const namespaces = JSON.parse(await lineReader(child)()) as string[];
  return { child, namespaces, ended };
}

/** Settles on 'close', which also waits for every program that inherited the child's output. */
function endOf(child: ChildProcess): Promise<End> {
  return new Promise((resolve) => {
    child.once('close', (code, signal) => resolve({ code, signal }));
  });
}

function assertGone(names: readonly string[]): void {
  const present = listNamespaces();
  const left = names.filter((name) => present.includes(name));
  assert.deepStrictEqual(left, []);
}

function assertPresent(names: readonly string[]): void {
  const present = listNamespaces();
  assert(
    names.every((name) => present.includes(name)),
    `${names.join(', ')} should be there`,
  );
}

/** How long the sender takes to connect, which is a round trip at least. */
async function connectMs(rig: Rig, address: string): Promise<number> {
  const { port, stop } = await startReceiver(rig, 'receiver', address);
  const program = `
    const from = performance.now();
    const socket = require('node:net').connect(${port}, '${address}', () => {
      console.log(performance.now() - from);
      socket.destroy();
    });`;
  const [file = '', ...argv] = rig.command('sender', [process.execPath, '-e', program]);
  try {
    return Number(spawnSync(file, argv, { encoding: 'utf8' }).stdout);
  } finally {
    await stop();
  }
}
