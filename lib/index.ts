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
  UdpBindSyncOptions,
  UdpDatagram,
  UdpMessage,
  UdpMessageListener,
  UdpRemoteInfo,
  UdpSendOptions,
  UdpSocketOptions,
  ZeroCopyUdpSocket,
} from './udp/index.js';
export { createRawSocket } from './raw/index.js';
export type {
  RawCommitOptions,
  RawDatagram,
  RawMessageListener,
  RawRemoteInfo,
  RawSendOptions,
  RawSocketOptions,
  ZeroCopyRawSocket,
} from './raw/index.js';
export { createPacketSocket, headers } from './packet/index.js';
export type {
  Offload,
  EthernetHeader,
  IcmpEchoHeader,
  Ipv4Header,
  Ipv6Header,
  OffloadOptions,
  UdpHeader,
  PacketFrame,
  PacketHeaders,
  PacketInterface,
  PacketMessageListener,
  PacketRemoteInfo,
  PacketRingOptions,
  PacketSendOptions,
  PacketSocketOptions,
  VlanTag,
  ZeroCopyPacketSocket,
} from './packet/index.js';
export type {
  Arrival,
  BpfInstruction,
  DatagramControl,
  DatagramMessage,
  DatagramSendCallback,
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
  Counters,
  DatagramCounters,
  Histogram,
  HistogramBucket,
  SendReport,
  Thresholds,
  ZeroCopyControl,
  ZeroCopyState,
  ZeroCopyStats,
} from './observe/index.js';
export type { EngineName as Engine, FileReason, Reason, State } from './names.js';
export { ZeroCopyError } from './errors.js';
export type { ZeroCopyErrorCode } from './errors.js';
export { sendFile } from './files/index.js';
export type { FileName, FileTotals, SendFileOptions } from './files/index.js';
