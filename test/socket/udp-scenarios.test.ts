// Datagrams over loopback: reports, failures, memory, reception.
import { udpEverywhere } from '../helpers/udp-suites';
import { udpLoopbackSuite } from '../helpers/udp-place';

udpLoopbackSuite('datagrams', udpEverywhere);
