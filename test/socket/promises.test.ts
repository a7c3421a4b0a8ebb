// When memory is released: callbacks at release or at acceptance, in write order; flush().
import assert from 'node:assert/strict';
import { everywhere, type TcpPlace, rigPlaceSuite } from '../helpers/tcp-place';

function paramsOf(place: TcpPlace) {
  return { to: place.to(), zeroCopy: { engine: 'msg_zerocopy' as const } };
}

everywhere('releasing memory', (getPlace) => {
  it("fires callbacks at acceptance with callbackAt 'accept', and only then", async () => {
    const { accept } = await getPlace().runner.run('promises', 'accept', paramsOf(getPlace()));
    assert.ok((accept ?? 0) > 0, 'nothing was pending when the callbacks fired');
  });

  it('waits in flush() for the receiver, even after close', async () => {
    await getPlace().runner.run('promises', 'flushAfterClose', paramsOf(getPlace()));
  });
});

rigPlaceSuite('releasing memory', (getPlace) => {
  it('keeps the order of the writes where packets are lost', async () => {
    const { rig, runner } = getPlace();
    rig.setLoss(30);
    try {
      await runner.run('promises', 'order', paramsOf(getPlace()));
    } finally {
      rig.setLoss(0);
    }
  });
});
