// Frames received by packet sockets.
import { packetSuites, plainPacketSuite } from '../helpers/packet-place';

packetSuites('receiving through a packet socket', (getPlace) => {
  for (const family of [4, 6] as const) {
    for (const type of ['raw', 'dgram'] as const) {
      const what = type === 'raw' ? 'with the link header' : 'without the link header';
      it(`delivers IPv${family} datagrams in order, ${what}`, () =>
        getPlace().runner.run('packet-receive', 'datagrams', { family, type }));
    }
  }

  it('delivers frames with their source and packet type', () =>
    getPlace().runner.run('packet-receive', 'frames'));

  it('gives every frame memory of its own', () => getPlace().runner.run('packet-receive', 'kept'));
});

plainPacketSuite('a packet socket', (getPlace) => {
  for (const [sentence, name] of [
    ['receives the protocol that it asked for', 'protocolFilter'],
    ['receives what its program accepts', 'programFilter'],
    ['leaves out what this machine sends, where asked', 'outgoing'],
    ['says for whom a frame was', 'packetTypes'],
    ['makes the device promiscuous, and ends that', 'promiscuous'],
    ['counts what the kernel dropped', 'drops'],
    ['is iterated until it closes', 'iterated'],
    ['receives frames with a virtio header', 'receivedOffload'],
  ] as const) {
    it(sentence, () => getPlace().runner.run('packet-receive', name));
  }
});

plainPacketSuite('the VLAN tag of a frame', (getPlace) => {
  for (const [what, params] of [
    ['is put back into a raw frame, and reported', { type: 'raw' }],
    ['is put back behind a virtio header, and reported', { type: 'raw', virtioHeader: true }],
    ['is reported beside a frame without its link header', { type: 'dgram' }],
  ] as const) {
    it(what, () => getPlace().runner.run('packet-vlan', 'received', params));
  }

  it("shifts the offload's offsets", () => getPlace().runner.run('packet-vlan', 'offloaded'));
});
