// What diagnose() makes of facts about the machine, recorded on several machines, without a kernel. Each table row is
// a machine, or what differs there; whether the facts are read rightly is for test/process and test/rig.
import assert from 'node:assert/strict';
import { constants } from 'node:os';
import type { Verdict } from '../../lib/index';
import type { NativeRingTrial } from '../../lib/native/binding';
import { type ContainerFacts, containerFinding, containerKind } from '../../lib/doctor/container';
import { bytesText } from '../../lib/doctor/finding';
import { type RingFacts, ringFinding } from '../../lib/doctor/io-uring';
import { type LimitFacts, limitFindings, pageFinding } from '../../lib/doctor/limits';
import { named, verdicts, without } from '../helpers/diagnosis';

const { EINVAL, ENOMEM, ENOSYS, EPERM } = constants.errno;

// A virtual machine with Linux 6.18, as root.
const LIMITS: LimitFacts = {
  optmemBytes: 131_072,
  optmemWritable: true,
  tcpWmemMaxBytes: 4_194_304,
  wmemDefaultBytes: 212_992,
  wmemMaxBytes: 4_194_304,
  pageBytes: 4096,
  pins: { memlockBytes: 8_388_608, ipcLock: true, memoryBytes: 25_276_510_208, cpus: 16 },
};
const UNPRIVILEGED = {
  memlockBytes: 65_536,
  ipcLock: false,
  memoryBytes: 25_276_510_208,
  cpus: 16,
};

describe('findings about limits', () => {
  it('report no problem for root on a recent Linux', () => {
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
    it(`judge optmem_max: ${what}`, () => {
      const found = named(limitFindings({ ...LIMITS, ...facts }), 'optmem');
      assert.equal(found.verdict, verdict);
      assert.match(found.detail, detail);
      assert.deepEqual(found.remedy, command === undefined ? undefined : { command });
    });
  }

  it('note that optmem_max cannot be read in a namespace', () => {
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
    ['1 GiB', 2 ** 30, false, 'ok', /^1 GiB\. This process pins at most 256 MiB/],
    ['no end', -1, false, 'ok', /^Unlimited/],
  ];
  for (const [what, memlockBytes, ipcLock, verdict, detail] of memlock) {
    it(`judge a memlock of ${what}`, () => {
      const pins = { ...UNPRIVILEGED, memlockBytes, ipcLock };
      const found = named(limitFindings({ ...LIMITS, pins }), 'memlock');
      assert.equal(found.verdict, verdict);
      assert.match(found.detail, detail);
      const command =
        'prlimit --memlock=268435456:268435456 node PROGRAM   # for a service: LimitMEMLOCK=, as in examples/deploy/server.service';
      assert.deepEqual(found.remedy, verdict === 'ok' ? undefined : { command });
    });
  }

  it('raise memlock where the container is started, and warn of the risk of CAP_IPC_LOCK', () => {
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

  it('omit memlock without the addon, which reads it', () => {
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
    ['works', { trial: works, disabled: 0, seccomp: 0 }, 'ok', /^A ring was set up/, undefined],
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
      /ENOSYS: this kernel lacks it/,
      undefined,
    ],
    [
      'is too old',
      { trial: refused(EINVAL, 'opcode'), disabled: 0, seccomp: 2 },
      'limited',
      /it needs Linux 6\.1/,
      undefined,
    ],
  ];
  for (const [what, facts, verdict, detail, remedy] of rows) {
    it(`judge io_uring that ${what}`, () => {
      const found = ringFinding(facts);
      assert.deepEqual([found.id, found.verdict], ['io_uring', verdict]);
      assert.match(found.detail, detail);
      assert.equal(found.remedy === undefined, remedy === undefined);
      if (remedy === undefined) return;
      assert.match(found.remedy?.command ?? '', remedy.command);
      assert.match(
        found.remedy?.weakensSecurity ?? '',
        /^bugs in io_uring were used to gain privileges/,
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
    ['no container where there is none', {}, undefined],
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

  it('report a seccomp filter outside a container, too', () => {
    const found = containerFinding({ ...none, seccomp: 2 });
    assert.equal(found.verdict, 'note');
    assert.match(found.detail, /^No sign of a container\. A seccomp filter is on/);
  });
});

describe('findings about pages', () => {
  const facts = { pageBytes: 4096, transparent: 'madvise', hugePages: 0, hugePageBytes: 2_097_152 };

  it('report what a pool on huge pages lacks', () => {
    const found = pageFinding(facts);
    assert.equal(found.verdict, 'note');
    assert.match(found.detail, /4 KiB.*madvise.*no huge pages of 2 MiB/);
    assert.equal(found.remedy?.command, 'sysctl -w vm.nr_hugepages=16');
    const reserved = pageFinding({ ...facts, hugePages: 16 });
    assert.deepEqual([reserved.verdict, reserved.remedy], ['ok', undefined]);
    assert.equal(pageFinding({}).verdict, 'note');
  });

  it('format sizes for people', () => {
    const texts = [0, 1023, 1024, 1536, 8_388_608, 2 ** 30, 2 ** 41].map(bytesText);
    const expected = ['0 bytes', '1023 bytes', '1 KiB', '1.5 KiB', '8 MiB', '1 GiB', '2048 GiB'];
    assert.deepEqual(texts, expected);
  });
});
