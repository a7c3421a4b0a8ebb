// Raw IP sockets.
// May import datagram, send, memory, native, observe, node and policy; not tcp, udp or packet.
export { createRawSocket } from './create.js';
export type * from './types.js';
