// Reports, failures, memory and reception of datagrams, in both places; and what only a real MTU shows.
import { udpEverywhere, udpRigSuite, udpScenarios } from '../helpers/udp-place';

udpEverywhere('datagrams', (getPlace) => {
  describe('reports', () => {
    udpScenarios(getPlace, 'udp-reports', {
      forced: 'accounts for every byte of zero-copy sends',
      certain: 'says of each send whether the kernel copied it',
      automatic: 'goes on where nothing is copied, and pauses where everything is',
      belowThreshold: 'copies what is below the threshold',
      empty: 'counts an empty datagram as a zero-copy send',
      manyPages: 'copies a datagram of more pages than a packet can reference',
    });
  });
  describe('failures amid zero-copy sends', () => {
    udpScenarios(getPlace, 'udp-failures', {
      tooManySegments: 'refuses more than 128 segments beforehand',
      tooLong: 'survives datagrams that are too long',
      forbidden: 'survives a broadcast without permission',
      manyWithOneBad: 'sends the rest of a batch, and reports how much',
      refused: 'reports a closed port to a connected socket',
      noise: 'is not affected by refusals of unconnected sends',
      thrown: 'keeps working after callbacks that throw',
      untold: 'counts errors that no callback reports',
    });
  });
  describe('memory', () => {
    udpScenarios(getPlace, 'udp-memory', {
      detached: 'refuses or delivers memory that was detached',
      detachedZeroCopy: 'refuses or delivers it with zero copy, too',
      aborted: 'obeys abort signals',
      abortedAtOnce: 'obeys or overtakes a signal in the turn of the send',
      contexts: 'calls back in the async context of the send',
      corked: 'makes corked pieces one datagram and releases each after it',
      closedCorked: 'releases memory at close() of a corked socket',
      burst: 'keeps the order of a burst from one turn',
      sources: 'sends from the address and with the DSCP that was asked for',
    });
  });
  describe('one turn', () => {
    udpScenarios(getPlace, 'udp-turns', {
      flushedBetween: 'sends each datagram once when flush() is called between two sends',
      lostBeforeTurn: 'fails payloads of sendMany() that were detached, and sends the others',
      lostBeforeBind: 'fails payloads that were detached before the socket was bound',
      lostAlone: 'fails a send, alone or corked, whose payload was detached before its turn',
      forgotten: 'keeps no memory of an idle socket whose sends are released',
    });
  });
  describe('reception', () => {
    udpScenarios(getPlace, 'udp-receive', {
      coalesced: 'delivers coalesced datagrams one by one',
      whole: 'delivers coalesced datagrams whole, with their segment size',
      batches: 'delivers 20,000 small datagrams in order',
      drops: 'counts what a stalled receiver loses',
      iterated: 'delivers to an iterator',
      shared: 'shares a port between two sockets',
    });
  });
});

udpRigSuite('datagrams beyond a real MTU', (getPlace) => {
  udpScenarios(getPlace, 'udp-reports', {
    fragmented: 'delivers what IP has to fragment, and reports it as copied',
  });
  udpScenarios(getPlace, 'udp-failures', {
    segmentOverMtu: 'delivers segments that do not fit the MTU one by one',
  });
});
