export { capabilities } from './capabilities.js';
export type { Capabilities, Capability, Support } from './capabilities.js';
export type { ZeroCopyControl, ZeroCopyStats } from './control.js';
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
