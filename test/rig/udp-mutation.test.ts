// detectMutation on datagrams where the kernel sends from the program's memory.
import { udpRigSuite } from '../helpers/udp-place';
import { udpMutationTests } from '../helpers/udp-mutation-suite';

udpRigSuite('datagrams changed too early', udpMutationTests);
