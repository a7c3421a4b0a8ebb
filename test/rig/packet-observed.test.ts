// Watching packet and raw sockets.
import { plainPacketSuite } from '../helpers/packet-place';

plainPacketSuite('diagnostics of packet and raw sockets', (getPlace) => {
  it('report every frame that a ring sends in place', () =>
    getPlace().runner.run('packet-observed', 'ring'));

  it('report once that the kernel has no zero copy', () =>
    getPlace().runner.run('packet-observed', 'copying'));
});
