// What diagnose() makes of facts: recorded on several machines, without a kernel. Each table row is a
// machine, or what differs there; whether the facts are read rightly is for test/process and test/rig.
import assert from 'node:assert/strict';
import { constants } from 'node:os';
import type { Capabilities, Capability, Finding, Verdict } from '../../lib/index';
import type { NativeRingTrial } from '../../lib/native/binding';
import { type ContainerFacts, containerFinding, containerKind } from '../../lib/doctor/container';
import { bytesText } from '../../lib/doctor/finding';
import { type RingFacts, ringFinding } from '../../lib/doctor/io-uring';
import { type LimitFacts, limitFindings, pageFinding } from '../../lib/doctor/limits';
import { type SocketFacts, socketFindings } from '../../lib/doctor/sockets';
import { copyingSockets, type Tap, tapFinding } from '../../lib/doctor/taps';
import { parseTarget, type Path, type PathDevice } from '../../lib/doctor/path';
import { connectionFinding, type Trial, trialFindings } from '../../lib/doctor/trial';
import { pathFindings } from '../../lib/doctor/path-findings';

const { EINVAL, ENOMEM, ENOSYS, EPERM } = constants.errno;

function verdicts(findings: readonly Finding[]): Record<string, Verdict> {
  return Object.fromEntries(findings.map(({ id, verdict }) => [id, verdict]));
}

function named(findings: readonly Finding[], id: string): Finding {
  const found = findings.filter((finding) => finding.id === id);
  assert.equal(found.length, 1, `one finding '${id}'`);
  return found[0] as Finding;
}

/** The same facts, one of which is not known. */
function without<T extends object, K extends keyof T>(facts: T, unknown: K): Omit<T, K> {
  const rest = { ...facts };
  delete rest[unknown];
  return rest;
}

// A virtual machine with Linux 6.18, as root.
const LIMITS: LimitFacts = {
  optmemBytes: 131_072,
  optmemWritable: true,
  tcpWmemMaxBytes: 4_194_304,
  wmemDefaultBytes: 212_992,
  wmemMaxBytes: 4_194_304,
  pageBytes: 4096,
  pins: { memlockBytes: 8_388_608, ipcLock: true, totalMemoryBytes: 25_276_510_208 },
};
const UNPRIVILEGED = { memlockBytes: 65_536, ipcLock: false, totalMemoryBytes: 25_276_510_208 };

describe('findings about limits', () => {
  it('are content with what root of a recent Linux has', () => {
    const findings = limitFindings(LIMITS);
    assert.deepEqual(verdicts(findings), { optmem: 'ok', memlock: 'ok', wmem: 'ok' });
    assert.ok(findings.every(({ remedy }) => remedy === undefined));
    assert.match(named(findings, 'memlock').detail, /CAP_IPC_LOCK.* 256 MiB/);
  });

  const optmem: readonly [string, Partial<LimitFacts>, Verdict, RegExp, string | undefined][] = [
    [
      'of Linux before 6.8',
      { optmemBytes: 20_480 },
      'limited',
      /^20 KiB: room for about 24 .*ENOBUFS/,
      'sysctl -w net.core.optmem_max=1048576',
    ],
    [
      'in a container of docker',
      { optmemBytes: 20_480, optmemWritable: false, container: 'docker' },
      'limited',
      /20 KiB/,
      'docker run --sysctl net.core.optmem_max=1048576 IMAGE',
    ],
    [
      'by a user who may not set it',
      { optmemBytes: 20_480, optmemWritable: false },
      'limited',
      /20 KiB/,
      'sysctl -w net.core.optmem_max=1048576',
    ],
    [
      'too small for one notification',
      { optmemBytes: 512 },
      'limited',
      /about 0 /,
      'sysctl -w net.core.optmem_max=1048576',
    ],
    ['just large enough', { optmemBytes: 131_072 }, 'ok', /about 156 /, undefined],
    [
      'just too small',
      { optmemBytes: 131_071 },
      'limited',
      /ENOBUFS/,
      'sysctl -w net.core.optmem_max=1048576',
    ],
  ];
  for (const [what, facts, verdict, detail, command] of optmem) {
    it(`judge an optmem_max ${what}`, () => {
      const found = named(limitFindings({ ...LIMITS, ...facts }), 'optmem');
      assert.equal(found.verdict, verdict);
      assert.match(found.detail, detail);
      assert.deepEqual(found.remedy, command === undefined ? undefined : { command });
    });
  }

  it('say so when optmem_max cannot be read in a namespace', () => {
    const rest = without(LIMITS, 'optmemBytes');
    const found = named(limitFindings(rest), 'optmem');
    assert.deepEqual([found.verdict, found.remedy], ['note', undefined]);
  });

  const memlock: readonly [string, number, boolean, Verdict, RegExp][] = [
    ['64 KiB', 65_536, false, 'limited', /^64 KiB, shared by all processes of this user/],
    ['40 KiB, exactly one send', 40_960, false, 'limited', /^40 KiB/],
    ['less than one send takes', 40_959, false, 'blocked', /not enough for one send of 32 KiB/],
    ['nothing', 0, false, 'blocked', /^0 bytes/],
    ['8 MiB', 8_388_608, false, 'note', /^8 MiB, shared/],
    ['nothing, with CAP_IPC_LOCK', 0, true, 'ok', /CAP_IPC_LOCK/],
    ['1 GiB', 2 ** 30, false, 'ok', /^1 GiB\. This process pins 256 MiB/],
    ['no end', -1, false, 'ok', /^Unlimited/],
  ];
  for (const [what, memlockBytes, ipcLock, verdict, detail] of memlock) {
    it(`judge a memlock of ${what}`, () => {
      const pins = { ...UNPRIVILEGED, memlockBytes, ipcLock };
      const found = named(limitFindings({ ...LIMITS, pins }), 'memlock');
      assert.equal(found.verdict, verdict);
      assert.match(found.detail, detail);
      const command =
        'prlimit --memlock=268435456:268435456 node PROGRAM   # of a service: LimitMEMLOCK=, as in examples/deploy/server.service';
      assert.deepEqual(found.remedy, verdict === 'ok' ? undefined : { command });
    });
  }

  it('raise memlock where a container is started, and say what CAP_IPC_LOCK gives away', () => {
    const facts = { ...LIMITS, pins: UNPRIVILEGED };
    const docker = named(limitFindings({ ...facts, container: 'docker' }), 'memlock').remedy;
    assert.deepEqual(docker, {
      command:
        'docker run --ulimit memlock=268435456:268435456 IMAGE   # or as in examples/deploy/compose.yaml',
    });
    const pod = named(limitFindings({ ...facts, container: 'kubernetes' }), 'memlock').remedy;
    assert.match(pod?.command ?? '', /IPC_LOCK/);
    assert.match(pod?.weakensSecurity ?? '', /CAP_IPC_LOCK/);
  });

  it('ask for a larger tcp_wmem where it bounds large sends', () => {
    const small = named(limitFindings({ ...LIMITS, tcpWmemMaxBytes: 1_048_575 }), 'wmem');
    assert.equal(small.verdict, 'limited');
    assert.equal(small.remedy?.command, "sysctl -w net.ipv4.tcp_wmem='4096 16384 4194304'");
    const enough = named(limitFindings({ ...LIMITS, tcpWmemMaxBytes: 1_048_576 }), 'wmem');
    assert.deepEqual([enough.verdict, enough.remedy], ['ok', undefined]);
  });

  it('say nothing of memlock without the addon, which reads it', () => {
    const rest = without(LIMITS, 'pins');
    assert.deepEqual(Object.keys(verdicts(limitFindings(rest))), ['optmem', 'wmem']);
  });
});

describe('findings about io_uring', () => {
  const works: NativeRingTrial = { error: 0, step: 'send', buffersError: 0, vectoredSlots: true };
  const refused = (error: number, step: NativeRingTrial['step'] = 'setup'): NativeRingTrial => ({
    error: -error,
    step,
    buffersError: 0,
    vectoredSlots: false,
  });

  const rows: readonly [
    string,
    RingFacts,
    Verdict,
    RegExp,
    { readonly command: RegExp; readonly weakens: RegExp } | undefined,
  ][] = [
    ['works', { trial: works, disabled: 0, seccomp: 0 }, 'ok', /^A ring was made/, undefined],
    [
      'works, but not with registered memory',
      { trial: { ...works, buffersError: -ENOMEM } },
      'note',
      /ENOMEM/,
      undefined,
    ],
    [
      'is refused by the filter of a container',
      { trial: refused(EPERM), disabled: 0, seccomp: 2, container: 'docker' },
      'limited',
      /^EPERM: a seccomp filter/,
      {
        command:
          /^npx msg-zerocopy doctor --write-seccomp (\S+) && docker run --security-opt seccomp=\1 IMAGE .*examples\/deploy\/compose\.yaml$/,
        weakens: /container/,
      },
    ],
    [
      'is hidden by the filter of a pod',
      { trial: refused(ENOSYS), seccomp: 2, container: 'kubernetes' },
      'limited',
      /^ENOSYS: a seccomp filter/,
      { command: /seccompProfile.*examples\/deploy\/kubernetes\.yaml$/, weakens: /container/ },
    ],
    [
      'is switched off for everybody',
      { trial: refused(EPERM), disabled: 2, group: -1, seccomp: 0 },
      'limited',
      /kernel\.io_uring_disabled is 2/,
      { command: /^sysctl -w kernel\.io_uring_disabled=0$/, weakens: /every user/ },
    ],
    [
      'is switched off for everybody, on the host of a container',
      { trial: refused(EPERM), disabled: 2, seccomp: 2, container: 'docker' },
      'limited',
      /kernel\.io_uring_disabled is 2/,
      { command: /^sysctl -w kernel\.io_uring_disabled=0 +# on the host$/, weakens: /every user/ },
    ],
    [
      'is for one group',
      { trial: refused(EPERM), disabled: 1, group: -1, seccomp: 0 },
      'limited',
      /kernel\.io_uring_disabled is 1/,
      { command: /^sysctl -w kernel\.io_uring_group=\$\(id -g\)$/, weakens: /one group/ },
    ],
    [
      'is not in the kernel',
      { trial: refused(ENOSYS), seccomp: 0 },
      'limited',
      /ENOSYS: not in this kernel/,
      undefined,
    ],
    [
      'is too old',
      { trial: refused(EINVAL, 'opcode'), disabled: 0, seccomp: 2 },
      'limited',
      /Linux 6\.1 is needed/,
      undefined,
    ],
  ];
  for (const [what, facts, verdict, detail, remedy] of rows) {
    it(`judge one that ${what}`, () => {
      const found = ringFinding(facts);
      assert.deepEqual([found.id, found.verdict], ['io_uring', verdict]);
      assert.match(found.detail, detail);
      assert.equal(found.remedy === undefined, remedy === undefined);
      if (remedy === undefined) return;
      assert.match(found.remedy?.command ?? '', remedy.command);
      assert.match(
        found.remedy?.weakensSecurity ?? '',
        /^io_uring has been a way to gain privileges/,
      );
      assert.match(found.remedy?.weakensSecurity ?? '', remedy.weakens);
    });
  }
});

describe('findings about a container', () => {
  const none: ContainerFacts = {
    dockerenv: false,
    containerenv: false,
    cgroup: '0::/init.scope\n',
    kubernetes: false,
    seccomp: 0,
  };
  const rows: readonly [string, Partial<ContainerFacts>, ReturnType<typeof containerKind>][] = [
    ['nothing', {}, undefined],
    ['docker', { dockerenv: true, cgroup: '0::/\n', seccomp: 2 }, 'docker'],
    ['docker with cgroup v1', { cgroup: '1:cpu:/docker/0123456789ab\n' }, 'docker'],
    ['podman', { containerenv: true, variable: 'podman' }, 'podman'],
    ['a pod', { dockerenv: true, cgroup: '0::/kubepods/besteffort/pod1\n' }, 'kubernetes'],
    ['a pod with a cgroup namespace', { kubernetes: true, cgroup: '0::/\n' }, 'kubernetes'],
    ['lxc', { variable: 'lxc' }, 'other'],
  ];
  for (const [what, facts, kind] of rows) {
    it(`recognise ${what}`, () => {
      const all = { ...none, ...facts };
      assert.equal(containerKind(all), kind);
      assert.equal(containerFinding(all).verdict, kind === undefined ? 'ok' : 'note');
    });
  }

  it('tell of a seccomp filter without a container, too', () => {
    const found = containerFinding({ ...none, seccomp: 2 });
    assert.equal(found.verdict, 'note');
    assert.match(found.detail, /^No sign of a container\. A seccomp filter is on/);
  });
});

describe('findings about sockets', () => {
  const YES: Capability = { support: 'yes' };
  const no = (reason: string): Capability => ({ support: 'no', reason });
  const both = (one: Capability) => ({ ipv4: one, ipv6: one });
  const ROOT: Capabilities = {
    platform: 'linux',
    addon: YES,
    tcp: { msg_zerocopy: both(YES), io_uring: YES, copy: YES },
    udp: { msg_zerocopy: both(YES), gso: YES, gro: YES, copy: YES },
    raw: { open: YES, msg_zerocopy: no('EOPNOTSUPP'), copy: YES },
    packet: { open: YES, tx_ring: YES, msg_zerocopy: no('EOPNOTSUPP'), copy: YES },
  };
  const judged = (capabilities: Capabilities, more: Partial<SocketFacts> = {}) =>
    socketFindings({ capabilities, kernel: '6.18.44', ...more });

  it('are content with root on a recent Linux', () => {
    assert.deepEqual(verdicts(judged(ROOT)), {
      addon: 'ok',
      tcp: 'ok',
      udp: 'ok',
      raw: 'note',
      packet: 'ok',
    });
  });

  it('take no CAP_NET_RAW for no obstacle, and say what it gives away', () => {
    const denied = no('EPERM: opening the socket needs CAP_NET_RAW');
    const user = {
      ...ROOT,
      raw: { open: denied, msg_zerocopy: denied, copy: denied },
      packet: { open: denied, tx_ring: denied, msg_zerocopy: denied, copy: denied },
    };
    const findings = judged(user);
    assert.deepEqual(verdicts(findings), {
      addon: 'ok',
      tcp: 'ok',
      udp: 'ok',
      raw: 'note',
      packet: 'note',
    });
    for (const id of ['raw', 'packet']) {
      const { remedy } = named(findings, id);
      assert.match(remedy?.command ?? '', /^setcap cap_net_raw\+ep \//);
      assert.match(remedy?.weakensSecurity ?? '', /forge packets/);
    }
  });

  // Whether TCP, UDP and io_uring work, and what is said of TCP and of UDP.
  const kernels: readonly [string, boolean, boolean, boolean, Verdict, Verdict][] = [
    ['4.19', true, false, false, 'ok', 'limited'],
    ['5.15', true, true, false, 'ok', 'ok'],
    ['4.9', false, false, false, 'blocked', 'blocked'],
    ['with a sandbox for TCP', false, true, false, 'limited', 'ok'],
    ['with io_uring and a sandbox', false, false, true, 'limited', 'limited'],
  ];
  for (const [kernel, tcp, udp, ring, forTcp, forUdp] of kernels) {
    it(`judge Linux ${kernel}`, () => {
      const refused = no('kernel-unsupported: SO_ZEROCOPY failed with ENOPROTOOPT');
      const findings = judged({
        ...ROOT,
        tcp: {
          ...ROOT.tcp,
          msg_zerocopy: both(tcp ? YES : refused),
          io_uring: ring ? YES : refused,
        },
        udp: { ...ROOT.udp, msg_zerocopy: both(udp ? YES : refused) },
      });
      assert.deepEqual(
        [named(findings, 'tcp').verdict, named(findings, 'udp').verdict],
        [forTcp, forUdp],
      );
      if (!tcp) assert.match(named(findings, 'tcp').detail, /SO_ZEROCOPY failed with ENOPROTOOPT/);
    });
  }

  it('say which family is missing', () => {
    const half = { ipv4: YES, ipv6: no('kernel-unsupported: socket failed with EAFNOSUPPORT') };
    const found = named(judged({ ...ROOT, tcp: { ...ROOT.tcp, msg_zerocopy: half } }), 'tcp');
    assert.equal(found.verdict, 'limited');
    assert.match(found.detail, /IPv4; not with IPv6: .*EAFNOSUPPORT/);
  });

  it('miss UDP_SEGMENT', () => {
    const udp = { ...ROOT.udp, gso: no('ENOPROTOOPT') };
    assert.equal(named(judged({ ...ROOT, udp }), 'udp').verdict, 'limited');
  });

  it('say nothing of sockets without the addon, and how to get it', () => {
    const missing = (reason: string, platform = 'linux'): Capabilities => ({
      ...ROOT,
      platform,
      addon: no(`addon-unavailable: ${reason}`),
    });
    const off = judged(missing('MSG_ZEROCOPY_ADDON=off'), {
      addonRemedy: 'unset MSG_ZEROCOPY_ADDON',
    });
    assert.deepEqual(verdicts(off), { addon: 'blocked' });
    assert.match(named(off, 'addon').detail, /MSG_ZEROCOPY_ADDON=off/);
    assert.equal(named(off, 'addon').remedy?.command, 'unset MSG_ZEROCOPY_ADDON');
    const unbuilt = named(
      judged(missing('local build: none'), { addonRemedy: 'npx msg-zerocopy build' }),
      'addon',
    );
    assert.equal(unbuilt.remedy?.command, 'npx msg-zerocopy build');
    const elsewhere = named(judged(missing('no MSG_ZEROCOPY on darwin', 'darwin')), 'addon');
    assert.deepEqual([elsewhere.verdict, elsewhere.remedy], ['blocked', undefined]);
  });

  const engines: Readonly<Record<string, Verdict>> = {
    auto: 'ok',
    msg_zerocopy: 'note',
    io_uring: 'note',
    copy: 'blocked',
    iouring: 'blocked',
  };
  for (const [engine, verdict] of Object.entries(engines)) {
    it(`judge MSG_ZEROCOPY_ENGINE=${engine}`, () => {
      const found = named(judged(ROOT, { engine }), 'engine');
      assert.equal(found.verdict, verdict);
      assert.equal(
        found.remedy?.command,
        verdict === 'ok' ? undefined : 'unset MSG_ZEROCOPY_ENGINE',
      );
    });
  }
});

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
  it('are content with a virtio card', () => {
    const findings = pathFindings(ABROAD, undefined);
    assert.deepEqual(verdicts(findings), WHOLE);
    assert.equal(
      named(findings, 'route').detail,
      'To 192.0.2.80 by 198.51.100.1 from 198.51.100.2 through eth0.',
    );
    assert.match(named(findings, 'device').detail, /^eth0 \(virtio, MTU 1400\)/);
    assert.ok(findings.every(({ remedy }) => remedy === undefined));
  });

  it('warn of a driver that lets go late, also below a vlan, and name the setting', () => {
    const late = { ...ETH0, freesLate: true };
    const vlan = { ...ETH0, index: 9, name: 'eth0.5', kind: 'vlan', driver: '802.1Q VLAN Support' };
    for (const devices of [[late], [vlan, late]] as const) {
      const findings = pathFindings({ ...ABROAD, devices }, undefined);
      assert.deepEqual(verdicts(findings), { ...WHOLE, 'late-release': 'limited' });
      const { detail, remedy } = named(findings, 'late-release');
      assert.match(detail, /^eth0 lets go of what it sent only when it sends again .*napi_tx=0/);
      assert.match(remedy?.command ?? '', /napi_tx=1/);
    }
    const local = pathFindings({ ...ABROAD, devices: [late], isLocal: true }, undefined);
    assert.equal(verdicts(local)['late-release'], undefined);
  });

  it('stop at loopback, also when the target is an address of a card here', () => {
    const lo = { ...ETH0, index: 1, name: 'lo', driver: '', mtu: 65_536, isLoopback: true };
    for (const way of [
      { ...ABROAD, address: '127.0.0.1', isLocal: true, devices: [lo] as const },
      { ...ABROAD, address: '198.51.100.2', isLocal: true, devices: [lo] as const },
    ]) {
      const findings = pathFindings(way, undefined);
      assert.deepEqual(verdicts(findings), { route: 'ok', device: 'blocked' });
      assert.match(named(findings, 'route').detail, /which is this machine/);
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
    it(`judge a ${kind}`, () => {
      const way = { ...ABROAD, devices: [{ ...ETH0, name: 'net0', kind, driver: kind }] as const };
      const found = named(pathFindings(way, undefined), 'device');
      assert.deepEqual([found.verdict, found.remedy], [verdict, undefined]);
      assert.match(found.detail, new RegExp(`^net0 \\(${kind}, `));
      assert.match(found.detail, detail);
    });
  }

  it('tell a tun by its driver where its kind is missing, and a card by its own', () => {
    const device = (driver: string) => {
      const way = { ...ABROAD, devices: [{ ...ETH0, driver }] as const };
      return named(pathFindings(way, undefined), 'device');
    };
    assert.equal(device('tun').verdict, 'blocked');
    assert.deepEqual([device('mlx5_core').verdict, device('').verdict], ['ok', 'ok']);
    assert.match(device('mlx5_core').detail, /driver mlx5_core/);
  });

  it('look through a vlan at what it lies on', () => {
    const vlan = { ...ETH0, index: 9, name: 'eth0.5', kind: 'vlan', driver: '802.1Q VLAN Support' };
    const onCard = pathFindings({ ...ABROAD, devices: [vlan, ETH0] }, undefined);
    assert.equal(named(onCard, 'device').verdict, 'ok');
    assert.match(named(onCard, 'route').detail, /through eth0\.5 on eth0\.$/);
    const tun = { ...ETH0, name: 'tap0', kind: 'tun', driver: 'tun' };
    const onTap = named(pathFindings({ ...ABROAD, devices: [vlan, tun] }, undefined), 'device');
    assert.equal(onTap.verdict, 'blocked');
    assert.match(onTap.detail, /^tap0 \(tun/);
  });

  it("give a veth in a container the host's network, and say what that gives away", () => {
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

  it('ask for the checksums and the segmentation of the family', () => {
    const only4 = {
      ...VIRTIO,
      'tx-checksum-ip-generic': FIXED_OFF,
      'tx-checksum-ipv4': ON,
      'tx-tcp6-segmentation': FIXED_OFF,
    };
    const six = pathFindings({ ...ABROAD, family: 6, features: only4 }, undefined);
    assert.deepEqual(verdicts(six), { ...WHOLE, checksum: 'blocked', segmentation: 'note' });
  });

  it('tell addresses of many machines from those of one', () => {
    for (const [cast, verdict, said] of [
      ['broadcast', 'blocked', /copies every datagram\. No connection/],
      [
        'multicast',
        'limited',
        /datagrams only.*member of the group.*setMulticastLoopback\(false\)/,
      ],
    ] as const) {
      const findings = pathFindings({ ...ABROAD, cast }, undefined);
      assert.deepEqual(verdicts(findings), { ...WHOLE, destination: verdict });
      assert.match(named(findings, 'destination').detail, said);
    }
  });

  it('send nobody to a gateway for what stays on a link', () => {
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

  it('say so when a device keeps its features to itself', () => {
    const silent = without(ABROAD, 'features');
    const expected = { route: 'ok', device: 'ok', features: 'note' };
    assert.deepEqual(verdicts(pathFindings(silent, undefined)), expected);
  });

  it('distinguish a missing route from one that the process may not ask for', () => {
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

describe('findings about captures', () => {
  const ETH_P_ALL = 3;

  it('read the sockets that see what is sent', () => {
    // tcpdump on device 4; a client of DHCP (IPv4 only); a transmit ring (nothing); tcpdump -i any.
    const table = `sk               RefCnt Type Proto  Iface R Rmem   User   Inode
00000000960fb527 3      3    0003   4     1 0      0      3789288
000000008fe37b1c 3      3    0800   4     1 0      0      3789290
0000000019331517 2      3    0000   4     0 0      0      3789292
00000000a1b2c3d4 3      2    0003   0     1 0      1000   3789294
00000000a1b2c3d5 3      3    0003   4     0 0      0      3789296
`;
    assert.deepEqual(copyingSockets(table, ETH_P_ALL), [
      { device: 4, inode: '3789288' },
      { device: 0, inode: '3789294' },
    ]);
    const [header = ''] = table.split('\n');
    assert.deepEqual(copyingSockets(`${header}\n`, ETH_P_ALL), []);
  });

  const owner = { pid: 4711, command: 'tcpdump' };
  const onEth0: Tap = { device: 4, name: 'eth0', owner, isOurs: false };
  const onAll: Tap = { device: 0, owner: { ...owner, pid: 4712 }, isOurs: false };
  const hidden: Tap = { device: 4, name: 'eth0', isOurs: false };
  const kill = (pids: string): string => `kill ${pids}   # ends the capture`;
  const rows: readonly [
    string,
    readonly Tap[],
    readonly number[] | undefined,
    Verdict,
    string | undefined,
  ][] = [
    ['none', [], [4], 'ok', undefined],
    ['one on the path', [onEth0], [4], 'blocked', kill('4711')],
    ['one below the path', [onEth0], [9, 4], 'blocked', kill('4711')],
    ['one beside the path', [onEth0], [1], 'note', undefined],
    ['one on every interface', [onAll], [1], 'blocked', kill('4712')],
    ['one, without a target', [onEth0], undefined, 'limited', kill('4711')],
    ['one on every interface, without a target', [onAll], undefined, 'blocked', kill('4712')],
    ['several', [onEth0, onAll, onEth0], [4], 'blocked', kill('4711 4712')],
    ['a hidden one', [hidden], [4], 'blocked', 'ss --packet --processes   # as root: who captures'],
    ['our own', [{ ...onEth0, isOurs: true }], [4], 'blocked', undefined],
  ];
  for (const [what, taps, way, verdict, command] of rows) {
    it(`judge ${what}`, () => {
      const found = tapFinding(taps, way);
      assert.deepEqual([found.verdict, found.remedy?.command], [verdict, command]);
    });
  }

  it('say that captures are unknown where the list cannot be read', () => {
    for (const way of [undefined, [4]]) {
      const { verdict, detail, remedy } = tapFinding(undefined, way);
      assert.equal(verdict, 'note');
      assert.match(detail, /^Unknown: \/proc\/net\/packet cannot be read/);
      assert.match(remedy?.command ?? '', /^ss --packet/);
    }
  });

  it('name who captures what', () => {
    assert.match(tapFinding([onEth0], [4]).detail, /tcpdump \(process 4711\) on eth0/);
    assert.match(tapFinding([onAll], [4]).detail, /on every interface/);
  });
});

describe('findings about trials', () => {
  const bytes = 32_768;
  const sent = { bytes, zeroCopyBytes: 0, copiedBytes: 0, kernelCopiedBytes: 0, unknownBytes: 0 };
  const trial = (engine: Trial['engine'], shares: object, intact = true): Trial => ({
    engine,
    report: { ...sent, engine, ...shares },
    intact,
  });
  const looped = trial('msg_zerocopy', { kernelCopiedBytes: bytes });
  const starved = trial('io_uring', { copiedBytes: bytes, reason: 'enobufs' });

  const rows: readonly [string, readonly Trial[], readonly Verdict[], RegExp][] = [
    ['copied by loopback', [looped], ['ok'], /said that it copied them, as Linux always does/],
    ['not copied', [trial('io_uring', { zeroCopyBytes: bytes })], ['ok'], /did not copy them/],
    ['of which nobody tells', [trial('io_uring', { unknownBytes: bytes })], ['ok'], /did not say/],
    ['copied by us', [starved], ['blocked'], /32768 were copied here: enobufs/],
    ['copied by us, where another is not', [starved, looped], ['limited', 'ok'], /enobufs/],
    [
      'without a ring, though there is io_uring',
      [
        { ...looped, engine: 'io_uring', ringless: 'io_uring setup failed with ENOMEM' } as Trial,
        looped,
      ],
      ['limited', 'ok'],
      /MSG_ZEROCOPY is used instead: io_uring setup failed with ENOMEM\./,
    ],
    [
      'that failed',
      [{ engine: 'io_uring', error: 'write EIO', step: 'send' }],
      ['blocked'],
      /write EIO/,
    ],
    [
      'for want of a loopback',
      [{ engine: 'io_uring', error: 'listen EADDRNOTAVAIL', step: 'place' }],
      ['note'],
      /EADDRNOTAVAIL/,
    ],
    [
      'that changed the bytes',
      [trial('msg_zerocopy', { zeroCopyBytes: bytes }, false), looped],
      ['blocked', 'ok'],
      /others arrived/,
    ],
  ];
  for (const [what, trials, expected, detail] of rows) {
    it(`judge a send ${what}`, () => {
      const findings = trialFindings(trials);
      assert.deepEqual(
        findings.map(({ verdict }) => verdict),
        expected,
      );
      assert.match(findings[0]?.detail ?? '', detail);
      assert.equal(findings[0]?.id, `trial-${trials[0]?.engine}`);
    });
  }

  it('tell of a connection that nothing was sent over it, or why there is none', () => {
    const way = { address: '192.0.2.80', port: 80 };
    const made = connectionFinding({ ...way, local: '198.51.100.2' });
    assert.equal(made.verdict, 'ok');
    assert.match(made.detail, /192\.0\.2\.80 port 80 from 198\.51\.100\.2 .*nothing was sent/);
    const failed = connectionFinding({ ...way, error: 'ECONNREFUSED' });
    assert.equal(failed.verdict, 'limited');
    assert.match(failed.detail, /ECONNREFUSED/);
  });
});

describe('findings about pages', () => {
  const facts = { pageBytes: 4096, transparent: 'madvise', hugePages: 0, hugePageBytes: 2_097_152 };

  it('tell what a pool of huge pages lacks', () => {
    const found = pageFinding(facts);
    assert.equal(found.verdict, 'note');
    assert.match(found.detail, /4 KiB.*madvise.*no huge pages of 2 MiB/);
    assert.equal(found.remedy?.command, 'sysctl -w vm.nr_hugepages=16');
    const reserved = pageFinding({ ...facts, hugePages: 16 });
    assert.deepEqual([reserved.verdict, reserved.remedy], ['ok', undefined]);
    assert.equal(pageFinding({}).verdict, 'note');
  });

  it('write sizes for people', () => {
    const texts = [0, 1023, 1024, 1536, 8_388_608, 2 ** 30, 2 ** 41].map(bytesText);
    const expected = ['0 bytes', '1023 bytes', '1 KiB', '1.5 KiB', '8 MiB', '1 GiB', '2048 GiB'];
    assert.deepEqual(texts, expected);
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
    it(`may be ${text}`, () => assert.deepEqual(parseTarget(text), expected));
  }

  const bad = ['', ':80', 'host:', 'host:0', 'host:65536', 'host:80:80', '[host]:80', '[::1]80'];
  for (const text of [...bad, 'http://host/', 'two hosts', '[192.0.2.1]:80']) {
    it(`may not be '${text}'`, () => {
      assert.throws(() => parseTarget(text), { code: 'ERR_OUT_OF_RANGE', message: /'\[::1\]:80'/ });
    });
  }

  it('is a string', () => {
    for (const value of [null, 80, {}, ['host']]) {
      assert.throws(() => parseTarget(value), { code: 'ERR_INVALID_ARG_TYPE' });
    }
  });
});
