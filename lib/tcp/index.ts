// TCP: the upgrade of net.Socket in place. Overrides of Node's methods, and the state of one upgraded socket.
// May import files, send, memory, native, observe, node and policy; not udp, raw, packet or datagram.
export { connect, createServer, enableZeroCopy, ZeroCopySocket } from './enable.js';
export type {
  ZeroCopyConnectionListener,
  ZeroCopyConnectOptions,
  ZeroCopySocketOptions,
} from './enable.js';
export { isZeroCopy } from './overrides.js';
export type { ZeroCopyMembers } from './overrides.js';
