// A duplicate of each sending socket's descriptor is taken only while there are plenty, and given back.
import assert from 'node:assert/strict';
import { loopbackSuite, type TcpPlace } from '../helpers/tcp-place';

function paramsOf(place: TcpPlace) {
  const { senderHost } = place;
  return { to: place.to(), zeroCopy: { engine: 'msg_zerocopy' as const }, senderHost };
}

loopbackSuite('descriptors', (getPlace) => {
  it('near RLIMIT_NOFILE are left to accept(), and sends are copied', async () => {
    const runner = getPlace().startRunner(['prlimit', '--nofile=256']);
    const seen = await runner.run('descriptors', 'nearLimit', paramsOf(getPlace()));
    assert.deepEqual(seen.reasons.sort(), ['fd-limit', 'none']);
    assert.deepEqual(seen.announced, ['fd-limit']);
    assert.ok(seen.zeroCopies > 20 && seen.zeroCopies < seen.connections, `${seen.zeroCopies}`);
    await runner.stop();
  });

  it('are closed when idle, and ids continue when they are duplicated again', async () => {
    await getPlace().runner.run('descriptors', 'idle', paramsOf(getPlace()));
  });
});
