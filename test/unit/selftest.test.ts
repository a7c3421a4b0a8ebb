// How the self-test judges: what its receiver counts, its verdict, and its report. Nothing is sent here.
import assert from 'node:assert/strict';
import { DatagramLedger, StreamLedger } from '../../scripts/selftest/ledger';
import { OVERWRITTEN } from '../../scripts/pattern';
import { type Description, fill } from '../../scripts/selftest/message';
import type { ReceiverResult, SenderResult } from '../../scripts/selftest/protocol';
import { lineOf, summaryOf, tableOf } from '../../scripts/selftest/report';
import type { Outcome } from '../../scripts/selftest/run';
import type { Trial } from '../../scripts/selftest/trial';
import {
  losses,
  nothingZeroCopy,
  reasonsForNoTry,
  receiverProblems,
  senderProblems,
  zeroCopyWord,
} from '../../scripts/selftest/verdict';

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

  it('notices missing, repeated, truncated and foreign messages', () => {
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

  it('notices a wrong byte in a stream, and what cut it short', () => {
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
    ['memory is never released', { unsettled: 2 }, /2 sends never released their memory/],
    ['a completion is missing', { stats: { ...STATS, notifications: 9 } }, /gap: of 10 .* 9 were/],
    ['there are too many', { stats: { ...STATS, notifications: 11 } }, /gap: of 10 .* 11 were/],
    [
      'one is of no send',
      { stats: { ...STATS, strayNotifications: 1 } },
      /1 completions of unknown/,
    ],
    ['something stays pending', { pendingSends: 1, pendingBytes: 9 }, /1 sends are still pending/],
    ['bytes are unaccounted for', { passedBytes: 10_001 }, /10001 bytes were sent/],
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

  it('allows copying by choice only when zero copy is not requested, or impossible', () => {
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

  it('fails a receiver for every kind of error', () => {
    const problems = (difference: Partial<ReceiverResult>): string => {
      const received = { ...RECEIVED, ...difference };
      return [...receiverProblems(received), ...losses(TRIAL, SENT, received)].join('; ');
    };
    assert.match(problems({ wrongBytes: 3, wrongMessages: 1 }), /3 wrong bytes arrived/);
    assert.match(problems({ wrongMessages: 1 }), /1 messages have a wrong length/);
    assert.match(problems({ duplicates: 1 }), /arrived more than once/);
    assert.match(problems({ missing: 1 }), /1 of 10 messages did not arrive/);
    assert.match(problems({ missing: 1, drops: 4 }), /\(the receiving socket was full 4 times\)/);
    assert.match(problems({ cut: 'reset' }), /reception ended early: reset/);
    assert.match(problems({ strangers: 1 }), /belong to another run/);
  });

  it('accepts foreign packets on raw and packet sockets', () => {
    const received = { ...RECEIVED, strangers: 5 };
    assert.deepEqual(losses({ ...TRIAL, mode: 'raw' }, SENT, received), []);
  });

  it('fails a stream with missing bytes', () => {
    const received = { ...RECEIVED, bytes: 9_999 };
    const problems = losses({ ...TRIAL, mode: 'tcp' }, SENT, received);
    assert.deepEqual(problems, ['10000 bytes sent, 9999 received']);
  });

  it('reports whether the kernel copied', () => {
    const of = (difference: Partial<SenderResult['travelled']>): string =>
      zeroCopyWord(TRIAL, { ...SENT, travelled: { ...SENT.travelled, ...difference } });
    assert.equal(of({}), 'n');
    assert.equal(of({ kernelCopiedBytes: 0, zeroCopyBytes: 10_000 }), 'y');
    assert.equal(of({ kernelCopiedBytes: 1, zeroCopyBytes: 9_999 }), 'part');
    assert.equal(of({ kernelCopiedBytes: 0, unknownBytes: 10_000 }), '?');
    assert.equal(zeroCopyWord({ ...TRIAL, zeroCopy: false }, SENT), '-');
  });

  it('reports whether everything was copied although zero copy was requested', () => {
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

  it('knows why zero copy was not even tried', () => {
    const stats = { ...SENT.stats, zeroCopySends: 0 };
    const off: SenderResult = { ...SENT, stats, reasons: ['below-threshold', 'addon-unavailable'] };
    assert.deepEqual(reasonsForNoTry([{ trial: TRIAL, sent: off }]), ['addon-unavailable']);
    const tried = { trial: TRIAL, sent: SENT };
    assert.deepEqual(reasonsForNoTry([{ trial: TRIAL, sent: off }, tried]), []);
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

  it('has a table of many runs, and below it what was skipped or failed, with the reason', () => {
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
