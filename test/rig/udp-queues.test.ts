// Datagrams in a queue that stands still. A scenario stops the queue of the
// rig's sender and lets it go.
import { udpRigSuite, udpScenarios } from '../helpers/udp-place';

udpRigSuite('datagrams in a stalled queue', (getPlace) => {
  beforeEach(() => getPlace().run('udp-queues', 'flowing', getPlace().params('udp4')));

  udpScenarios(getPlace, 'udp-queues', {
    pinned: 'are counted as pending and not released',
    enobufs: 'leave no room for notifications: the next ones are copied',
    fullSendBuffer: 'fill the send buffer: the next ones wait, in order',
    queueLimit: 'fill the queue of the socket: the next ones are refused, or wait',
    shortQueue: 'are lost where it is short, and released',
    closed: 'are released after close(), when they are released',
    closedWaiting: 'are released at close() when they were not sent yet',
    abortedWaiting: 'are taken back by a signal while they wait',
    corkedWaiting: 'are corked together in their turn',
    twoSockets: 'belong to their own socket',
  });
});
