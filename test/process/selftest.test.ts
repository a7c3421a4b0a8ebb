// The self-test as a user runs it: short runs of every mode, over loopback and, as root, between
// network namespaces; and that it does not pass when something is wrong.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import path from 'node:path';
import { FAMILIES, MODES } from '../../scripts/selftest/trial';
import { lineReader } from '../helpers/program';
import { rigSuite } from '../helpers/suites';

const CLI = path.join(__dirname, '../../scripts/cli.js');
const SHORT = ['-t', '0.05'];
const ROOT = process.geteuid?.() === 0;
/** Without this capability, whichever user runs it. */
const UNPRIVILEGED = ['setpriv', '--bounding-set=-net_raw', '--inh-caps=-net_raw'];

interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

interface Manner {
  readonly under?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

const running = new Set<ReturnType<typeof start>>();

function start(argv: readonly string[], { under = [], env = {} }: Manner = {}) {
  const [file = '', ...rest] = [...under, process.execPath, CLI, 'selftest', ...argv];
  const child = spawn(file, rest, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  });
  running.add(child);
  child.once('close', () => running.delete(child));
  return child;
}

function ending(child: ReturnType<typeof start>): Promise<Ended> {
  const said = { stdout: '', stderr: '' };
  child.stdout.on('data', (chunk: Buffer) => (said.stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (said.stderr += chunk.toString()));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status) => resolve({ status, ...said }));
  });
}

function selftest(argv: readonly string[], manner?: Manner): Promise<Ended> {
  return ending(start(argv, manner));
}

// Every line of the run says that it is verified, and the exit status agrees.
function assertVerified({ status, stdout, stderr }: Ended, what: RegExp): void {
  assert.equal(status, 0, stdout + stderr);
  assert.match(stdout, /^\S.* verified$/m);
  assert.match(stdout, what);
}

function assertFailed({ status, stdout, stderr }: Ended, why: RegExp): void {
  assert.equal(status, 1, stdout + stderr);
  assert.match(stdout, why);
}

// Raw and packet sockets are for root (CAP_NET_RAW): one pending test says so to others.
function privileged(mode: string, body: () => void): void {
  if (ROOT || mode === 'tcp' || mode === 'udp') body();
  else it(`skipped: ${mode} needs root (CAP_NET_RAW) (remedy: run the tests as root)`);
}

afterEach(() => {
  for (const child of running) child.kill(); // not SIGKILL: namespaces are to be taken down
});

const BY_MESSAGES = /txc=([1-9]\d*) of \1 zc=n engine=msg_zerocopy /;
const BY_RING = /txc=([1-9]\d*) of \1 zc=\? engine=tx_ring /;
const ENGINES: Readonly<Record<(typeof MODES)[number], RegExp>> = {
  tcp: BY_MESSAGES,
  udp: BY_MESSAGES,
  raw: /txc=0 of 0 zc=n engine=copy \(kernel-unsupported\)/,
  raw_hdrincl: /txc=0 of 0 zc=n engine=copy \(loopback\)/,
  packet: BY_RING,
  packet_dgram: BY_RING,
};

describe('the self-test over loopback', () => {
  for (const mode of MODES) {
    privileged(mode, () => {
      it(`verifies ${mode}, copied`, async () => {
        assertVerified(await selftest(['4', mode, ...SHORT]), /txc=0 of 0 zc=- engine=copy /);
      });

      for (const family of FAMILIES) {
        it(`verifies ${mode} over IPv${family} with zero copy`, async () => {
          const ended = await selftest([String(family), mode, '-z', ...SHORT]);
          assertVerified(ended, ENGINES[mode]);
        });
      }
    });
  }

  for (const mode of ['tcp', 'udp'] as const) {
    for (const how of ['-c 4', '-c 3 -z', '-c 5 -z -m']) {
      it(`verifies ${mode} ${how}`, async () => {
        const ended = await selftest(['4', mode, ...how.split(' '), ...SHORT]);
        const zeroCopy = /txc=([1-9]\d*) of \1 /;
        assertVerified(ended, how.includes('-z') ? zeroCopy : /txc=0 of 0 /);
      });
    }
  }

  it('verifies the smallest size and odd sizes', async () => {
    for (const [mode, size] of Object.entries({ tcp: '1001', udp: '16' })) {
      const ended = await selftest(['4', mode, '-z', '-s', size, ...SHORT]);
      assertVerified(ended, /txc=([1-9]\d*) of \1 /);
    }
  });

  it('reports, with the reason, that everything was copied although zero copy was requested', async () => {
    const { status, stdout } = await selftest(['4', 'tcp', '-z', ...SHORT]);
    assert.equal(status, 0, stdout);
    assert.match(stdout, /but everything was copied: Linux always copies over loopback/);
    const copied = await selftest(['4', 'tcp', ...SHORT]);
    assert.doesNotMatch(copied.stdout, /everything was copied/);
  });

  it('does not blame loopback when no send without a copy was tried', async () => {
    const env = { MSG_ZEROCOPY_ADDON: 'off' };
    const { status, stdout } = await selftest(['4', 'tcp', '-z', ...SHORT], { env });
    assert.equal(status, 0, stdout);
    assert.match(
      stdout,
      /everything was copied: addon-unavailable \(remedy: npx msg-zerocopy doctor/,
    );
    assert.doesNotMatch(stdout, /always copies/);
  });

  const faults = [
    ['tcp', 'corrupt', /FAILED: 1 wrong bytes arrived$/m],
    ['tcp', 'lose', /FAILED: \d+ wrong bytes arrived; \d+ bytes sent, \d+ received$/m],
    ['udp', 'corrupt', /FAILED: 1 wrong bytes arrived$/m],
    ['udp', 'lose', /FAILED: 1 of \d+ messages did not arrive$/m],
    ['udp', 'duplicate', /FAILED: 1 messages arrived more than once$/m],
  ] as const;
  for (const [mode, fault, why] of faults) {
    it(`exits 1 when the ${mode} receiver is made to ${fault}`, async () => {
      const env = { MSG_ZEROCOPY_SELFTEST_FAULT: fault };
      assertFailed(await selftest(['4', mode, '-z', '-s', '9000', ...SHORT], { env }), why);
    });
  }

  it('exits 1 when no receiver is there', async () => {
    // A port that was free a moment ago; TCP alone tells.
    const receiver = start(['4', 'tcp', '-r', '-p', '0']);
    const [port] = (await lineReader(receiver)()).match(/\d+$/) ?? [];
    receiver.kill('SIGKILL');
    await new Promise((resolve) => receiver.once('close', resolve));
    const ended = await selftest(['4', 'tcp', '-D', '127.0.0.1', '-p', String(port), ...SHORT]);
    assertFailed(
      ended,
      /ECONNREFUSED .*\(remedy: first start '.* tcp -r --bind 127\.0\.0\.1 -p \d+' there/,
    );
  });

  it('exits 3 with a remedy when it may not open the sockets', async function () {
    if (process.platform !== 'linux') this.skip();
    const ended = await selftest(['raw', ...SHORT], ROOT ? { under: UNPRIVILEGED } : {});
    assert.equal(ended.status, 3, ended.stdout + ended.stderr);
    assert.match(
      ended.stdout,
      /SKIPPED: raw and packet sockets need CAP_NET_RAW \(remedy: run as root, or/,
    );
    assert.match(ended.stdout, /0 ok, 0 failed, 2 skipped/);
  });
});

describe('the self-test against another host', () => {
  for (const mode of ['tcp', 'udp', 'raw', 'packet'] as const) {
    privileged(mode, () => {
      it(`receives and verifies ${mode} from a sender without any control connection`, async () => {
        const receiver = start(['4', mode, '-r', '-p', '0']);
        const over = ending(receiver);
        const [port] = (await lineReader(receiver)()).match(/\d+$/) ?? [];
        const argv = ['4', mode, '-z', '-s', '1000', '-D', '127.0.0.1', ...SHORT];
        // Raw sockets have no port, and want none.
        const sent = await selftest(port === '0' ? argv : [...argv, '-p', String(port)]);
        assert.equal(sent.status, 0, sent.stdout + sent.stderr);
        assert.match(sent.stdout, / ok$/m);
        const received = await over;
        assert.equal(received.status, 0, received.stdout + received.stderr);
        assert.match(received.stdout, /^rx=[1-9]\d* .*verified$/m);
      });
    });
  }

  it('exits 1 when nothing arrives in time', async () => {
    const ended = await selftest(['4', 'udp', '-r', '-p', '0', ...SHORT]);
    assertFailed(ended, /^rx=0 .*FAILED: nothing arrived$/m);
  });
});

// Root and its tools, which a veth pair needs some of, too.
rigSuite('the self-test between network namespaces', () => {
  for (const mode of ['tcp', 'udp', 'raw_hdrincl', 'packet_dgram']) {
    it(`verifies ${mode} over a veth pair, where everything is copied`, async () => {
      const ended = await selftest(['4', mode, '-z', '-i', 'veth', ...SHORT]);
      assertVerified(ended, mode === 'tcp' || mode === 'udp' ? / zc=n / : /zc=/);
    });
  }

  for (const mode of ['tcp', 'udp'] as const) {
    it(`verifies ${mode} over the rig, where nothing is copied`, async () => {
      const ended = await selftest(['6', mode, '-z', '-i', 'rig', ...SHORT]);
      assertVerified(ended, / zc=y engine=msg_zerocopy /);
      assert.doesNotMatch(ended.stdout, /everything was copied/);
    });

    it(`exits 4 when all of ${mode} was copied over the rig, and says where to look`, async () => {
      const env = { MSG_ZEROCOPY_ADDON: 'off' };
      const argv = ['4', mode, '-z', '-i', 'rig', ...SHORT];
      const { status, stdout, stderr } = await selftest(argv, { env });
      assert.equal(status, 4, stdout + stderr);
      assert.match(stdout, / zc=n engine=copy \(addon-unavailable\) .*verified$/m);
      assert.match(
        stdout,
        /everything was copied: addon-unavailable \(remedy: npx msg-zerocopy doctor/,
      );
      assert.equal((await selftest(['4', mode, '-i', 'rig', ...SHORT], { env })).status, 0);
    });
  }

  for (const mode of ['packet', 'raw_hdrincl']) {
    it(`verifies ${mode} over the rig`, async () => {
      assertVerified(await selftest(['6', mode, '-z', '-i', 'rig', ...SHORT]), /engine=tx_ring /);
    });
  }
});
