// metrics() of a process that sends, where the kernel copies after all and where it does not.
import assert from 'node:assert/strict';
import { capabilities } from '../../lib/index';
import { everywhere, type TcpPlace } from '../helpers/tcp-place';

function paramsOf(place: TcpPlace) {
  const ring = capabilities().tcp.io_uring.support === 'yes' ? (['io_uring'] as const) : [];
  const engines = ['msg_zerocopy', 'copy', 'auto', ...ring] as const;
  return { to: place.to(), engines };
}

everywhere('metrics()', (getPlace) => {
  it('sums the counters of all sockets, closed ones included', async () => {
    const totals = await getPlace().runner.run('metrics', 'summed', paramsOf(getPlace()));
    assert.ok((totals['zeroCopySends'] ?? 0) > 50, JSON.stringify(totals));
    assert.ok((totals['copiedBytes'] ?? 0) > 1_000, JSON.stringify(totals));
  });

  it('counts a reconnecting socket once for each connection', async () => {
    await getPlace().runner.run('metrics', 'reconnected', paramsOf(getPlace()));
  });

  it('shows pinned memory, and why connections were reset', async () => {
    await getPlace().startRunner().run('metrics', 'pinned', paramsOf(getPlace()));
  });
});
