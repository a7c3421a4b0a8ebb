// A packet socket on the loopback device. IPv4 takes a frame that a packet socket put there for a
// martian (a packet from 127.0.0.1 that the routing code has not seen), so that no UDP socket gets
// it, while IPv6 delivers it.
import dgram from 'node:dgram';
import { once } from 'node:events';
import { type BpfInstruction, createPacketSocket } from '../../../lib/index';
import { type OpenInlet, RECEIVE_BUFFER_BYTES } from './inlet';

const DEVICE = 'lo';
const IPV4_ETHERTYPE = 0x0800;
const ETHERNET_BYTES = 14;
const IPV4_BYTES = 20;
const UDP_BYTES = 8;
const HEADER_BYTES = ETHERNET_BYTES + IPV4_BYTES + UDP_BYTES;
const UDP_PROTOCOL = 17;

// Classic BPF: load a byte or half a word, jump if equal, return how much to keep.
const LOAD_BYTE = 0x30;
const LOAD_HALF = 0x28;
const JUMP_EQUAL = 0x15;
const RETURN = 0x06;
const PROTOCOL_AT = ETHERNET_BYTES + 9;
const DESTINATION_PORT_AT = ETHERNET_BYTES + IPV4_BYTES + 2;
const KEEP_ALL = 0xffff_ffff;

/** UDP to this port, with an IPv4 header that has no options, as the sender writes it. */
function udpTo(port: number): BpfInstruction[] {
  return [
    { code: LOAD_BYTE, jt: 0, jf: 0, k: PROTOCOL_AT },
    { code: JUMP_EQUAL, jt: 0, jf: 3, k: UDP_PROTOCOL },
    { code: LOAD_HALF, jt: 0, jf: 0, k: DESTINATION_PORT_AT },
    { code: JUMP_EQUAL, jt: 0, jf: 1, k: port },
    { code: RETURN, jt: 0, jf: 0, k: KEEP_ALL },
    { code: RETURN, jt: 0, jf: 0, k: 0 },
  ];
}

export const openLoopbackPacketInlet: OpenInlet = async ({ address, port }, { take }) => {
  // Keeps the port from others, and answers for it.
  const holder = dgram.createSocket('udp4');
  holder.bind(port, address);
  await once(holder, 'listening');
  const bound = holder.address();
  const socket = createPacketSocket({
    interface: DEVICE,
    protocol: IPV4_ETHERTYPE,
    ignoreOutgoing: true,
    recvBufferSize: RECEIVE_BUFFER_BYTES,
    filter: { program: udpTo(bound.port) },
  });
  socket.on('message', (frame: Buffer) => take(frame.subarray(HEADER_BYTES)));
  return {
    address: bound.address,
    port: bound.port,
    receiveBuffer: socket.getRecvBufferSize(),
    drops: () => socket.zeroCopy.stats.receiveDrops,
    close: () => {
      socket.close();
      holder.close();
    },
  };
};
