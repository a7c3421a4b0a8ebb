// Limits that run out: RLIMIT_MEMLOCK of a process without CAP_IPC_LOCK, and net.core.optmem_max. The
// same bytes go by copy, nothing waits for what cannot come, and zero copy returns when it can.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { capabilities } from '../../lib/index';
import { type TcpPlace, rigPlaceSuite } from '../helpers/tcp-place';
import type { Runner } from '../helpers/runner';

/** Keeps what reads the sources wherever they lie, and not CAP_IPC_LOCK. */
const READER = ['--inh-caps', '-all,+dac_read_search', '--ambient-caps', '-all,+dac_read_search'];
const FIRST_USER = 1_000_000;

let users = 0;

// RLIMIT_MEMLOCK is about what all processes of a user have pinned, also those that have just ended: each
// process is that of a user who has no other.
function asNobodyElse(): readonly string[] {
  const user = FIRST_USER + process.pid * 100 + users++;
  return ['setpriv', '--reuid', String(user), '--clear-groups', ...READER];
}

const OPTMEM = 'net/core/optmem_max';

// Where io_uring is refused its engine copies everything, and meets no limit.
const ENGINES: readonly Engine[] =
  capabilities().tcp.io_uring.support === 'yes'
    ? ['auto', 'io_uring', 'msg_zerocopy']
    : ['auto', 'msg_zerocopy'];

type Squeezed = Awaited<ReturnType<typeof squeeze>>;

type Engine = 'auto' | 'io_uring' | 'msg_zerocopy';

function squeeze(runner: Runner, place: TcpPlace, engine: Engine, size?: number) {
  const given = size === undefined ? {} : { size };
  const params = { to: place.to(), zeroCopy: { engine }, ...given };
  return runner.run('enobufs', 'squeeze', params);
}

function assertRefused(squeezed: Squeezed): void {
  const { stats, reasons } = squeezed;
  assert.ok(stats.enobufs > 0, 'the limit was never met');
  assert.ok(stats.copiedBytes > 0, 'nothing was copied instead');
  assert.ok(stats.zeroCopySends > 0, 'nothing went zero-copy');
  assert.deepEqual(reasons, ['enobufs']);
  assert.deepEqual([squeezed.reason, squeezed.state === 'active'], ['enobufs', false]);
}

async function assertRecovers(runner: Runner): Promise<void> {
  const { state, reason, report, written, errors, outOfOrder } = await runner.run(
    'enobufs',
    'recover',
    undefined,
  );
  assert.deepEqual(report, { bytes: written, wrong: 0, end: 'end' });
  assert.deepEqual([errors, outOfOrder], [[], 0]);
  assert.deepEqual([state, reason], ['active', undefined]);
}

rigPlaceSuite('limits', (getPlace) => {
  for (const engine of ENGINES) {
    it(`survives a small RLIMIT_MEMLOCK ('${engine}')`, async () => {
      // The budget is as large as the limit; the kernel charges two pages more for each send.
      const limit = ['prlimit', `--memlock=${1024 * 1024}`, ...asNobodyElse()];
      const runner = getPlace().startRunner(limit);
      const squeezed = await squeeze(runner, getPlace(), engine, 33_000);
      assert.equal(squeezed.memlock?.ipcLock, false);
      assert.equal(squeezed.memlock?.memlockBytes, 1024 * 1024);
      assertRefused(squeezed);
      await assertRecovers(runner);
      await runner.stop();
    });
  }

  // Only the bookkeeping of MSG_ZEROCOPY is charged to it.
  for (const engine of ['msg_zerocopy'] as const) {
    it(`survives a small optmem_max ('${engine}')`, async () => {
      const place = getPlace();
      const usual = readFileSync(`/proc/sys/${OPTMEM}`, 'utf8').trim();
      place.place.set('sender', OPTMEM, '4096');
      const runner = place.startRunner();
      try {
        assertRefused(await squeeze(runner, place, engine));
      } finally {
        place.place.set('sender', OPTMEM, usual);
      }
      await assertRecovers(runner);
      await runner.stop();
    });
  }
});
