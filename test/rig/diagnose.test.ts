// The doctor in the sender's namespace of the rig: the way to the receiver, its device, and what spoils
// it. Everything that it is to find is made here, and each remedy is followed.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import net from 'node:net';
import path from 'node:path';
import type { Diagnosis, Finding } from '../../lib/index';
import type { Rig, RigSideName } from '../../scripts/rig';
import { rigSuite } from '../helpers/suites';

const CLI = path.join(__dirname, '../../scripts/cli.js');

function run(rig: Rig, side: RigSideName, argv: readonly string[]): string {
  const [file = '', ...rest] = rig.command(side, argv);
  const { status, stdout, stderr } = spawnSync(file, rest, { encoding: 'utf8', timeout: 45_000 });
  assert.equal(status, 0, `${argv.join(' ')}: ${stderr}`);
  return stdout;
}

/** The diagnosis by a process in the sender's namespace. */
function doctor(rig: Rig, target?: string): Diagnosis & { readonly status: number | null } {
  const argv = [
    process.execPath,
    CLI,
    'doctor',
    '--json',
    ...(target === undefined ? [] : [target]),
  ];
  const [file = '', ...rest] = rig.command('sender', argv);
  const { status, stdout, stderr } = spawnSync(file, rest, { encoding: 'utf8', timeout: 45_000 });
  assert.notEqual(stdout, '', stderr);
  return { ...(JSON.parse(stdout) as Diagnosis), status };
}

function finding({ findings }: Diagnosis, id: string): Finding {
  const found = findings.find((one) => one.id === id);
  assert.ok(found !== undefined, `a finding '${id}' among ${findings.map((one) => one.id).join()}`);
  return found;
}

/** As the kernel writes it: the rig's addresses have leading zeros now and then. */
function canonical(address: string): string {
  const family = net.isIPv6(address) ? 'ipv6' : 'ipv4';
  return new net.SocketAddress({ address, family }).address;
}

function blocking({ findings }: Diagnosis): string[] {
  return findings.filter(({ verdict }) => verdict === 'blocked').map(({ id }) => id);
}

rigSuite('the doctor on the rig', (getRig) => {
  for (const family of ['address4', 'address6'] as const) {
    it(`names the device towards the receiver's ${family}, and its features`, () => {
      const rig = getRig();
      const { device, [family]: source } = rig.sender;
      const diagnosis = doctor(rig, rig.receiver[family]);
      assert.deepEqual([diagnosis.status, diagnosis.zeroCopy, blocking(diagnosis)], [0, true, []]);
      const route = finding(diagnosis, 'route');
      assert.equal(
        route.detail,
        `To ${rig.receiver[family]} from ${canonical(source)} through ${device}.`,
      );
      const found = finding(diagnosis, 'device');
      assert.equal(found.verdict, 'limited');
      assert.ok(found.detail.startsWith(`${device} (veth, MTU `), found.detail);
      for (const id of ['scatter-gather', 'checksum', 'segmentation']) {
        assert.equal(finding(diagnosis, id).verdict, 'ok', finding(diagnosis, id).detail);
      }
    });
  }

  it('reports that a multicast address is for datagrams', () => {
    const rig = getRig();
    const diagnosis = doctor(rig, `ff02::1%${rig.sender.device}`);
    assert.deepEqual([diagnosis.status, blocking(diagnosis)], [0, []]);
    const { verdict, detail } = finding(diagnosis, 'destination');
    assert.equal(verdict, 'limited');
    assert.match(detail, /^A multicast address: the kernel copies datagrams/);
  });

  it('finds scatter-gather switched off, and is satisfied after its remedy', () => {
    const rig = getRig();
    const { device } = rig.sender;
    rig.setFeature('sender', 'sg', 'off');
    try {
      const diagnosis = doctor(rig, rig.receiver.address4);
      assert.deepEqual([diagnosis.status, blocking(diagnosis)], [1, ['scatter-gather']]);
      const { remedy } = finding(diagnosis, 'scatter-gather');
      assert.deepEqual(remedy, { command: `ethtool -K ${device} sg on` });
      // Segmentation went with it, and comes back with it.
      assert.equal(finding(diagnosis, 'segmentation').verdict, 'limited');
      assert.equal(finding(diagnosis, 'segmentation').remedy, undefined);
    } finally {
      rig.setFeature('sender', 'sg', 'on');
    }
    const after = doctor(rig, rig.receiver.address4);
    assert.deepEqual([after.status, blocking(after)], [0, []]);
    assert.equal(finding(after, 'segmentation').verdict, 'ok');
  });

  it('finds checksums switched off', () => {
    const rig = getRig();
    rig.setFeature('sender', 'tx', 'off');
    try {
      const diagnosis = doctor(rig, rig.receiver.address6);
      assert.equal(diagnosis.status, 1);
      const { verdict, remedy } = finding(diagnosis, 'checksum');
      assert.equal(verdict, 'blocked');
      assert.deepEqual(remedy, { command: `ethtool -K ${rig.sender.device} tx on sg on` });
    } finally {
      rig.setFeature('sender', 'tx', 'on');
      rig.setFeature('sender', 'sg', 'on');
    }
    assert.deepEqual(blocking(doctor(rig, rig.receiver.address6)), []);
  });

  it('finds device segmentation switched off, which costs no copy', () => {
    const rig = getRig();
    rig.setFeature('sender', 'tso', 'off');
    try {
      const diagnosis = doctor(rig, rig.receiver.address4);
      assert.equal(diagnosis.status, 0);
      const { verdict, remedy } = finding(diagnosis, 'segmentation');
      assert.equal(verdict, 'note');
      assert.deepEqual(remedy, { command: `ethtool -K ${rig.sender.device} tso on` });
    } finally {
      rig.setFeature('sender', 'tso', 'on');
    }
  });

  it('finds a capture on the device and its process, but none at the other end', async () => {
    const rig = getRig();
    const { device } = rig.sender;
    const far = await rig.capture('receiver');
    try {
      assert.equal(finding(doctor(rig, rig.receiver.address4), 'taps').verdict, 'ok');
      const capture = await rig.capture('sender');
      try {
        const diagnosis = doctor(rig, rig.receiver.address4);
        assert.deepEqual([diagnosis.status, blocking(diagnosis)], [1, ['taps']]);
        const { detail, remedy } = finding(diagnosis, 'taps');
        const [, pid] = /^rig-helper \(process (\d+)\) on (\S+)\. /.exec(detail) ?? [];
        assert.ok(pid !== undefined && detail.includes(` on ${device}. `), detail);
        assert.equal(remedy?.command, `kill ${pid}   # ends the capture`);
        const untargeted = doctor(rig);
        assert.equal(finding(untargeted, 'taps').verdict, 'limited');
        assert.equal(untargeted.status, 0);
        const looped = doctor(rig, rig.sender.address4);
        assert.equal(finding(looped, 'taps').verdict, 'note');
      } finally {
        await capture.stop();
      }
    } finally {
      await far.stop();
    }
    assert.deepEqual(blocking(doctor(rig, rig.receiver.address4)), []);
  });

  it("finds this namespace's optmem_max, and the remedy sets it", () => {
    const rig = getRig();
    const file = '/proc/sys/net/core/optmem_max';
    // Before Linux 6.8 it is one number for the machine, and not shown here.
    const before = run(rig, 'sender', ['sh', '-c', `cat ${file} 2>/dev/null || true`]).trim();
    if (before === '') {
      assert.equal(finding(doctor(rig), 'optmem').verdict, 'note');
      return;
    }
    run(rig, 'sender', ['sh', '-c', `echo 20480 > ${file}`]);
    try {
      const { verdict, detail, remedy } = finding(doctor(rig), 'optmem');
      assert.equal(verdict, 'limited');
      assert.match(detail, /^20 KiB/);
      run(rig, 'sender', ['sh', '-c', (remedy as { command: string }).command]);
      const after = finding(doctor(rig), 'optmem');
      assert.deepEqual([after.verdict, after.detail.slice(0, 6)], ['ok', '1 MiB:']);
    } finally {
      run(rig, 'sender', ['sh', '-c', `echo ${before} > ${file}`]);
    }
  });

  it('reports missing and prohibited routes', () => {
    const rig = getRig();
    run(rig, 'sender', ['ip', 'route', 'add', 'prohibit', '203.0.113.0/24']);
    const errors = {
      '192.0.2.80': 'ENETUNREACH',
      '203.0.113.1': 'EACCES',
      '2001:db8::1': 'ENETUNREACH',
    };
    for (const [address, error] of Object.entries(errors)) {
      const diagnosis = doctor(rig, address);
      assert.deepEqual([diagnosis.status, blocking(diagnosis)], [1, ['route']]);
      assert.equal(
        finding(diagnosis, 'route').detail,
        `There is no route to ${address}: ${error}.`,
      );
    }
  });

  it("recognises the device's own address as this machine", () => {
    const rig = getRig();
    for (const address of [rig.sender.address4, rig.sender.address6]) {
      const diagnosis = doctor(rig, address);
      assert.deepEqual([diagnosis.status, blocking(diagnosis)], [1, ['device']]);
      assert.match(finding(diagnosis, 'device').detail, /^lo \(loopback, /);
    }
  });

  it('uses the zone of a link-local address', () => {
    const rig = getRig();
    const { device } = rig.sender;
    // Two ways to the same network, of which the zone chooses.
    const add = ['link', 'add', 'link', device, 'name', 'beside', 'type', 'macvlan'];
    run(rig, 'sender', ['ip', ...add]);
    try {
      run(rig, 'sender', ['ip', 'link', 'set', 'beside', 'up']);
      for (const [index, zone] of [device, 'beside'].entries()) {
        const source = `fe80::${index + 5}`;
        run(rig, 'sender', ['ip', '-6', 'address', 'add', `${source}/64`, 'dev', zone, 'nodad']);
        const { detail } = finding(doctor(rig, `fe80::1%${zone}`), 'route');
        assert.match(detail, new RegExp(`^To fe80::1%${zone} from fe80::\\S+ through ${zone}\\b`));
      }
    } finally {
      run(rig, 'sender', ['ip', 'link', 'delete', 'beside']);
    }
  });

  it('looks through a macvlan at its lower device, for captures, too', async () => {
    const rig = getRig();
    const { device } = rig.sender;
    const add = ['link', 'add', 'link', device, 'name', 'above', 'type', 'macvlan'];
    run(rig, 'sender', ['ip', ...add]);
    try {
      run(rig, 'sender', ['ip', 'address', 'add', '198.51.100.1/24', 'dev', 'above']);
      run(rig, 'sender', ['ip', 'link', 'set', 'above', 'up']);
      const diagnosis = doctor(rig, '198.51.100.2');
      assert.equal(
        finding(diagnosis, 'route').detail,
        `To 198.51.100.2 from 198.51.100.1 through above on ${device}.`,
      );
      assert.equal(finding(diagnosis, 'device').verdict, 'limited', 'it lies on a veth');
      const capture = await rig.capture('sender');
      try {
        assert.ok(blocking(doctor(rig, '198.51.100.2')).includes('taps'));
      } finally {
        await capture.stop();
      }
    } finally {
      run(rig, 'sender', ['ip', 'link', 'delete', 'above']);
    }
  });

  it('finds a tun', () => {
    const rig = getRig();
    run(rig, 'sender', ['ip', 'tuntap', 'add', 'dev', 'tunnel', 'mode', 'tun']);
    try {
      run(rig, 'sender', ['ip', 'address', 'add', '198.51.100.1/24', 'dev', 'tunnel']);
      run(rig, 'sender', ['ip', 'link', 'set', 'tunnel', 'up']);
      const diagnosis = doctor(rig, '198.51.100.2');
      const device = finding(diagnosis, 'device');
      assert.equal(device.verdict, 'blocked');
      assert.match(device.detail, /^tunnel \(tun, MTU 1500\)/);
    } finally {
      run(rig, 'sender', ['ip', 'link', 'delete', 'tunnel']);
    }
  });
});
