// Refusals and losses that this machine's kernel may not give, by a preloaded library: a protocol above
// TCP that takes no MSG_ZEROCOPY (TLS in the kernel), and a notification that was truncated.
import assert from 'node:assert/strict';
import { constants } from 'node:os';
import { compiled } from '../helpers/compiled';
import { uringSuite } from '../helpers/suites';
import { loopbackSuite, type TcpPlace } from '../helpers/tcp-place';
import { UDP_FAMILIES, udpLoopbackSuite } from '../helpers/udp-place';

/** As the kernel's TLS answers before Linux 5.5; in no table of names. */
const ENOTSUPP = 524;

const REFUSALS = [
  ['EOPNOTSUPP from the first send on', constants.errno.EOPNOTSUPP, 0],
  ['EOPNOTSUPP after two sends', constants.errno.EOPNOTSUPP, 2],
  ['ENOTSUPP after one send', ENOTSUPP, 1],
] as const;

const NO_SPACE = constants.errno.ENOSPC;

function preload(): string {
  const library = compiled('kernel-faults', ['-shared', '-fPIC', '-ldl']);
  // Behind what is there: a sanitizer must come first.
  return `${process.env['LD_PRELOAD'] ?? ''} ${library}`;
}

udpLoopbackSuite('datagrams when epoll has no room', (getPlace) => {
  for (const type of UDP_FAMILIES) {
    it(`are copied, and a socket that cannot receive reports it (${type})`, async () => {
      const prefix = ['env', `LD_PRELOAD=${preload()}`, `REFUSE_WATCH=${NO_SPACE},0`];
      const place = getPlace();
      const seen = await place.runAlone(prefix, 'udp-failures', 'unwatched', place.params(type));
      assert.deepEqual([seen.pendingSends, seen.zeroCopySends], [0, 0]);
      assert.deepEqual(seen.errors, [['ENOSPC', 'epoll_ctl']]);
      for (const report of seen.reports) assert.deepEqual(report, ['send-failed', true]);
    });
  }
});

/** What getsockopt(2) of it fails with; 0: it says off. */
const SWALLOWED = [0, constants.errno.ENOPROTOOPT];

udpLoopbackSuite('SO_ZEROCOPY that a sandbox swallows', (getPlace) => {
  for (const errno of SWALLOWED) {
    it(`makes datagrams be copied, with the reason (${errno})`, async () => {
      const prefix = ['env', `LD_PRELOAD=${preload()}`, `SWALLOW_ZEROCOPY=${errno}`];
      const place = getPlace();
      const seen = await place.runAlone(prefix, 'udp-failures', 'swallowed', place.params('udp4'));
      const reason = 'kernel-unsupported';
      assert.deepEqual(seen, {
        reasons: [reason],
        state: 'unsupported',
        reason,
        sends: 0,
        errors: [],
      });
    });
  }
});

udpLoopbackSuite('a datagram that finds the send buffer full', (getPlace) => {
  it('is sent when space becomes free before it is waited for', async () => {
    const { ENOBUFS } = constants.errno;
    const prefix = ['env', `LD_PRELOAD=${preload()}`, `REFUSE_COPY=${ENOBUFS},7`];
    const place = getPlace();
    const seen = await place.runAlone(prefix, 'udp-failures', 'passingWant', place.params('udp4'));
    assert.deepEqual(seen, { errors: [], copiedBytes: seen.copiedBytes });
    assert.ok(seen.copiedBytes > 0);
  });
});

loopbackSuite('faults of other kernels', (getPlace) => {
  async function withFaults<R>(
    faults: Record<string, string>,
    body: (runner: ReturnType<TcpPlace['startRunner']>) => Promise<R>,
  ): Promise<R> {
    const runner = getPlace().startRunner([], { ...faults, LD_PRELOAD: preload() });
    try {
      return await body(runner);
    } finally {
      await runner.stop();
    }
  }

  const params = () => ({
    to: getPlace().to(),
    senderHost: getPlace().senderHost,
    zeroCopy: { engine: 'msg_zerocopy' as const },
  });

  for (const [what, errno, after] of REFUSALS) {
    it(`${what}: everything is copied, which is reported once`, async () => {
      const seen = await withFaults({ REFUSE_ZEROCOPY: `${errno},${after}` }, (runner) =>
        runner.run('core-faults', 'refusedSends', params()),
      );
      const { engine, reason, state, report, zeroCopySends, told } = seen;
      assert.deepEqual([engine, reason, state], ['copy', 'kernel-unsupported', 'unsupported']);
      assert.deepEqual([report.copiedBytes, report.reason], [300_000, 'kernel-unsupported']);
      assert.equal(zeroCopySends, after);
      assert.deepEqual(told, ['kernel-unsupported']);
    });
  }

  for (const errno of SWALLOWED) {
    it(`SO_ZEROCOPY that a sandbox swallows: everything is copied, with the reason (${errno})`, async () => {
      const seen = await withFaults({ SWALLOW_ZEROCOPY: `${errno}` }, (runner) =>
        runner.run('core-faults', 'refusedSends', params()),
      );
      const { engine, reason, report, zeroCopySends, told } = seen;
      assert.deepEqual(
        [engine, reason, report.copiedBytes],
        ['copy', 'kernel-unsupported', 300_000],
      );
      assert.equal(zeroCopySends, 0);
      assert.deepEqual(told, ['kernel-unsupported']);
    });
  }

  it('a truncated notification is counted, and everything arrives', async () => {
    const seen = await withFaults({ TRUNCATE_NOTICE: '1' }, (runner) =>
      runner.run('core-faults', 'lostNotification', params()),
    );
    assert.equal(seen.lost, 1);
    assert.equal(seen.pendingSends, 1, 'what was named stays referenced');
    assert.deepEqual([seen.report.wrong, seen.report.end], [0, 'end']);
  });

  for (const [engine, told] of [
    ['msg_zerocopy', ['fd-limit']],
    ['io_uring', ['io_uring-refused', 'fd-limit']],
  ] as const) {
    it(`when epoll has no room everything is copied, with the reason (${engine})`, async () => {
      const seen = await withFaults({ REFUSE_WATCH: `${NO_SPACE},0` }, (runner) =>
        runner.run('core-faults', 'unwatched', { ...params(), zeroCopy: { engine } }),
      );
      assert.deepEqual(seen, { engine: 'copy', reason: 'fd-limit', told });
    });
  }

  uringSuite('by io_uring', () => {
    it("a connection that cannot wait for space fails with the system's error", async () => {
      const given = { ...params(), zeroCopy: { engine: 'io_uring' as const } };
      const seen = await withFaults({ REFUSE_WATCH: `${NO_SPACE},1` }, (runner) =>
        runner.run('core-faults', 'unwatchedWait', given),
      );
      assert.deepEqual(seen, { code: 'ENOSPC', syscall: 'write' });
    });
  });
});
