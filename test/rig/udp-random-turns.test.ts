// Everything in one turn over the rig, where the kernel sends from the program's own memory.
import { randomTurns } from '../helpers/udp-random-turns';
import { udpRigSuite } from '../helpers/udp-place';

udpRigSuite('random turns of a UDP socket', randomTurns);
