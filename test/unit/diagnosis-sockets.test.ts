// What diagnose() makes of facts about sockets, recorded on several machines, without a kernel. Each table row is
// a machine, or what differs there; whether the facts are read rightly is for test/process and test/rig.
import assert from 'node:assert/strict';
import type { Capabilities, Capability, Verdict } from '../../lib/index';
import { type SocketFacts, socketFindings } from '../../lib/doctor/sockets';
import { copyingSockets, type Tap, tapFinding } from '../../lib/doctor/taps';
import { connectionFinding, type Trial, trialFindings } from '../../lib/doctor/trial';
import { named, verdicts } from '../helpers/diagnosis';

describe('findings about sockets', () => {
  const YES: Capability = { support: 'yes' };
  const no = (reason: string): Capability => ({ support: 'no', reason });
  const both = (one: Capability) => ({ ipv4: one, ipv6: one });
  const ROOT: Capabilities = {
    platform: 'linux',
    addon: YES,
    tcp: { msg_zerocopy: both(YES), io_uring: YES, copy: YES },
    udp: { msg_zerocopy: both(YES), gso: YES, gro: YES, copy: YES },
    raw: { open: YES, tx_ring: YES, msg_zerocopy: no('EOPNOTSUPP'), copy: YES },
    packet: { open: YES, tx_ring: YES, msg_zerocopy: no('EOPNOTSUPP'), copy: YES },
  };
  const judged = (capabilities: Capabilities, more: Partial<SocketFacts> = {}) =>
    socketFindings({ capabilities, kernel: '6.18.44', ...more });

  it('report no problem for root on a recent Linux', () => {
    assert.deepEqual(verdicts(judged(ROOT)), {
      addon: 'ok',
      tcp: 'ok',
      udp: 'ok',
      raw: 'ok',
      packet: 'ok',
    });
  });

  it('treat missing CAP_NET_RAW as no obstacle, and warn of the risk of granting it', () => {
    const denied = no('EPERM: opening the socket needs CAP_NET_RAW');
    const user = {
      ...ROOT,
      raw: { open: denied, tx_ring: denied, msg_zerocopy: denied, copy: denied },
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

  it('name the missing family', () => {
    const half = { ipv4: YES, ipv6: no('kernel-unsupported: socket failed with EAFNOSUPPORT') };
    const found = named(judged({ ...ROOT, tcp: { ...ROOT.tcp, msg_zerocopy: half } }), 'tcp');
    assert.equal(found.verdict, 'limited');
    assert.match(found.detail, /IPv4; not with IPv6: .*EAFNOSUPPORT/);
  });

  it('report missing UDP_SEGMENT', () => {
    const udp = { ...ROOT.udp, gso: no('ENOPROTOOPT') };
    assert.equal(named(judged({ ...ROOT, udp }), 'udp').verdict, 'limited');
  });

  for (const id of ['raw', 'packet'] as const) {
    it(`say what is sent without a copy by ${id} sockets, and that nothing is without a ring`, () => {
      const found = named(judged(ROOT), id);
      assert.match(found.detail, /^The transmit ring works: with the option `ring`, /);
      const without = { ...ROOT, [id]: { ...ROOT[id], tx_ring: no('kernel-unsupported') } };
      const { verdict, detail } = named(judged(without), id);
      assert.equal(verdict, 'limited');
      assert.match(detail, /^There is no transmit ring \(kernel-unsupported\)/);
    });
  }

  it('omit sockets without the addon, and say how to get it', () => {
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

describe('findings about captures', () => {
  const ETH_P_ALL = 3;

  it('list the sockets that see outgoing packets', () => {
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
    [
      'a hidden one',
      [hidden],
      [4],
      'blocked',
      'ss --packet --processes   # as root: lists the capturing processes',
    ],
    ['our own', [{ ...onEth0, isOurs: true }], [4], 'blocked', undefined],
  ];
  for (const [what, taps, way, verdict, command] of rows) {
    it(`judge captures: ${what}`, () => {
      const found = tapFinding(taps, way);
      assert.deepEqual([found.verdict, found.remedy?.command], [verdict, command]);
    });
  }

  it('report captures as unknown when the list cannot be read', () => {
    for (const way of [undefined, [4]]) {
      const { verdict, detail, remedy } = tapFinding(undefined, way);
      assert.equal(verdict, 'note');
      assert.match(detail, /^Unknown: \/proc\/net\/packet cannot be read/);
      assert.match(remedy?.command ?? '', /^ss --packet/);
    }
  });

  it('name the capturing process and device', () => {
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
    [
      'whose fate the kernel does not report',
      [trial('io_uring', { unknownBytes: bytes })],
      ['ok'],
      /did not say/,
    ],
    ['copied by us', [starved], ['blocked'], /^This package copied 32768 of 32768 bytes: enobufs/],
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
      /different ones arrived/,
    ],
  ];
  for (const [what, trials, expected, detail] of rows) {
    it(`judge a trial send: ${what}`, () => {
      const findings = trialFindings(trials);
      assert.deepEqual(
        findings.map(({ verdict }) => verdict),
        expected,
      );
      assert.match(findings[0]?.detail ?? '', detail);
      assert.equal(findings[0]?.id, `trial-${trials[0]?.engine}`);
    });
  }

  it('report that a connection was made, with nothing sent over it, or why it failed', () => {
    const way = { address: '192.0.2.80', port: 80 };
    const made = connectionFinding({ ...way, local: '198.51.100.2' });
    assert.equal(made.verdict, 'ok');
    assert.match(made.detail, /192\.0\.2\.80 port 80 from 198\.51\.100\.2 .*nothing was sent/);
    const failed = connectionFinding({ ...way, error: 'ECONNREFUSED' });
    assert.equal(failed.verdict, 'limited');
    assert.match(failed.detail, /ECONNREFUSED/);
  });
});
