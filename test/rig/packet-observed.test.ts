// Watching packet and raw sockets.
import { plainPacketSuite } from '../helpers/packet-place';

plainPacketSuite('what is told of packet and raw sockets', (getPlace) => {
  it('by a ring: every frame that is sent in place', () =>
    getPlace().runner.run('packet-observed', 'ring'));

  it('where the kernel has no zero copy: that, once', () =>
    getPlace().runner.run('packet-observed', 'copying'));
});
