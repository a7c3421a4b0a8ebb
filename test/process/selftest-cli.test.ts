// The command line `msg-zerocopy selftest`: what it accepts, what it runs, how it judges, and its exit
// status. Nothing is sent here; test/process/selftest.test.ts does that.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { VERSION } from '../../lib/version';
import { parse, UsageError } from '../../scripts/selftest/arguments';
import { DatagramLedger, StreamLedger } from '../../scripts/selftest/ledger';
import { OVERWRITTEN } from '../../scripts/pattern';
import { type Description, fill } from '../../scripts/selftest/message';
import type { ReceiverResult, SenderResult } from '../../scripts/selftest/protocol';
import { lineOf, summaryOf, tableOf } from '../../scripts/selftest/report';
import type { Outcome } from '../../scripts/selftest/run';
import { misfit, titleOf, type Trial, trialsOf } from '../../scripts/selftest/trial';
import {
  losses,
  nothingZeroCopy,
  receiverProblems,
  senderProblems,
  zeroCopyWord,
} from '../../scripts/selftest/verdict';

const CLI = path.join(__dirname, '../../scripts/cli.js');

function run(...argv: string[]): { status: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, ...argv], {
    encoding: 'utf8',
  });
  return { status, stdout, stderr };
}

const words = (line: string): string[] => line.split(' ').filter((word) => word !== '');

describe('the command msg-zerocopy', () => {
  it('explains itself and exits 2 when it is given no command', () => {
    const { status, stdout, stderr } = run();
    assert.deepEqual({ status, stdout }, { status: 2, stdout: '' });
    assert.match(stderr, /^usage: msg-zerocopy COMMAND/);
    assert.match(stderr, /\n {2}selftest {2}/);
  });

  it('names a command that it does not know, and exits 2', () => {
    const { status, stderr } = run('constructor');
    assert.equal(status, 2);
    assert.match(stderr, /^msg-zerocopy: unknown command 'constructor'\nusage: /);
  });

  it('explains itself and exits 0 when it is asked to', () => {
    const { status, stdout, stderr } = run('--help');
    assert.deepEqual({ status, stderr }, { status: 0, stderr: '' });
    assert.match(stdout, /^usage: msg-zerocopy COMMAND/);
  });

  it('tells its version', () => {
    assert.deepEqual(run('--version'), { status: 0, stdout: `${VERSION}\n`, stderr: '' });
  });

  it('explains the self-test and exits 0 when it is asked to', () => {
    const { status, stdout, stderr } = run('selftest', '--help');
    assert.deepEqual({ status, stderr }, { status: 0, stderr: '' });
    assert.match(stdout, /^usage: msg-zerocopy selftest \[4\|6\] \[MODE\] \[options\]/);
  });

  it('says what is wrong with the arguments of the self-test, explains it, and exits 2', () => {
    const { status, stdout, stderr } = run('selftest', 'tcp', '--nonsense');
    assert.deepEqual({ status, stdout }, { status: 2, stdout: '' });
    assert.match(stderr, /^msg-zerocopy selftest: Unknown option '--nonsense'\n\nusage: /);
  });

  it('refuses messages that cannot be sent, and exits 2', () => {
    const { status, stderr } = run('selftest', '4', 'udp', '-s', '65436');
    assert.equal(status, 2);
    assert.match(stderr, /^msg-zerocopy selftest: -s: 65436 bytes are more than 65435/);
  });
});

describe('arguments of the self-test', () => {
  it('are everything, in both families, over loopback, by default', () => {
    assert.deepEqual(parse([]), {
      help: false,
      verbose: false,
      mode: 'all',
      families: [4, 6],
      zeroCopy: false,
      mixed: false,
      place: 'loopback',
    });
  });

  it('are those of the kernel’s self-test, in any order', () => {
    const expected = {
      help: false,
      verbose: true,
      mode: 'udp',
      families: [6],
      zeroCopy: true,
      mixed: true,
      cork: 4,
      bytes: 1400,
      seconds: 0.5,
      port: 9000,
      place: 'veth',
    };
    assert.deepEqual(parse(words('6 udp -z -m -c 4 -s 1400 -t 0.5 -p 9000 -i veth -v')), expected);
    assert.deepEqual(parse(words('-vzm -6 -c4 -s1400 -t .5 -p9000 -i veth udp')), expected);
  });

  it('tell the family by the address', () => {
    assert.deepEqual(parse(words('raw -D fd00::1')).families, [6]);
    assert.deepEqual(parse(words('udp -D 192.0.2.1')).families, [4]);
    assert.deepEqual(parse(words('udp -r --bind ::')).families, [6]);
  });

  it('receive at a loopback address unless they name another', () => {
    assert.equal(parse(words('tcp -r')).bind, '127.0.0.1');
    assert.equal(parse(words('6 tcp -r')).bind, '::1');
    assert.equal(parse(words('tcp -r --bind 0.0.0.0')).bind, '0.0.0.0');
  });

  const refused: Readonly<Record<string, RegExp>> = {
    '4 6 tcp': /one of 4 and 6/,
    '-4 -6 tcp': /one of 4 and 6/,
    'tcp udp': /one mode at a time/,
    sctp: /the mode is one of tcp, udp, raw, raw_hdrincl, packet, packet_dgram, all, not 'sctp'/,
    '-i ethernet': /-i is one of loopback, veth, rig/,
    'raw -c 4': /only tcp and udp can be corked/,
    '-c 4': /only tcp and udp can be corked/,
    'udp -c 1': /-c: a whole number, 2 to 64/,
    'udp -c 65': /-c: a whole number, 2 to 64/,
    'udp -c 17 -s 16': /16 bytes are not 17 pieces/,
    'udp -m -c 4': /-m goes with -z and -c/,
    'udp -m -z': /-m goes with -z and -c/,
    'udp -s 15': /-s: a whole number, 16 to/,
    'udp -s 1e3': /-s: a whole number/,
    'udp -t 0': /-t: seconds/,
    'udp -t -1': /-t/,
    'udp -t NaN': /-t: seconds/,
    'udp -p 65536': /-p: a whole number, 0 to 65535/,
    'udp -D example.org': /'example.org' is not an IP address/,
    '4 udp -D ::1': /'::1' is not of family 4/,
    'udp -D ::1 -p 0': /-p: 1 or more/,
    'udp -D ::1 -r': /-D sends and -r receives/,
    '-D ::1': /-D and -r take one mode/,
    '-r': /-D and -r take one mode/,
    'udp -r -i veth': /-i does not go with/,
    'udp --bind ::1': /--bind goes with -r/,
    'udp -x': /Unknown option '-x'/,
    'udp -s': /argument missing/,
  };
  for (const [line, why] of Object.entries(refused)) {
    it(`are refused with the reason: '${line}'`, () => {
      assert.throws(
        () => parse(words(line)),
        (error) => error instanceof UsageError && why.test(error.message),
      );
    });
  }
});

describe('the runs of the self-test', () => {
  const titles = (line: string): string[] => trialsOf(parse(words(line)), 65_536).map(titleOf);

  it('are one for each family', () => {
    assert.deepEqual(titles('udp -z -c 3 -m'), ['ipv4 udp -z -c 3 -m', 'ipv6 udp -z -c 3 -m']);
    assert.deepEqual(titles('4 packet'), ['ipv4 packet']);
  });

  it('are with all: every mode copied and zero-copy, tcp and udp also corked and mixed', () => {
    const corkable = ['', ' -z', ' -c 4', ' -z -c 4', ' -z -c 4 -m'];
    const expected = [
      ...corkable.map((way) => `ipv6 tcp${way}`),
      ...corkable.map((way) => `ipv6 udp${way}`),
      ...['raw', 'raw_hdrincl', 'packet', 'packet_dgram'].flatMap((mode) => [
        `ipv6 ${mode}`,
        `ipv6 ${mode} -z`,
      ]),
    ];
    assert.deepEqual(titles('6 all'), expected);
    assert.equal(titles('').length, 2 * expected.length);
    assert.ok(titles('-z').every((title) => title.includes('-z')));
  });

  it('send what fits into one packet unless they are told', () => {
    const sizes = (line: string, mtu: number): number[] =>
      trialsOf(parse(words(line)), mtu).map(({ bytes }) => bytes);
    assert.deepEqual(sizes('4 udp', 1500), [1452]);
    assert.deepEqual(sizes('4 packet', 65_536), [65_435]);
    assert.deepEqual(sizes('4 tcp', 1500), [65_435]);
    assert.deepEqual(sizes('4 udp -s 9000', 1500), [9000]);
  });

  it('do not send what must be fragmented where nobody would', () => {
    const why = (line: string): string | undefined =>
      misfit(trialsOf(parse(words(line)), 1500)[0] as Trial, 1500);
    assert.equal(why('4 packet -s 1472'), undefined);
    assert.match(why('4 packet -s 1473') ?? '', /1473 bytes and 28 of headers/);
    assert.match(why('6 raw_hdrincl -s 1461') ?? '', /1461 bytes and 40 of headers/);
    assert.equal(why('4 raw -s 9000'), undefined, 'the kernel fragments its own packets');
    assert.equal(why('4 udp -s 9000'), undefined);
  });
});

const TOKEN = 0x1234_5678;

function message(sequence: number, length = 600, token = TOKEN): Buffer {
  const data = Buffer.alloc(length);
  fill(data, { token, sequence, length }, 0);
  return data;
}

const CLEAN: ReceiverResult = {
  messages: 0,
  bytes: 0,
  wrongMessages: 0,
  wrongBytes: 0,
  duplicates: 0,
  missing: 0,
  strangers: 0,
  drops: 0,
};

describe('the receiver of the self-test', () => {
  it('counts what arrives intact, in any order', () => {
    const ledger = new DatagramLedger(TOKEN);
    for (const sequence of [2, 0, 1]) ledger.take(message(sequence));
    assert.deepEqual(ledger.result(3, 0), { ...CLEAN, messages: 3, bytes: 1800 });
  });

  it('notices a wrong byte wherever it is', () => {
    for (let at = 0; at < 600; at++) {
      const ledger = new DatagramLedger(TOKEN);
      const data = message(0);
      data[at] = (data[at] as number) ^ 1;
      ledger.take(data);
      const { messages, missing } = ledger.result(1, 0);
      assert.deepEqual({ messages, wrong: missing + ledger.settled }, { messages: 0, wrong: 1 });
    }
  });

  it('notices memory that was overwritten before it was sent', () => {
    const ledger = new DatagramLedger(TOKEN);
    ledger.take(Buffer.alloc(600, OVERWRITTEN));
    assert.deepEqual(ledger.result(1, 0), { ...CLEAN, wrongMessages: 1, wrongBytes: 600 });
  });

  it('notices what is missing, doubled, cut or somebody else’s', () => {
    const ledger = new DatagramLedger(TOKEN);
    ledger.take(message(0));
    ledger.take(message(0));
    ledger.take(message(2).subarray(0, 599));
    ledger.take(message(3, 600, TOKEN + 1));
    ledger.take(Buffer.from('hello'));
    assert.deepEqual(ledger.result(4, 7), {
      messages: 1,
      bytes: 600,
      wrongMessages: 1,
      wrongBytes: 0,
      duplicates: 1,
      missing: 2,
      strangers: 2,
      drops: 7,
    });
  });

  it('learns the run from the first message, and what is missing from the last', () => {
    const ledger = new DatagramLedger(undefined);
    for (const sequence of [0, 1, 4]) ledger.take(message(sequence));
    ledger.take(message(2, 600, TOKEN + 1));
    const { messages, missing, strangers } = ledger.result(undefined, 0);
    assert.deepEqual({ messages, missing, strangers }, { messages: 3, missing: 2, strangers: 1 });
  });

  for (const token of [TOKEN, undefined]) {
    const knowing = token === undefined ? 'learns the run from' : 'knows the run of';
    it(`${knowing} a stream, however it is cut`, () => {
      const stream: Description = { token: TOKEN, sequence: 0, length: 0 };
      const data = Buffer.alloc(5000);
      fill(data, stream, 0);
      for (const piece of [1, 7, 16, 999]) {
        const ledger = new StreamLedger(token);
        for (let at = 0; at < data.length; at += piece) ledger.take(data.subarray(at, at + piece));
        const { bytes, wrongBytes } = ledger.result();
        assert.deepEqual({ bytes, wrongBytes }, { bytes: 5000, wrongBytes: 0 });
      }
    });
  }

  it('notices a wrong byte of a stream, and how it was cut short', () => {
    const data = Buffer.alloc(5000);
    fill(data, { token: TOKEN, sequence: 0, length: 0 }, 0);
    data[4321] = OVERWRITTEN;
    const ledger = new StreamLedger(TOKEN);
    ledger.take(data);
    ledger.cut('read ECONNRESET');
    const expected = { ...CLEAN, messages: 1, bytes: 5000, wrongMessages: 1, wrongBytes: 1 };
    assert.deepEqual(ledger.result(), { ...expected, cut: 'read ECONNRESET' });
  });
});

const TRIAL: Trial = {
  family: 4,
  mode: 'udp',
  zeroCopy: true,
  mixed: false,
  bytes: 1000,
  seconds: 1,
};

const STATS = {
  zeroCopySends: 10,
  zeroCopyBytes: 10_000,
  kernelCopiedSends: 10,
  unknownSends: 0,
  copiedBytes: 0,
  notifications: 10,
  strayNotifications: 0,
} as unknown as SenderResult['stats'];

const SENT: SenderResult = {
  sends: 10,
  messages: 10,
  bytes: 10_000,
  passedBytes: 10_000,
  seconds: 1,
  stalled: false,
  unsettled: 0,
  travelled: {
    bytes: 10_000,
    zeroCopyBytes: 0,
    copiedBytes: 0,
    kernelCopiedBytes: 10_000,
    unknownBytes: 0,
  },
  engine: 'msg_zerocopy',
  reasons: [],
  pendingSends: 0,
  pendingBytes: 0,
  stats: STATS,
};

const RECEIVED: ReceiverResult = { ...CLEAN, messages: 10, bytes: 10_000 };

describe('the verdict of the self-test', () => {
  it('is clean when sends, completions and bytes agree', () => {
    assert.deepEqual(senderProblems(TRIAL, SENT), []);
    assert.deepEqual(receiverProblems(RECEIVED), []);
    assert.deepEqual(losses(TRIAL, SENT, RECEIVED), []);
  });

  const wrongs: readonly [string, Partial<SenderResult>, RegExp][] = [
    ['nothing was sent', { messages: 0 }, /nothing was sent/],
    ['nothing arrives any longer', { stalled: true }, /did not arrive/],
    ['memory is never handed back', { unsettled: 2 }, /2 sends never handed their memory back/],
    ['a completion is missing', { stats: { ...STATS, notifications: 9 } }, /gap: of 10 .* 9 were/],
    ['there are too many', { stats: { ...STATS, notifications: 11 } }, /gap: of 10 .* 11 were/],
    [
      'one is of no send',
      { stats: { ...STATS, strayNotifications: 1 } },
      /1 completions of unknown/,
    ],
    ['something stays pending', { pendingSends: 1, pendingBytes: 9 }, /1 sends are still pending/],
    ['bytes are unaccounted for', { passedBytes: 10_001 }, /10001 bytes were passed/],
    [
      'the parts do not make up the whole',
      { travelled: { ...SENT.travelled, copiedBytes: 1 } },
      /account for 10001 of 10000/,
    ],
    [
      'zero copy was never tried',
      { stats: { ...STATS, zeroCopySends: 0, notifications: 0 } },
      /never tried/,
    ],
  ];
  for (const [what, difference, problem] of wrongs) {
    it(`fails a sender when ${what}`, () => {
      assert.match(senderProblems(TRIAL, { ...SENT, ...difference }).join('; '), problem);
    });
  }

  it('allows copying by choice only where nothing else is asked for, or possible', () => {
    const stats = { ...STATS, zeroCopySends: 0, notifications: 0 };
    const copied: SenderResult = {
      ...SENT,
      stats,
      engine: 'copy',
      reasons: ['kernel-unsupported'],
    };
    assert.deepEqual(senderProblems({ ...TRIAL, zeroCopy: false }, copied), []);
    assert.deepEqual(senderProblems(TRIAL, copied), []);
    assert.match(senderProblems(TRIAL, { ...copied, reasons: ['source'] }).join(), /never tried/);
    assert.match(senderProblems({ ...TRIAL, zeroCopy: false }, SENT).join(), /without being asked/);
  });

  it('fails a receiver for every kind of wrong', () => {
    const problems = (difference: Partial<ReceiverResult>): string => {
      const received = { ...RECEIVED, ...difference };
      return [...receiverProblems(received), ...losses(TRIAL, SENT, received)].join('; ');
    };
    assert.match(problems({ wrongBytes: 3, wrongMessages: 1 }), /3 wrong bytes arrived/);
    assert.match(problems({ wrongMessages: 1 }), /1 messages have a wrong length/);
    assert.match(problems({ duplicates: 1 }), /arrived more than once/);
    assert.match(problems({ missing: 1 }), /1 of 10 messages did not arrive/);
    assert.match(problems({ missing: 1, drops: 4 }), /\(the receiving socket was full 4 times\)/);
    assert.match(problems({ cut: 'reset' }), /cut short: reset/);
    assert.match(problems({ strangers: 1 }), /none of this run's/);
  });

  it('leaves other people’s packets to raw and packet sockets', () => {
    const received = { ...RECEIVED, strangers: 5 };
    assert.deepEqual(losses({ ...TRIAL, mode: 'raw' }, SENT, received), []);
  });

  it('fails a stream of which bytes are missing', () => {
    const received = { ...RECEIVED, bytes: 9_999 };
    const problems = losses({ ...TRIAL, mode: 'tcp' }, SENT, received);
    assert.deepEqual(problems, ['10000 bytes sent, 9999 received']);
  });

  it('says whether the kernel copied', () => {
    const of = (difference: Partial<SenderResult['travelled']>): string =>
      zeroCopyWord(TRIAL, { ...SENT, travelled: { ...SENT.travelled, ...difference } });
    assert.equal(of({}), 'n');
    assert.equal(of({ kernelCopiedBytes: 0, zeroCopyBytes: 10_000 }), 'y');
    assert.equal(of({ kernelCopiedBytes: 1, zeroCopyBytes: 9_999 }), 'part');
    assert.equal(of({ kernelCopiedBytes: 0, unknownBytes: 10_000 }), '?');
    assert.equal(zeroCopyWord({ ...TRIAL, zeroCopy: false }, SENT), '-');
  });

  it('says whether all was copied of which it was asked that nothing is', () => {
    const looped = { trial: TRIAL, sent: SENT };
    const { travelled } = SENT;
    const of = (difference: Partial<SenderResult['travelled']>) => ({
      trial: TRIAL,
      sent: { ...SENT, travelled: { ...travelled, ...difference } },
    });
    assert.equal(nothingZeroCopy([looped]), true);
    assert.equal(nothingZeroCopy([looped, of({ zeroCopyBytes: 1 })]), false);
    assert.equal(nothingZeroCopy([of({ kernelCopiedBytes: 0, unknownBytes: 10_000 })]), false);
    const others: readonly Partial<Trial>[] = [{ zeroCopy: false }, { mode: 'raw' }];
    for (const other of others) {
      assert.equal(nothingZeroCopy([{ trial: { ...TRIAL, ...other }, sent: SENT }]), false);
    }
    assert.equal(nothingZeroCopy([{ trial: TRIAL }]), false, 'nothing ran');
  });
});

describe('the report of the self-test', () => {
  const ok: Outcome = { trial: TRIAL, result: 'ok', problems: [], sent: SENT, received: RECEIVED };
  const failed: Outcome = { ...ok, result: 'failed', problems: ['3 wrong bytes arrived'] };
  const raw: Trial = { ...TRIAL, mode: 'raw' };
  const skipped: Outcome = {
    trial: raw,
    result: 'skipped',
    problems: ['CAP_NET_RAW is needed'],
    remedy: 'run as root',
  };
  const paused: Outcome = {
    ...ok,
    trial: raw,
    sent: { ...SENT, engine: 'copy', reasons: ['kernel-unsupported'] },
  };

  it('has a line for each run', () => {
    const start = 'tx=10 (0.0 MB) txc=10 of 10 zc=n';
    assert.equal(lineOf(ok), `ipv4 udp -z: ${start} engine=msg_zerocopy rx=0.0 MB verified`);
    assert.match(lineOf(failed), /rx=0\.0 MB FAILED: 3 wrong bytes arrived$/);
    assert.equal(
      lineOf(skipped),
      'ipv4 raw -z: SKIPPED: CAP_NET_RAW is needed (remedy: run as root)',
    );
    assert.match(lineOf(paused), / engine=copy \(kernel-unsupported\) /);
  });

  it('has a table of many, and says below what was skipped or failed, and why', () => {
    const table = tableOf([ok, failed, skipped]).split('\n');
    assert.equal(table.length, 4);
    assert.match(table[0] ?? '', /mode +options +tx +MB +completions +zerocopy +engine +result$/);
    assert.match(table[1] ?? '', /^ipv4 +udp +-z +10 +0\.0 +10 +n +msg_zerocopy +ok$/);
    assert.match(table[3] ?? '', /^ipv4 +raw +-z +- +- +- +- +skipped$/);
    assert.deepEqual(summaryOf([ok, failed, skipped]).split('\n'), [
      'ipv4 udp -z: FAILED: 3 wrong bytes arrived',
      'ipv4 raw -z: SKIPPED: CAP_NET_RAW is needed (remedy: run as root)',
      '1 ok, 1 failed, 1 skipped',
    ]);
  });
});
