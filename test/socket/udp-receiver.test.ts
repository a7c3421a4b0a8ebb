// The tests' own receiver of datagrams, with node:dgram on both sides: it must tell a wrong byte from a
// loss, a doublet and a datagram cut short, or no test with it says anything.
import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import { OVERWRITTEN } from '../../scripts/pattern';
import { DatagramChecker, fillDatagram } from '../helpers/udp-datagrams';
import { UDP_FAMILIES, udpLoopbackSuite } from '../helpers/udp-place';
import { type Target, UdpReceiver } from '../helpers/udp-receiver';

function datagram(stream: number, sequence: number, bytes: number): Buffer {
  const data = Buffer.alloc(bytes);
  fillDatagram(data, stream, sequence);
  return data;
}

async function sendAll(target: Target, datagrams: readonly Buffer[]): Promise<void> {
  const socket = dgram.createSocket(target.type);
  for (const data of datagrams) {
    await new Promise((resolve) => socket.send(data, target.port, target.address, resolve));
  }
  socket.close();
}

udpLoopbackSuite("the tests' receiver of datagrams", (getPlace) => {
  for (const type of UDP_FAMILIES) {
    it(`distinguishes intact datagrams from corrupt, lost, repeated and short ones (${type})`, async () => {
      const receiver = await UdpReceiver.open(getPlace().params(type).at);
      const target = await receiver.target(type);
      const make = (sequence: number, bytes: number): Buffer =>
        datagram(target.stream, sequence, bytes);
      const flipped = make(4, 900);
      flipped[777] = (flipped[777] as number) ^ 1;
      const right = [make(0, 1000), make(1, 65_507), make(3, 12), make(2, 40), make(2, 40)];
      const wrong = [flipped, make(5, 900).subarray(1), Buffer.alloc(900, OVERWRITTEN)];
      const foreign = datagram(target.stream + 1, 6, 300);
      await sendAll(target, [...right, ...wrong, foreign, make(7, 0), make(8, 5), make(9, 5)]);
      await target.reached(12);
      const { with: seen, examples, bytes, ...report } = await target.report();
      assert.deepEqual(report, {
        datagrams: 12,
        wrong: 4,
        repeated: 1,
        outOfOrder: 2,
        short: { 0: 1, 5: 2 },
        ranges: [[0, 3]],
      });
      assert.equal(examples.length, 3);
      assert.equal(seen.messages, 12);
      assert.ok(bytes > 65_507);
      await receiver.close();
    });

    it(`knows when everything has come or is lost (${type})`, async () => {
      const receiver = await UdpReceiver.open(getPlace().params(type).at);
      const target = await receiver.target(type);
      await sendAll(target, [datagram(target.stream, 0, 100), datagram(target.stream, 2, 100)]);
      await target.drained();
      const { datagrams, ranges } = await target.report();
      assert.deepEqual([datagrams, ranges], [2, [[0, 0], [2, 2]]]); // prettier-ignore
      await receiver.close();
    });
  }

  it('notices a single wrong byte in every place', () => {
    for (let at = 0; at < 64; at++) {
      const data = datagram(77, 5, 64);
      data[at] = OVERWRITTEN;
      const checker = new DatagramChecker(77);
      checker.take(data);
      const { wrong, ranges } = checker.report();
      // The number itself says which datagram it is: another number has other bytes behind it.
      assert.deepEqual([wrong, ranges], [1, []], `byte ${at}`);
    }
  });
});
