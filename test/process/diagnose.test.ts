// diagnose() against this kernel: that what it says is so, also under limits, in a sandbox, without
// privileges and without the addon.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { capabilities, createPacketSocket, diagnose } from '../../lib/index';
import type { Diagnosis, Finding } from '../../lib/index';
import { compiled } from '../helpers/compiled';
import { isolated } from '../helpers/isolated';
import { refusing } from '../helpers/refuse-io-uring';
import { until } from '../../scripts/until';

const CLI = path.join(__dirname, '../../scripts/cli.js');
const ROOT = process.geteuid?.() === 0;
/** Without root's capabilities, whichever user runs it. */
const UNPRIVILEGED = ROOT ? ['setpriv', '--bounding-set=-all', '--inh-caps=-all'] : [];

/** The diagnosis of a process that is started under `prefix`, and its exit status. */
function underPrefix(
  prefix: readonly string[],
): Promise<Diagnosis & { readonly status: number | null }> {
  const [file = '', ...argv] = [...prefix, process.execPath, CLI, 'doctor', '--json'];
  const child = spawn(file, argv, {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 45_000,
    killSignal: 'SIGKILL',
  });
  const said = { stdout: '', stderr: '' };
  child.stdout.on('data', (chunk: Buffer) => (said.stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (said.stderr += chunk.toString()));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status) => {
      if (said.stdout === '') return reject(new Error(`status ${status}: ${said.stderr}`));
      resolve({ ...(JSON.parse(said.stdout) as Diagnosis), status });
    });
  });
}

function finding({ findings }: Diagnosis, id: string): Finding {
  const found = findings.find((one) => one.id === id);
  assert.ok(found !== undefined, `a finding '${id}' among ${findings.map((one) => one.id).join()}`);
  return found;
}

describe('diagnose()', () => {
  it('answers also where the permission model lets it read nothing else', async () => {
    const flag = process.allowedNodeEnvironmentFlags.has('--permission')
      ? '--permission'
      : '--experimental-permission';
    const readable = path.join(__dirname, '../../..', '*');
    const may = [flag, `--allow-fs-read=${readable}`, '--allow-addons'];
    if (process.allowedNodeEnvironmentFlags.has('--allow-net')) may.push('--allow-net');
    const library = path.join(__dirname, '../../lib/index.js');
    const program = `require(${JSON.stringify(library)}).diagnose().then(({ findings }) => console.log(findings.length))`;
    const child = spawn(process.execPath, [...may, '-e', program], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const said: [Buffer[], Buffer[]] = [[], []];
    child.stdout.on('data', (part: Buffer) => said[0].push(part));
    child.stderr.on('data', (part: Buffer) => said[1].push(part));
    const [code] = (await once(child, 'close')) as [number];
    assert.equal(code, 0, String(Buffer.concat(said[1])));
    assert.ok(Number(String(Buffer.concat(said[0]))) > 5);
  });

  it('lists each finding once, with a reason, and sums them up', async () => {
    const diagnosis = await diagnose();
    const ids = diagnosis.findings.map(({ id }) => id);
    assert.equal(new Set(ids).size, ids.length, ids.join());
    for (const { id, title, verdict, detail, remedy } of diagnosis.findings) {
      assert.ok(['ok', 'note', 'limited', 'blocked'].includes(verdict), id);
      assert.ok(title !== '' && detail !== '', id);
      if (remedy !== undefined) assert.ok(verdict !== 'ok' && remedy.command !== '', id);
    }
    const isBlocked = diagnosis.findings.some(({ verdict }) => verdict === 'blocked');
    assert.equal(diagnosis.zeroCopy, !isBlocked);
    assert.equal(diagnosis.target, undefined);
    assert.deepEqual([diagnosis.platform, diagnosis.node], [process.platform, process.version]);
    assert.ok(!ids.includes('route') && !ids.includes('device'));
  });

  it('agrees with capabilities()', async () => {
    const { tcp, udp } = capabilities();
    const diagnosis = await diagnose();
    const both = ({ ipv4, ipv6 }: typeof tcp.msg_zerocopy): boolean =>
      ipv4.support === 'yes' && ipv6.support === 'yes';
    assert.equal(finding(diagnosis, 'tcp').verdict === 'ok', both(tcp.msg_zerocopy));
    const udpWorks = both(udp.msg_zerocopy) && udp.gso.support === 'yes';
    assert.equal(finding(diagnosis, 'udp').verdict === 'ok', udpWorks);
    const ringWorks = tcp.io_uring.support === 'yes';
    assert.equal(finding(diagnosis, 'io_uring').verdict === 'limited', !ringWorks);
  });

  it('makes a trial send, gets its notification, and finds that loopback copies', async () => {
    const { tcp } = capabilities();
    const diagnosis = await diagnose();
    const tried = (['msg_zerocopy', 'io_uring'] as const).filter((engine) =>
      engine === 'io_uring'
        ? tcp.io_uring.support === 'yes'
        : tcp.msg_zerocopy.ipv4.support === 'yes',
    );
    assert.ok(tried.length > 0, 'this kernel has an engine');
    for (const engine of tried) {
      const found = finding(diagnosis, `trial-${engine}`);
      assert.equal(found.verdict, 'ok', found.detail);
      assert.match(
        found.detail,
        /^32768 bytes went .*said that it copied them.*arrived as they were/,
      );
    }
  });

  it('reports a kernel that accepts sends and never notifies, and the remedy', async () => {
    const library = compiled('kernel-faults', ['-shared', '-fPIC', '-ldl']);
    // Behind what is there: a sanitizer must come first.
    const preload = `LD_PRELOAD=${process.env['LD_PRELOAD'] ?? ''} ${library}`;
    const diagnosis = await underPrefix(['env', preload, 'SILENCE_NOTICES=1']);
    const { verdict, detail, remedy } = finding(diagnosis, 'trial-msg_zerocopy');
    const other = capabilities().tcp.io_uring.support === 'yes';
    assert.equal(verdict, other ? 'limited' : 'blocked');
    assert.equal(detail, 'It failed: the notification took longer than 5 s.');
    const command = `export MSG_ZEROCOPY_ENGINE=${other ? 'io_uring' : 'copy'}`;
    assert.deepEqual(remedy, { command });
  });

  for (const target of ['127.0.0.1', '::1', '127.8.9.10', '::ffff:127.0.0.1', 'localhost']) {
    it(`recognises ${target} as this machine, where everything is copied`, async () => {
      const diagnosis = await diagnose(target);
      assert.equal(diagnosis.zeroCopy, false);
      const device = finding(diagnosis, 'device');
      assert.equal(device.verdict, 'blocked');
      assert.match(device.detail, /^lo \(loopback, MTU \d+\)/);
      assert.match(finding(diagnosis, 'route').detail, /\(this machine\)/);
      assert.equal(diagnosis.target?.host, target);
      assert.notEqual(net.isIP(diagnosis.target?.address ?? ''), 0);
      const others = diagnosis.findings.filter(({ id }) => id !== 'device');
      assert.deepEqual(
        others.filter(({ verdict }) => verdict === 'blocked'),
        [],
      );
    });
  }

  it('reports that the kernel copies to a broadcast address, and that no connection is possible', async () => {
    const diagnosis = await diagnose('127.255.255.255');
    assert.equal(diagnosis.zeroCopy, false);
    const { verdict, detail } = finding(diagnosis, 'destination');
    assert.equal(verdict, 'blocked');
    assert.match(detail, /^A broadcast address/);
  });

  it('reports a port without a listener', async () => {
    const server = net.createServer();
    await new Promise<void>((resolve) => server.listen(0, '::1', resolve));
    const { port } = server.address() as net.AddressInfo;
    await new Promise((resolve) => server.close(resolve));
    const found = finding(await diagnose(`[::1]:${port}`), 'connection');
    assert.equal(found.verdict, 'limited');
    assert.match(found.detail, /ECONNREFUSED/);
  });

  it('rejects invalid targets, and hosts that do not resolve', async () => {
    await assert.rejects(diagnose(80 as never), { code: 'ERR_INVALID_ARG_TYPE' });
    await assert.rejects(diagnose(''), { code: 'ERR_OUT_OF_RANGE' });
    await assert.rejects(diagnose('nowhere.invalid'), (error: NodeJS.ErrnoException) => {
      assert.match(error.code ?? '', /^(ENOTFOUND|EAI_AGAIN)$/);
      assert.match(error.message, /^The host 'nowhere\.invalid' cannot be resolved: getaddrinfo E/);
      assert.equal(error.syscall, 'getaddrinfo');
      return true;
    });
  });

  if (ROOT) {
    it('reports captures as unknown when /proc/net is unreadable', async () => {
      const hiding = 'mount -t proc -o subset=pid proc /proc && exec "$@"';
      const diagnosis = await underPrefix(['unshare', '--mount', 'sh', '-c', hiding, 'sh']);
      const found = finding(diagnosis, 'taps');
      assert.equal(found.verdict, 'note');
      assert.match(found.detail, /^Unknown: \/proc\/net\/packet cannot be read here/);
    });

    it("finds the process's own capture, and does not advise killing it", async () => {
      const capture = createPacketSocket({ interface: 'lo', protocol: 'all' });
      await once(capture, 'listening');
      try {
        const found = finding(await diagnose('127.0.0.1'), 'taps');
        assert.deepEqual([found.verdict, found.remedy], ['blocked', undefined]);
        assert.match(found.detail, /a packet socket of this process on lo\b/);
      } finally {
        capture.close();
        await once(capture, 'close');
      }
      assert.equal(finding(await diagnose('127.0.0.1'), 'taps').verdict, 'ok');
    });
  } else {
    it('skipped: a capture needs root (CAP_NET_RAW) (remedy: run the tests as root)');
  }

  it('leaves no descriptor behind', async () => {
    const open = (): number => readdirSync('/proc/self/fd').length;
    await diagnose('127.0.0.1'); // what is opened once for good: epoll, the ring
    let before = open();
    await until('the first one closed its sockets', () => {
      const now = open();
      const isStill = now === before;
      before = now;
      return isStill;
    });
    for (let i = 0; i < 5; i++) await diagnose('127.0.0.1');
    await until('as many descriptors as before', () => open() <= before);
  });

  it('does not keep the process alive', async () => {
    const { code, answer, stderr } = await isolated(async ({ zc }) => {
      return (await zc.diagnose()).findings.length;
    });
    assert.equal(code, 0, stderr);
    assert.ok(answer !== undefined && answer > 0);
  });
});

describe('diagnose() when something is missing', () => {
  it('answers without the addon, and says why', async () => {
    const env = { MSG_ZEROCOPY_ADDON: 'off' };
    const { answer, stderr } = await isolated(({ zc }) => zc.diagnose('127.0.0.1'), { env });
    assert.ok(answer !== undefined, stderr);
    assert.equal(answer.zeroCopy, false);
    const found = finding(answer, 'addon');
    assert.equal(found.verdict, 'blocked');
    assert.match(found.detail, /MSG_ZEROCOPY_ADDON=off/);
    assert.equal(found.remedy?.command, 'unset MSG_ZEROCOPY_ADDON');
    const ids = answer.findings.map(({ id }) => id);
    for (const id of ['tcp', 'io_uring', 'memlock', 'route', 'trial-msg_zerocopy']) {
      assert.ok(!ids.includes(id), id);
    }
  });

  it('answers when MSG_ZEROCOPY_ENGINE switches zero copy off, or is invalid', async () => {
    for (const engine of ['copy', 'nonsense']) {
      const env = { MSG_ZEROCOPY_ENGINE: engine };
      const { answer, stderr } = await isolated(({ zc }) => zc.diagnose(), { env });
      assert.ok(answer !== undefined, stderr);
      assert.equal(finding(answer, 'engine').verdict, 'blocked');
      assert.equal(answer.zeroCopy, false);
    }
  });

  it('finds a seccomp filter that refuses io_uring and leaves MSG_ZEROCOPY working', async () => {
    for (const errno of ['EPERM', 'ENOSYS'] as const) {
      const diagnosis = await underPrefix(refusing(errno));
      const ring = finding(diagnosis, 'io_uring');
      assert.equal(ring.verdict, 'limited');
      assert.match(ring.detail, new RegExp(`^${errno}: a seccomp filter refuses it`));
      assert.match(ring.remedy?.weakensSecurity ?? '', /bugs in io_uring/);
      assert.match(finding(diagnosis, 'container').detail, /A seccomp filter is on/);
      assert.equal(finding(diagnosis, 'trial-msg_zerocopy').verdict, 'ok');
      assert.ok(!diagnosis.findings.some(({ id }) => id === 'trial-io_uring'));
      assert.equal(diagnosis.status, 0);
    }
  });

  if (ROOT) {
    it('reports at once that there is no loopback for a trial', async () => {
      const from = performance.now();
      const diagnosis = await underPrefix(['unshare', '--net']);
      const tookMs = performance.now() - from;
      const found = finding(diagnosis, 'trial-msg_zerocopy');
      assert.deepEqual([found.verdict, found.remedy], ['note', { command: 'ip link set lo up' }]);
      // The end of the process included: no timer of a trial may hold it.
      assert.ok(tookMs < 4000, `${tookMs} ms`);
    });
  } else {
    it('skipped: a namespace without loopback needs root (remedy: run the tests as root)');
  }

  // Newer kernels charge rings, too: those of Node 24 and later leave less of 64 KiB than a send needs.
  it('finds a memlock of 256 KiB, with which at least one engine still sends', async () => {
    const prefix = ['prlimit', '--memlock=262144:262144', ...UNPRIVILEGED];
    const diagnosis = await underPrefix(prefix);
    const found = finding(diagnosis, 'memlock');
    assert.equal(found.verdict, 'limited');
    assert.match(found.detail, /^256 KiB, shared by all processes of this user/);
    assert.match(found.remedy?.command ?? '', /memlock=268435456:268435456/);
    assert.equal(finding(diagnosis, 'trial-msg_zerocopy').verdict, 'ok');
    assert.equal(diagnosis.status, 0);
    for (const id of ['raw', 'packet']) {
      assert.equal(finding(diagnosis, id).verdict, 'note');
      assert.match(finding(diagnosis, id).remedy?.weakensSecurity ?? '', /CAP_NET_RAW/);
    }
  });

  it('finds a memlock that allows nothing, and the trial agrees', async () => {
    const diagnosis = await underPrefix(['prlimit', '--memlock=4096:4096', ...UNPRIVILEGED]);
    assert.equal(finding(diagnosis, 'memlock').verdict, 'blocked');
    const trial = finding(diagnosis, 'trial-msg_zerocopy');
    assert.equal(trial.verdict, 'blocked');
    assert.match(trial.detail, /^This package copied 32768 of 32768 bytes: (enobufs|budget)/);
    assert.equal(diagnosis.status, 1);
  });
});
