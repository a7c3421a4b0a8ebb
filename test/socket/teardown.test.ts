// A release callback means that the kernel let go of the memory, also when it carries an error: the ends of
// connections, with megabytes in flight and every buffer overwritten as soon as it comes back.
import { everywhere } from '../helpers/tcp-place';

const SCENARIOS = {
  destroyed: 'delivers what was accepted, and only that, after destroy()',
  destroyedWithError: 'does so after destroy(error), too',
  reusedInErrorCallback: 'runs error callbacks only when the memory may be reused',
  reset: 'releases everything at once at resetAndDestroy(), which the peer sees as a reset',
  resetByPeer: 'settles every callback when the peer resets with writes pending',
  closedByPeer: 'settles every callback when the peer closes while we stream',
  destroyedSoon: 'delivers everything after destroySoon()',
} as const;

everywhere('teardown', (getPlace) => {
  for (const [name, title] of Object.entries(SCENARIOS)) {
    it(title, async () => {
      // By name: loopback makes 'auto' pause, and nothing would be pinned.
      const params = { to: getPlace().to(), zeroCopy: { engine: 'msg_zerocopy' as const } };
      await getPlace().runner.run('teardown', name as keyof typeof SCENARIOS, params);
    });
  }
});
