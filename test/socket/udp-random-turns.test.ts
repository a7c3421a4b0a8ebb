// Everything in one turn over loopback, in an order that a seed decides.
import { randomTurns } from '../helpers/udp-random-turns';
import { udpLoopbackSuite } from '../helpers/udp-place';

udpLoopbackSuite('random turns of a UDP socket', randomTurns);
