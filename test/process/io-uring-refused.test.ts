// Where the kernel, a sandbox or a limit refuses io_uring: MSG_ZEROCOPY serves those who ask for it by name, and says
// so, as it serves 'auto', and every byte arrives.
import assert from 'node:assert/strict';
import type { ZeroCopyOptions } from '../../lib/index';
import { uringSuite } from '../helpers/suites';
import { everywhere, loopbackSuite, type TcpPlace, rigPlaceSuite } from '../helpers/tcp-place';
import { refusing } from '../helpers/refuse-io-uring';
import type { Runner } from '../helpers/runner';

const TINY_MEMLOCK = 64 * 1024;
const UNPRIVILEGED = ['setpriv', '--bounding-set', '-all', '--inh-caps', '-all'];

type Transferred = Awaited<ReturnType<typeof transfer>>;

function transfer(runner: Runner, place: TcpPlace, zeroCopy: ZeroCopyOptions) {
  const params = { to: place.to(), senderHost: place.senderHost, zeroCopy };
  return runner.run('io-uring-refused', 'transfer', params);
}

function assertCopied({ engine, reason, state, report, stats }: Transferred, why: string): void {
  assert.deepEqual([engine, reason, state], ['copy', why, 'unsupported']);
  assert.deepEqual([report.engine, report.reason, report.copiedBytes], ['copy', why, report.bytes]);
  assert.equal(stats.zeroCopySends, 0);
}

// A threshold that is a number insists, so that the copies of a loopback do not pause it.
function assertServedWithoutRing(seen: Transferred): void {
  const { engine, reason, state, report, stats, told } = seen;
  assert.deepEqual([engine, reason, state], ['msg_zerocopy', 'io_uring-refused', 'active']);
  assert.deepEqual([report.engine, report.copiedBytes], ['msg_zerocopy', 0]);
  assert.ok(stats.zeroCopySends > 0);
  assert.deepEqual(told, ['io_uring-refused']);
}

everywhere('io_uring refused by a sandbox', (getPlace) => {
  for (const errno of ['EPERM', 'ENOSYS'] as const) {
    describe(`with ${errno}`, () => {
      let runner: Runner | undefined;
      before(() => (runner = getPlace().startRunner(refusing(errno))));
      after(() => runner?.stop());
      const run = (zeroCopy: ZeroCopyOptions) => transfer(runner as Runner, getPlace(), zeroCopy);

      it('by name: MSG_ZEROCOPY is used, and the reason is reported once', async () => {
        const seen = await run({ engine: 'io_uring', threshold: 1 });
        assertServedWithoutRing(seen);
        assert.equal(seen.capability.support, 'no');
        assert.match(seen.capability.reason ?? '', new RegExp(errno));
      });

      it("'auto': MSG_ZEROCOPY is used", async () => {
        const { stats, engine, reason } = await run({ engine: 'auto' });
        assert.ok(stats.zeroCopySends > 0, `engine ${engine}, reason ${reason}`);
        if (getPlace().rig !== undefined)
          assert.deepEqual([engine, reason], ['msg_zerocopy', undefined]);
      });

      it('msg_zerocopy and copy by name: work as before', async () => {
        assert.equal((await run({ engine: 'msg_zerocopy' })).engine, 'msg_zerocopy');
        assertCopied(await run({ engine: 'copy' }), 'disabled');
      });

      it('by the environment: MSG_ZEROCOPY is used, too', async () => {
        const environment = { MSG_ZEROCOPY_ENGINE: 'io_uring' };
        const own = getPlace().startRunner(refusing(errno), environment);
        assertServedWithoutRing(await transfer(own, getPlace(), { threshold: 1 }));
        await own.stop();
      });
    });
  }
});

loopbackSuite('io_uring without the addon', (getPlace) => {
  for (const [what, environment] of [
    ['--no-addons', { NODE_OPTIONS: '--no-addons' }],
    ['an addon that is switched off', { MSG_ZEROCOPY_ADDON: 'off' }],
  ] as const) {
    it(`copies, with the reason: ${what}`, async () => {
      const runner = getPlace().startRunner([], environment);
      const seen = await transfer(runner, getPlace(), { engine: 'io_uring' });
      assertCopied(seen, 'addon-unavailable');
      assert.equal(seen.capability.support, 'no');
      assert.match(seen.capability.reason ?? '', /^addon-unavailable/);
      await runner.stop();
    });
  }
});

uringSuite('io_uring and the environment variable', () => {
  loopbackSuite('MSG_ZEROCOPY_ENGINE', (getPlace) => {
    for (const engine of ['io_uring', 'msg_zerocopy', 'copy'] as const) {
      it(`${engine} overrides 'auto' only`, async () => {
        const runner = getPlace().startRunner([], { MSG_ZEROCOPY_ENGINE: engine });
        const params = { to: getPlace().to(), senderHost: getPlace().senderHost, zeroCopy: {} };
        const seen = await runner.run('io-uring-refused', 'byName', params);
        assert.deepEqual(seen, {
          io_uring: ['io_uring', 'none'],
          auto: [engine, engine === 'copy' ? 'disabled' : 'none'],
          msg_zerocopy: ['msg_zerocopy', 'none'],
          copy: ['copy', 'disabled'],
        });
        await runner.stop();
      });
    }
  });
});

uringSuite('io_uring under limits', () => {
  rigPlaceSuite('a small RLIMIT_MEMLOCK without CAP_IPC_LOCK', (getPlace) => {
    for (const engine of ['io_uring', 'auto'] as const) {
      for (const [limit, bytes] of [
        ['of 64 KiB', TINY_MEMLOCK],
        ['of nothing', 0],
        ['of 1 MiB', 1024 * 1024],
      ] as const) {
        it(`${limit}: everything arrives (engine '${engine}')`, async () => {
          const limited = ['prlimit', `--memlock=${bytes}`, ...UNPRIVILEGED];
          const runner = getPlace().startRunner(limited);
          const { senderHost } = getPlace();
          const params = { to: getPlace().to(), senderHost, zeroCopy: { engine } };
          const { stats } = await runner.run('io-uring-refused', 'stalledTransfer', params);
          assert.ok(stats.copiedBytes > 100_000, 'the limit was never met');
          await runner.stop();
        });
      }
    }
  });

  everywhere('dropping privileges', (getPlace) => {
    it('does not affect sends in progress, and later connections complete', async () => {
      const place = getPlace();
      const runner = place.startRunner();
      const { senderHost } = place;
      const params = { to: place.to(), senderHost, zeroCopy: { engine: 'io_uring' as const } };
      const { stats } = await runner.run('io-uring-refused', 'privilegesDropped', params);
      assert.ok(stats.zeroCopySends + stats.copiedBytes > 0);
      await runner.stop();
    });
  });
});
