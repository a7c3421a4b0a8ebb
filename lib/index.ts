export { BufferPool } from './buffer-pool.js';
export type { BufferPoolOptions, BufferPoolStats } from './buffer-pool.js';
export { capabilities } from './capabilities.js';
export type { Capabilities, Capability, Support } from './capabilities.js';
export type { ZeroCopyControl, ZeroCopyStats } from './control.js';
export { diagnose } from './diagnose.js';
export type { Diagnosis, Finding, Remedy, Verdict } from './diagnose.js';
export type { EngineName as Engine, Reason, State } from './engine.js';
export { ZeroCopyError } from './errors.js';
export type { ZeroCopyErrorCode } from './errors.js';
export type { ZeroCopyOptions } from './options.js';
export type { SendReport } from './report.js';
export { connect, createServer, enableZeroCopy, ZeroCopySocket } from './tcp.js';
export type {
  ZeroCopyConnectionListener,
  ZeroCopyConnectOptions,
  ZeroCopySocketOptions,
} from './tcp.js';
export { isZeroCopy } from './tcp-socket.js';
export type { ZeroCopyMembers } from './tcp-socket.js';
export type {
  UdpDatagram,
  UdpRemoteInfo,
  UdpSendOptions,
  UdpSocketOptions,
  ZeroCopyUdpSocket,
} from './udp-types.js';
export { createUdpSocket } from './udp.js';
export type { DatagramZeroCopyOptions } from './datagram-options.js';
export type { DatagramControl } from './datagram-socket.js';
export type { DatagramStats } from './datagram-zero-copy.js';
export type {
  RawDatagram,
  RawRemoteInfo,
  RawSendOptions,
  RawSocketOptions,
  ZeroCopyRawSocket,
} from './raw-types.js';
export { createRawSocket } from './raw.js';
export type { BpfInstruction } from './socket-filter.js';
export { headers } from './headers.js';
export type { Offload } from './headers.js';
export type {
  PacketFrame,
  PacketInterface,
  PacketRemoteInfo,
  VlanTag,
  PacketRingOptions,
  PacketSendOptions,
  PacketSocketOptions,
  ZeroCopyPacketSocket,
} from './packet-types.js';
export { createPacketSocket } from './packet.js';
export { metrics } from './metrics.js';
export type { ProcessMetrics } from './metrics.js';
export type { Histogram, HistogramBucket } from './histogram.js';
export type { AbortReason } from './totals.js';
