// Datagrams over the rig: the same as over loopback, where the kernel does not copy.
import { udpRigSuite, udpScenarios } from '../helpers/udp-place';
import { udpEverywhere } from '../helpers/udp-suites';

udpRigSuite('datagrams', (getPlace) => {
  udpEverywhere(getPlace);

  describe('a real MTU', () => {
    udpScenarios(getPlace, 'udp-reports', {
      fragmented: 'delivers what IP has to cut up, and reports it copied',
    });
    udpScenarios(getPlace, 'udp-failures', {
      segmentOverMtu: 'delivers segments that do not fit the MTU one by one',
    });
  });
});
