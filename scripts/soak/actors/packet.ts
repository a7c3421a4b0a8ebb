// One packet socket without a ring: frames that are copied, alone and in batches.
import { once } from 'node:events';
import { createPacketSocket } from '../../../lib/index';
import { DESCRIPTION_BYTES, fill } from '../../selftest/message';
import { DatagramTracker } from '../datagram-tracker';
import { type Episode, turn } from '../world';
import { Frames, MOST_PAYLOAD_BYTES } from './frames';

const WINDOW = 32;

export const packetEpisode: Episode = async (world, chance, token) => {
  const frames = await Frames.towards(world, chance.pick(['raw', 'dgram']));
  const { options } = frames;
  const qdiscBypass = chance.odds(0.3);
  const socket = createPacketSocket({
    interface: frames.device,
    type: frames.type,
    qdiscBypass,
  });
  // Without a queue the device refuses what does not fit (net/packet/af_packet.c:packet_direct_xmit).
  const tracker = new DatagramTracker(world, 'packet', token, qdiscBypass ? ['ENOBUFS'] : []);
  socket.on('error', (error) => tracker.judge(error));
  const frame = (): Uint8Array[] => {
    const piece = tracker.take(chance.size(DESCRIPTION_BYTES, MOST_PAYLOAD_BYTES), chance);
    const { length } = piece.data;
    fill(piece.data, { token, sequence: tracker.nextSequence(), length }, 0);
    return [frames.before(piece.data), piece.data];
  };
  const rounds = chance.between(5, 100);
  for (let i = 0; i < rounds && !world.stopping; i++) {
    if (chance.odds(0.4)) {
      const all = Array.from({ length: chance.between(1, 16) }, () => ({ data: frame() }));
      tracker.track('sendMany', () => socket.sendMany(all, options));
    } else {
      const message = frame();
      tracker.track('send', () => socket.send(message, options));
    }
    if (tracker.underWay >= WINDOW) await tracker.oneDone();
    else if (chance.odds(0.3)) await turn();
  }
  if (chance.odds(0.5)) await tracker.allDone();
  const closed = once(socket, 'close');
  socket.close();
  await closed;
  await tracker.allDone();
};
