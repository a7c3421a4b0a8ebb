// detectMutation on datagrams over loopback.
import { udpLoopbackSuite } from '../helpers/udp-place';
import { udpMutationTests } from '../helpers/udp-mutation-suite';

udpLoopbackSuite('datagrams changed too early', udpMutationTests);
