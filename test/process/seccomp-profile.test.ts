// The filters of examples/deploy: seccomp.json as a container runtime makes one of it, and what systemd makes of
// server.service. What runs under them, and what is refused.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { compiled } from '../helpers/compiled';
import { filterOf, type Profile, type Rule, systemCalls } from './seccomp-filter';
import { uringSuite } from '../helpers/suites';

const ROOT = path.resolve(__dirname, '../../..');
const RING = ['io_uring_enter', 'io_uring_register', 'io_uring_setup'];

// What a server does: files, names, threads, other programs, and sends by the ring, compared at the other end.
const PROGRAM = `
const { capabilities, connect } = require('msg-zerocopy');
const fs = require('node:fs/promises'), net = require('node:net'), { once } = require('node:events');
const { Worker } = require('node:worker_threads'), { execFileSync } = require('node:child_process');
(async () => {
  const body = Buffer.alloc(1024 * 1024, 'some bytes');
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const [socket, [peer]] = [
    connect({ port: server.address().port, host: 'localhost', family: 4,
      zeroCopy: { engine: 'io_uring', threshold: 1 } }),
    await once(server, 'connection'),
  ];
  const received = peer.toArray();
  await socket.send(body);
  const { engine, stats: { zeroCopyBytes } } = socket.zeroCopy;
  socket.end();
  const whole = Buffer.concat(await received).equals(body);
  server.close();
  peer.destroy();
  const worker = new Worker('require("worker_threads").parentPort.postMessage("told")', { eval: true });
  const [told] = await once(worker, 'message');
  const echoed = execFileSync('echo', ['said']).toString().trim();
  const file = (await fs.readFile('package.json')).length > 0;
  const ring = capabilities().tcp.io_uring;
  console.log(JSON.stringify({ ring, engine, zeroCopyBytes, whole, told, echoed, file }));
})();`;

const OUTCOMES = `
bpf: EPERM
clone: done
clone into a user namespace: EPERM
clone into a network namespace: EPERM
clone3: ENOSYS
keyctl: EPERM
mount: EPERM
perf_event_open: EPERM
personality: done
personality, without randomisation: EPERM
socket of AF_INET: done
socket of AF_VSOCK: EPERM
socket of AF_ALG: EPERM
unshare: EPERM
userfaultfd: EPERM
a call that no kernel has: EPERM
`;

const WHOLE = {
  ...{ ring: { support: 'yes' }, engine: 'io_uring', zeroCopyBytes: 1024 * 1024, whole: true },
  ...{ told: 'told', echoed: 'said', file: true },
};

function deployed(name: string): string {
  return readFileSync(path.join(ROOT, 'examples/deploy', name), 'utf8');
}

let folder = '';
before(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'msg-zerocopy-seccomp-'));
});
after(() => rmSync(folder, { recursive: true }));

function under(filter: Profile, ...argv: readonly string[]): string {
  const file = path.join(folder, 'filter');
  writeFileSync(file, filterOf(filter));
  const { status, stdout, stderr } = spawnSync(compiled('under-seccomp'), [file, ...argv], {
    ...{ cwd: ROOT, encoding: 'utf8', timeout: 20_000 },
  });
  assert.equal(status, 0, stderr);
  return stdout;
}

describe('examples/deploy/seccomp.json', () => {
  const profile = JSON.parse(deployed('seccomp.json')) as Profile;

  it('names existing system calls, each once unless its arguments differ', () => {
    const calls = systemCalls();
    const unconditional = profile.syscalls.filter(({ args }) => args === undefined);
    const names = unconditional.flatMap((rule) => rule.names);
    assert.deepEqual([...new Set(names)].length, names.length);
    if (process.arch !== 'x64') return; // which has all of them
    for (const rule of profile.syscalls) {
      for (const name of rule.names) assert.ok(calls.has(name), name);
    }
  });

  uringSuite('with io_uring', () => {
    it('allows Node to run, and to send by the ring', () => {
      const answer = JSON.parse(under(profile, process.execPath, '-e', PROGRAM)) as unknown;
      assert.deepEqual(answer, WHOLE);
    });
  });

  it('allows io_uring by three system calls, without which only io_uring is refused', () => {
    const rules = profile.syscalls.filter(({ names }) => !names.includes('io_uring_setup'));
    assert.equal(rules.length, profile.syscalls.length - 1);
    assert.deepEqual(
      profile.syscalls.find(({ names }) => names.includes('io_uring_setup'))?.names,
      RING,
    );
    const without = { ...profile, syscalls: rules };
    const answer = JSON.parse(under(without, process.execPath, '-e', PROGRAM)) as {
      ring: { support: string; reason: string };
      whole: boolean;
    };
    assert.equal(answer.ring.support, 'no');
    assert.match(answer.ring.reason, /EPERM/);
    assert.equal(answer.whole, true);
  });

  it('refuses what changes the machine, the kernel or other processes', () => {
    assert.equal(under(profile, '--probe'), OUTCOMES.trimStart());
  });
});

// --- server.service -------------------------------------------------------------------------------

const UNIT_OUTCOMES: Readonly<Record<string, string>> = {
  bpf: 'EPERM',
  mount: 'EPERM',
  perf_event_open: 'EPERM',
  'socket of AF_INET': 'done',
  'socket of AF_VSOCK': 'EPERM',
  'socket of AF_ALG': 'EPERM',
};

function settingOf(unit: string, name: string): string[] {
  const value = new RegExp(`^${name}=(.*)$`, 'm').exec(unit)?.[1];
  assert.ok(value !== undefined, name);
  return value.split(' ');
}

/** The system calls of a set's name, as this machine's systemd has them; of any other name, itself. */
function expand(name: string): string[] {
  if (!name.startsWith('@')) return [name];
  const said = execFileSync('systemd-analyze', ['syscall-filter', name], { encoding: 'utf8' });
  const members = said
    .split('\n')
    .slice(1)
    .map((line) => line.trim());
  return members.filter((line) => /^[@\w]/.test(line)).flatMap(expand);
}

const FAMILIES: Readonly<Record<string, number>> = {
  AF_UNIX: 1,
  AF_INET: 2,
  AF_INET6: 10,
  AF_NETLINK: 16,
};

/**
 * What SystemCallFilter and RestrictAddressFamilies of the unit come to.
 * @param denied as by a later line, `SystemCallFilter=~NAME`
 */
function filterOfUnit(unit: string, denied: readonly string[] = []): Profile {
  const named = settingOf(unit, 'SystemCallFilter').flatMap(expand);
  const names = named.filter((name) => !denied.includes(name));
  const families = settingOf(unit, 'RestrictAddressFamilies').map((name): Rule => {
    const value = FAMILIES[name];
    assert.ok(value !== undefined, name);
    const args = [{ index: 0, value, op: 'SCMP_CMP_EQ' }] as const;
    return { names: ['socket'], action: 'SCMP_ACT_ALLOW', args };
  });
  const others = [...new Set(names)].filter((name) => name !== 'socket');
  return {
    ...{ defaultAction: 'SCMP_ACT_ERRNO', defaultErrnoRet: 1, architectures: [] },
    syscalls: [...families, { names: others, action: 'SCMP_ACT_ALLOW' }],
  };
}

describe('examples/deploy/server.service', () => {
  const unit = deployed('server.service');
  if (spawnSync('systemd-analyze', ['--version']).status !== 0) {
    it('skipped: needs systemd-analyze, which knows the groups of system calls');
    return;
  }

  uringSuite('with io_uring', () => {
    it('allows Node to run, and to send by the ring', () => {
      const answer = JSON.parse(
        under(filterOfUnit(unit), process.execPath, '-e', PROGRAM),
      ) as unknown;
      assert.deepEqual(answer, WHOLE);
    });
  });

  it('allows MSG_ZEROCOPY where io_uring is denied, as the unit says', () => {
    const [, denied = ''] = /\(SystemCallFilter=~(\w+)\)/.exec(unit) ?? [];
    assert.equal(denied, 'io_uring_setup');
    const program = PROGRAM.replace("engine: 'io_uring'", "engine: 'msg_zerocopy'");
    const answer = JSON.parse(
      under(filterOfUnit(unit, [denied]), process.execPath, '-e', program),
    ) as {
      ring: { support: string };
    };
    assert.equal(answer.ring.support, 'no');
    assert.deepEqual({ ...answer, ring: WHOLE.ring }, { ...WHOLE, engine: 'msg_zerocopy' });
  });

  it('refuses what changes the machine, the kernel or other processes', () => {
    const lines = under(filterOfUnit(unit), '--probe').trimEnd().split('\n');
    const outcomes = Object.fromEntries(lines.map((line) => line.split(': ')));
    for (const [call, outcome] of Object.entries(UNIT_OUTCOMES)) {
      assert.equal(outcomes[call], outcome, call);
    }
  });

  it('is a unit that systemd takes without a complaint', () => {
    const file = path.join(folder, 'server.service');
    const argv = ['verify', '--man=no', file];
    // The program is not here.
    writeFileSync(file, unit.replace('/usr/bin/node', process.execPath));
    const { status, stderr } = spawnSync('systemd-analyze', argv, { encoding: 'utf8' });
    assert.deepEqual({ status, stderr }, { status: 0, stderr: '' });
  });
});
