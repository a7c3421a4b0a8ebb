// One raw socket: packets of a protocol that nothing else speaks, with the kernel's header or ours.
import { once } from 'node:events';
import { createRawSocket, headers, type ZeroCopyRawSocket } from '../../../lib/index';
import { RAW_PROTOCOL } from '../../selftest/inlets/inlet';
import { DESCRIPTION_BYTES, fill } from '../../selftest/message';
import { DatagramTracker } from '../datagram-tracker';
import { type Episode, turn } from '../world';

/** Beside the IP header, within an MTU of 1500. */
const MOST_BYTES = 1400;
const MOST_FRAGMENTED_BYTES = 20_000;
const WINDOW = 32;
/** A bound socket gets copies of what goes to its own machine; they stay unread. */
const UNREAD_BUFFER_BYTES = 2048;

export const rawEpisode: Episode = async (world, chance, token) => {
  const { target, address: own } = world.order;
  const family = chance.pick([4, 6] as const);
  const ownHeader = family === 4 && chance.odds(0.4);
  const socket: ZeroCopyRawSocket = createRawSocket({
    family,
    protocol: ownHeader ? 'raw' : RAW_PROTOCOL,
    ...(ownHeader ? { headerIncluded: true } : {}),
    recvBufferSize: UNREAD_BUFFER_BYTES,
    zeroCopy: { engine: chance.pick(['auto', 'msg_zerocopy', 'copy']), threshold: 0 },
  });
  const tracker = new DatagramTracker(world, 'raw', token);
  socket.on('error', (error) => tracker.judge(error));
  const address = target.address[family];
  const datagram = (): Uint8Array[] => {
    const most = ownHeader ? MOST_BYTES : MOST_FRAGMENTED_BYTES;
    const piece = tracker.take(chance.size(DESCRIPTION_BYTES, most), chance);
    const { length } = piece.data;
    fill(piece.data, { token, sequence: tracker.nextSequence(), length }, 0);
    if (!ownHeader) return [piece.data];
    const fields = { source: own[4], destination: address, protocol: RAW_PROTOCOL };
    return [headers.ipv4({ ...fields, payloadLength: length }), piece.data];
  };
  const rounds = chance.between(5, 100);
  for (let i = 0; i < rounds && !world.stopping; i++) {
    if (chance.odds(0.4)) {
      const datagrams = Array.from({ length: chance.between(1, 16) }, datagram);
      const all = datagrams.map((data) => ({ data }));
      tracker.track('sendMany', () => socket.sendMany(all, { address }));
    } else if (chance.odds(0.5)) {
      const message = datagram();
      tracker.track('send', () => socket.send(message, { address }));
    } else {
      const message = datagram();
      tracker.track('send with a callback', () => withCallback(socket, message, address));
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

function withCallback(
  socket: ZeroCopyRawSocket,
  message: Uint8Array[],
  address: string,
): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.send(message, address, (error) => (error ? reject(error) : resolve()));
  });
}
