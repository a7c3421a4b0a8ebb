export { BufferPool } from './memory/buffer-pool.js';
export type { BufferPoolOptions, BufferPoolStats } from './memory/buffer-pool.js';
export { capabilities } from './doctor/capabilities.js';
export type { Capabilities, Capability, Support } from './doctor/capabilities.js';
export type { ZeroCopyControl, ZeroCopyStats } from './observe/control.js';
export { diagnose } from './doctor/diagnose.js';
export type { Diagnosis, Finding, Remedy, Verdict } from './doctor/diagnose.js';
export type { EngineName as Engine, Reason, State } from './names.js';
export { ZeroCopyError } from './errors.js';
export type { ZeroCopyErrorCode } from './errors.js';
export type { ZeroCopyOptions } from './send/options.js';
export type { SendReport } from './observe/report.js';
export { connect, createServer, enableZeroCopy, ZeroCopySocket } from './tcp/enable.js';
export type {
  ZeroCopyConnectionListener,
  ZeroCopyConnectOptions,
  ZeroCopySocketOptions,
} from './tcp/enable.js';
export { isZeroCopy } from './tcp/overrides.js';
export type { ZeroCopyMembers } from './tcp/overrides.js';
export type {
  UdpDatagram,
  UdpRemoteInfo,
  UdpSendOptions,
  UdpSocketOptions,
  ZeroCopyUdpSocket,
} from './udp/types.js';
export { createUdpSocket } from './udp/create.js';
export type { DatagramZeroCopyOptions } from './datagram/options.js';
export type { DatagramControl } from './datagram/socket.js';
export type { DatagramStats } from './datagram/zero-copy.js';
export type {
  RawDatagram,
  RawRemoteInfo,
  RawSendOptions,
  RawSocketOptions,
  ZeroCopyRawSocket,
} from './raw/types.js';
export { createRawSocket } from './raw/create.js';
export type { BpfInstruction } from './datagram/socket-filter.js';
export { headers } from './packet/headers.js';
export type { Offload } from './packet/headers.js';
export type {
  PacketFrame,
  PacketInterface,
  PacketRemoteInfo,
  VlanTag,
  PacketRingOptions,
  PacketSendOptions,
  PacketSocketOptions,
  ZeroCopyPacketSocket,
} from './packet/types.js';
export { createPacketSocket } from './packet/create.js';
export { metrics } from './observe/metrics.js';
export type { ProcessMetrics } from './observe/metrics.js';
export type { Histogram, HistogramBucket } from './observe/histogram.js';
export type { AbortReason } from './observe/aggregate.js';
