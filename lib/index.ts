export { connect, createServer, enableZeroCopy, isZeroCopy, ZeroCopySocket } from './tcp/index.js';
export type {
  ZeroCopyConnectionListener,
  ZeroCopyConnectOptions,
  ZeroCopyMembers,
  ZeroCopySocketOptions,
} from './tcp/index.js';
export type { ZeroCopyOptions } from './send/index.js';
export { createUdpSocket } from './udp/index.js';
export type {
  UdpDatagram,
  UdpRemoteInfo,
  UdpSendOptions,
  UdpSocketOptions,
  ZeroCopyUdpSocket,
} from './udp/index.js';
export { createRawSocket } from './raw/index.js';
export type {
  RawDatagram,
  RawRemoteInfo,
  RawSendOptions,
  RawSocketOptions,
  ZeroCopyRawSocket,
} from './raw/index.js';
export { createPacketSocket, headers } from './packet/index.js';
export type {
  Offload,
  PacketFrame,
  PacketInterface,
  PacketRemoteInfo,
  PacketRingOptions,
  PacketSendOptions,
  PacketSocketOptions,
  VlanTag,
  ZeroCopyPacketSocket,
} from './packet/index.js';
export type {
  BpfInstruction,
  DatagramControl,
  DatagramStats,
  DatagramZeroCopyOptions,
} from './datagram/index.js';
export { BufferPool } from './memory/index.js';
export type { BufferPoolOptions, BufferPoolStats, PoolBuffer } from './memory/index.js';
export { capabilities, diagnose } from './doctor/index.js';
export type {
  Capabilities,
  Capability,
  Diagnosis,
  Finding,
  Remedy,
  Support,
  Verdict,
} from './doctor/index.js';
export { metrics } from './metrics.js';
export type { ProcessMetrics } from './metrics.js';
export type {
  AbortReason,
  Histogram,
  HistogramBucket,
  SendReport,
  ZeroCopyControl,
  ZeroCopyStats,
} from './observe/index.js';
export type { EngineName as Engine, FileReason, Reason, State } from './names.js';
export { ZeroCopyError } from './errors.js';
export type { ZeroCopyErrorCode } from './errors.js';
export { sendFile } from './files/index.js';
export type { FileTotals, SendFileOptions } from './files/index.js';
