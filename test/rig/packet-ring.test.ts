// Frames that are written and sent in a packet socket's ring, which the kernel shares.
import { packetSuites, plainPacketSuite } from '../helpers/packet-place';

const VARIANTS = [
  ['IPv4', { family: 4 }],
  ['IPv6', { family: 6 }],
  ['the link header by the kernel', { family: 4, type: 'dgram' }],
  ['past the queue of the device', { family: 4, qdiscBypass: true }],
] as const;

packetSuites('the ring of a packet socket', (getPlace) => {
  for (const [title, variant] of VARIANTS) {
    it(`sends frames one by one, several times round the ring: ${title}`, () =>
      getPlace().runner.run('packet-ring', 'single', variant));

    it(`sends frames in batches, across the ring's end: ${title}`, () =>
      getPlace().runner.run('packet-ring', 'batches', variant));
  }

  it('sends what is committed before earlier commits have settled', () =>
    getPlace().runner.run('packet-ring', 'together', { family: 4 }));

  it('reuses no frame before the kernel has released it', () =>
    getPlace().runner.run('packet-ring', 'slowDevice', { frames: 4 }));

  it('keeps sending when the send buffer holds less than the ring', () =>
    getPlace().runner.run('packet-ring', 'slowDevice', { frames: 16, sendBuffer: 4608 }));

  for (const device of ['fast', 'slow'] as const) {
    it(`sends two frames built in the same buffer as they were, on a ${device} device`, () =>
      getPlace().runner.run('packet-ring', 'overwrite', { device }));
  }

  it('keeps the order of reserve(), whichever is committed first', () =>
    getPlace().runner.run('packet-ring', 'outOfOrder'));

  it('sends more frames by send() than it has slots', () =>
    getPlace().runner.run('packet-ring', 'sendBeyondRing'));

  for (const then of ['commit', 'discard'] as const) {
    it(`sends what waits behind a reserved frame after its ${then}`, () =>
      getPlace().runner.run('packet-ring', 'sendBehindReserved', { then }));
  }
});

plainPacketSuite("the frames of a packet socket's ring", (getPlace) => {
  it('stay with a device that does not copy until it releases them', () =>
    getPlace().runner.run('packet-ring', 'slowSink'));

  it('run out with ERR_ZC_RING_FULL, and ready() waits for a free one', () =>
    getPlace().runner.run('packet-ring', 'full'));

  it('cannot be reserved after close(), and ready() rejects', () =>
    getPlace().runner.run('packet-ring', 'readyAtClose'));

  it('are not reserved in front of a send() that waits for one', () =>
    getPlace().runner.run('packet-ring', 'reserveBehindSend'));

  it('are 256 and hold an MTU by default', () => getPlace().runner.run('packet-ring', 'defaults'));

  it('are sent with their content at commit()', () =>
    getPlace().runner.run('packet-ring', 'writtenLate'));
});

packetSuites('frames given back unsent', (getPlace) => {
  for (const [where, discarded] of [
    ['first', [0]],
    ['in the middle', [2]],
    ['last', [4]],
    ['first, in the middle and last', [0, 2, 4]],
    ['all but the middle one', [0, 1, 3, 4]],
    ['all', [0, 1, 2, 3, 4]],
  ] as const) {
    for (const first of ['discard', 'commit'] as const) {
      it(`${where}, ${first} first: nothing of them is sent, and the ring goes on`, () =>
        getPlace().runner.run('packet-discard', 'places', { discarded, first }));
    }
  }

  for (const seed of [1, 2, 3]) {
    it(`in any order with commits: nothing stalls (seed ${seed})`, () =>
      getPlace().runner.run('packet-discard', 'random', { seed, device: 'fast' }));
  }

  it('in any order with commits, on a slow device: nothing stalls', () =>
    getPlace().runner.run('packet-discard', 'random', { seed: 4, device: 'slow' }));
});

plainPacketSuite('reserved frames', (getPlace) => {
  it('let those behind them go when they are discarded', () =>
    getPlace().runner.run('packet-discard', 'releasesThoseBehind'));

  it('can be discarded by whole rings, again and again', () =>
    getPlace().runner.run('packet-discard', 'nothingElse'));

  it('are distinguished from foreign, sent and discarded frames', () =>
    getPlace().runner.run('packet-discard', 'strangers'));

  it('cannot be transferred to another thread', () =>
    getPlace().runner.run('packet-discard', 'transferred'));

  it('are no longer reserved once they are being sent', () =>
    getPlace().runner.run('packet-discard', 'twiceInFlight'));
});

plainPacketSuite('a send that waits behind reserved frames', (getPlace) => {
  for (const change of ['detached', 'grown', 'shared and grown'] as const) {
    for (const by of ['send', 'send in pieces', 'sendMany'] as const) {
      it(`fails alone when its memory is ${change} meanwhile, by ${by}`, () =>
        getPlace().runner.run('packet-waiting', 'changed', { change, by }));
    }
  }

  it('proceeds when all of them are discarded', () =>
    getPlace().runner.run('packet-waiting', 'setGoing'));

  for (const then of ['commit', 'discard'] as const) {
    it(`is awaited by flush() until their ${then}, as are committed frames`, () =>
      getPlace().runner.run('packet-waiting', 'flushed', { then }));
  }
});
