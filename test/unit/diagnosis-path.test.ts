// What diagnose() makes of facts about the path to a target, recorded on several machines, without a kernel.
// Each table row is a machine, or what differs there; whether the facts are read rightly is for test/process
// and test/rig.
import assert from 'node:assert/strict';
import type { Verdict } from '../../lib/index';
import { parseTarget, type Path, type PathDevice } from '../../lib/doctor/path';
import { pathFindings } from '../../lib/doctor/path-findings';
import { named, verdicts, without } from '../helpers/diagnosis';

const ON = { active: true, changeable: true };
const FIXED_OFF = { active: false, changeable: false };
// virtio_net of that virtual machine.
const VIRTIO = {
  'tx-scatter-gather': ON,
  'tx-checksum-ipv4': FIXED_OFF,
  'tx-checksum-ip-generic': ON,
  'tx-checksum-ipv6': FIXED_OFF,
  'tx-generic-segmentation': ON,
  'tx-tcp-segmentation': ON,
  'tx-tcp6-segmentation': ON,
  'tx-udp-segmentation': FIXED_OFF,
};
const ETH0: PathDevice = {
  index: 4,
  name: 'eth0',
  kind: '',
  driver: 'virtio_net',
  mtu: 1400,
  isLoopback: false,
  freesLate: false,
};
const ABROAD: Path = {
  address: '192.0.2.80',
  family: 4,
  isLocal: false,
  source: '198.51.100.2',
  gateway: '198.51.100.1',
  devices: [ETH0],
  features: VIRTIO,
};
const WHOLE: Record<string, Verdict> = {
  route: 'ok',
  device: 'ok',
  'scatter-gather': 'ok',
  checksum: 'ok',
  segmentation: 'ok',
};

describe('findings about the path to a target', () => {
  it('report no problem for a virtio card', () => {
    const findings = pathFindings(ABROAD, undefined);
    assert.deepEqual(verdicts(findings), WHOLE);
    assert.equal(
      named(findings, 'route').detail,
      'To 192.0.2.80 via 198.51.100.1 from 198.51.100.2 through eth0.',
    );
    assert.match(named(findings, 'device').detail, /^eth0 \(virtio, MTU 1400\)/);
    assert.ok(findings.every(({ remedy }) => remedy === undefined));
  });

  it('warn of a driver that releases late, even below a VLAN, and name the setting', () => {
    const late = { ...ETH0, freesLate: true };
    const vlan = { ...ETH0, index: 9, name: 'eth0.5', kind: 'vlan', driver: '802.1Q VLAN Support' };
    for (const devices of [[late], [vlan, late]] as const) {
      const findings = pathFindings({ ...ABROAD, devices }, undefined);
      assert.deepEqual(verdicts(findings), { ...WHOLE, 'late-release': 'limited' });
      const { detail, remedy } = named(findings, 'late-release');
      assert.match(detail, /^eth0 frees a packet only when it sends the next ones .*napi_tx=0/);
      assert.match(remedy?.command ?? '', /napi_tx=1/);
    }
    const local = pathFindings({ ...ABROAD, devices: [late], isLocal: true }, undefined);
    assert.equal(verdicts(local)['late-release'], undefined);
  });

  it('stop at loopback, even when the target is the address of a local card', () => {
    const lo = { ...ETH0, index: 1, name: 'lo', driver: '', mtu: 65_536, isLoopback: true };
    for (const way of [
      { ...ABROAD, address: '127.0.0.1', isLocal: true, devices: [lo] as const },
      { ...ABROAD, address: '198.51.100.2', isLocal: true, devices: [lo] as const },
    ]) {
      const findings = pathFindings(way, undefined);
      assert.deepEqual(verdicts(findings), { route: 'ok', device: 'blocked' });
      assert.match(named(findings, 'route').detail, /\(this machine\)/);
    }
  });

  const kinds: readonly [string, Verdict, RegExp][] = [
    ['veth', 'limited', /XDP/],
    ['tun', 'blocked', /tun\.c/],
    ['wireguard', 'blocked', /encrypted/],
    ['bridge', 'note', /port/],
    ['vlan', 'ok', /below/],
    ['vxlan', 'note', /virtual device/],
    ['constructor', 'note', /virtual device/],
  ];
  for (const [kind, verdict, detail] of kinds) {
    it(`judge a device of kind ${kind}`, () => {
      const way = { ...ABROAD, devices: [{ ...ETH0, name: 'net0', kind, driver: kind }] as const };
      const found = named(pathFindings(way, undefined), 'device');
      assert.deepEqual([found.verdict, found.remedy], [verdict, undefined]);
      assert.match(found.detail, new RegExp(`^net0 \\(${kind}, `));
      assert.match(found.detail, detail);
    });
  }

  it('recognise a tun by its driver when its kind is unknown, and a card likewise', () => {
    const device = (driver: string) => {
      const way = { ...ABROAD, devices: [{ ...ETH0, driver }] as const };
      return named(pathFindings(way, undefined), 'device');
    };
    assert.equal(device('tun').verdict, 'blocked');
    assert.deepEqual([device('mlx5_core').verdict, device('').verdict], ['ok', 'ok']);
    assert.match(device('mlx5_core').detail, /driver mlx5_core/);
  });

  it('look through a VLAN at its lower device', () => {
    const vlan = { ...ETH0, index: 9, name: 'eth0.5', kind: 'vlan', driver: '802.1Q VLAN Support' };
    const onCard = pathFindings({ ...ABROAD, devices: [vlan, ETH0] }, undefined);
    assert.equal(named(onCard, 'device').verdict, 'ok');
    assert.match(named(onCard, 'route').detail, /through eth0\.5 on eth0\.$/);
    const tun = { ...ETH0, name: 'tap0', kind: 'tun', driver: 'tun' };
    const onTap = named(pathFindings({ ...ABROAD, devices: [vlan, tun] }, undefined), 'device');
    assert.equal(onTap.verdict, 'blocked');
    assert.match(onTap.detail, /^tap0 \(tun/);
  });

  it("suggest the host's network for a veth in a container, and warn of the risk", () => {
    const way = { ...ABROAD, devices: [{ ...ETH0, kind: 'veth', driver: 'veth' }] as const };
    const docker = named(pathFindings(way, 'docker'), 'device').remedy;
    assert.equal(docker?.command, 'docker run --network host IMAGE');
    assert.match(docker?.weakensSecurity ?? '', /shares the host's network/);
    const pod = named(pathFindings(way, 'kubernetes'), 'device').remedy;
    assert.match(pod?.command ?? '', /hostNetwork/);
    assert.match(pod?.weakensSecurity ?? '', /shares the host's network/);
  });

  const OFF = { active: false, changeable: true };
  const everything = (state: typeof OFF) =>
    Object.fromEntries(Object.keys(VIRTIO).map((name) => [name, state]));
  const features: readonly [
    string,
    Path['features'] & object,
    Partial<Record<string, Verdict>>,
    Record<string, string>,
  ][] = [
    [
      'everything off that can be switched',
      everything(OFF),
      { 'scatter-gather': 'blocked', checksum: 'blocked', segmentation: 'limited' },
      { 'scatter-gather': 'ethtool -K eth0 sg on', checksum: 'ethtool -K eth0 tx on sg on' },
    ],
    [
      'everything off for good',
      everything(FIXED_OFF),
      { 'scatter-gather': 'blocked', checksum: 'blocked', segmentation: 'limited' },
      {},
    ],
    [
      'scatter-gather off, and segmentation with it',
      { ...VIRTIO, 'tx-scatter-gather': OFF, 'tx-tcp-segmentation': OFF },
      { 'scatter-gather': 'blocked', segmentation: 'note' },
      { 'scatter-gather': 'ethtool -K eth0 sg on' },
    ],
    [
      'checksums off',
      { ...VIRTIO, 'tx-checksum-ip-generic': OFF },
      { checksum: 'blocked' },
      { checksum: 'ethtool -K eth0 tx on sg on' },
    ],
    [
      'checksums of IPv6 only',
      { ...VIRTIO, 'tx-checksum-ip-generic': FIXED_OFF, 'tx-checksum-ipv6': ON },
      { checksum: 'blocked' },
      {},
    ],
    [
      'checksums of IPv4 only',
      { ...VIRTIO, 'tx-checksum-ip-generic': FIXED_OFF, 'tx-checksum-ipv4': ON },
      {},
      {},
    ],
    [
      'segmentation by the kernel only',
      { ...VIRTIO, 'tx-tcp-segmentation': OFF },
      { segmentation: 'note' },
      { segmentation: 'ethtool -K eth0 tso on' },
    ],
    [
      'no segmentation',
      { ...VIRTIO, 'tx-tcp-segmentation': OFF, 'tx-generic-segmentation': OFF },
      { segmentation: 'limited' },
      { segmentation: 'ethtool -K eth0 tso on gso on' },
    ],
  ];
  for (const [what, given, expected, commands] of features) {
    it(`judge a card with ${what}`, () => {
      const findings = pathFindings({ ...ABROAD, features: given }, undefined);
      assert.deepEqual(verdicts(findings), { ...WHOLE, ...expected });
      const remedies = findings.flatMap(({ id, remedy }) =>
        remedy === undefined ? [] : [[id, remedy.command]],
      );
      assert.deepEqual(Object.fromEntries(remedies), commands);
    });
  }

  it('require checksums and segmentation for the address family', () => {
    const only4 = {
      ...VIRTIO,
      'tx-checksum-ip-generic': FIXED_OFF,
      'tx-checksum-ipv4': ON,
      'tx-tcp6-segmentation': FIXED_OFF,
    };
    const six = pathFindings({ ...ABROAD, family: 6, features: only4 }, undefined);
    assert.deepEqual(verdicts(six), { ...WHOLE, checksum: 'blocked', segmentation: 'note' });
  });

  it('distinguish multicast and broadcast from unicast addresses', () => {
    for (const [cast, verdict, said] of [
      ['broadcast', 'blocked', /copies every datagram\. TCP cannot connect/],
      [
        'multicast',
        'limited',
        /copies datagrams .*member of the group.*setMulticastLoopback\(false\)/,
      ],
    ] as const) {
      const findings = pathFindings({ ...ABROAD, cast }, undefined);
      assert.deepEqual(verdicts(findings), { ...WHOLE, destination: verdict });
      assert.match(named(findings, 'destination').detail, said);
    }
  });

  it('suggest no gateway for link-local traffic', () => {
    for (const [address, way] of [
      ['239.1.2.3', 'dev DEVICE'],
      ['255.255.255.255', 'dev DEVICE'],
      ['ff02::1%eth7', 'dev DEVICE'],
      ['198.51.100.7', 'via GATEWAY'],
      ['fd00::7', 'via GATEWAY'],
    ] as const) {
      const [found] = pathFindings({ address, error: 'ENETUNREACH', unreachable: true }, undefined);
      const [host] = address.split('%');
      assert.equal(found?.remedy?.command, `ip route add ${host} ${way}`);
    }
  });

  it("note that a device's features are unknown", () => {
    const silent = without(ABROAD, 'features');
    const expected = { route: 'ok', device: 'ok', features: 'note' };
    assert.deepEqual(verdicts(pathFindings(silent, undefined)), expected);
  });

  it('distinguish a missing route from one that the process may not query', () => {
    const address = '192.0.2.80';
    const nowhere = pathFindings({ address, error: 'ENETUNREACH', unreachable: true }, undefined);
    assert.deepEqual(verdicts(nowhere), { route: 'blocked' });
    assert.equal(named(nowhere, 'route').remedy?.command, 'ip route add 192.0.2.80 via GATEWAY');
    const down = pathFindings(
      { address: '::1', error: 'ENETUNREACH', unreachable: true },
      undefined,
    );
    assert.equal(named(down, 'route').remedy?.command, 'ip link set lo up');
    const untold = pathFindings({ address, error: 'EPERM', unreachable: false }, undefined);
    assert.deepEqual(verdicts(untold), { route: 'note' });
  });
});

describe('a target', () => {
  const good: Readonly<Record<string, object>> = {
    localhost: { host: 'localhost' },
    'storage.example:9000': { host: 'storage.example', port: 9000 },
    '192.0.2.1': { host: '192.0.2.1' },
    '192.0.2.1:80': { host: '192.0.2.1', port: 80 },
    '::1': { host: '::1' },
    'fe80::1%eth0': { host: 'fe80::1%eth0' },
    '[::1]': { host: '::1' },
    '[::1]:80': { host: '::1', port: 80 },
    '[fe80::1%eth0]:65535': { host: 'fe80::1%eth0', port: 65_535 },
  };
  for (const [text, expected] of Object.entries(good)) {
    it(`accepts ${text}`, () => assert.deepEqual(parseTarget(text), expected));
  }

  const bad = ['', ':80', 'host:', 'host:0', 'host:65536', 'host:80:80', '[host]:80', '[::1]80'];
  for (const text of [...bad, 'http://host/', 'two hosts', '[192.0.2.1]:80']) {
    it(`rejects '${text}'`, () => {
      assert.throws(() => parseTarget(text), { code: 'ERR_OUT_OF_RANGE', message: /'\[::1\]:80'/ });
    });
  }

  it('must be a string', () => {
    for (const value of [null, 80, {}, ['host']]) {
      assert.throws(() => parseTarget(value), { code: 'ERR_INVALID_ARG_TYPE' });
    }
  });
});
