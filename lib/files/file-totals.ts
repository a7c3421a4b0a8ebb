// Counters of files for this environment, over upgraded and other sockets, and their diagnostics channel.
import { channels, publish } from '../observe/diagnostics.js';
import { CountsByName } from '../observe/aggregate.js';
import type { FileReason } from '../names.js';

/** Files since this package was loaded. A snapshot. */
export interface FileTotals {
  /** Sent by the kernel, to their end or the end of the range that was wanted. */
  readonly sent: number;
  /** Bytes that sendfile(2) moved. */
  readonly bytes: number;
  /** Files that were left to Node's own stream, or copied, by reason. */
  readonly left: Readonly<Partial<Record<FileReason, number>>>;
}

let sent = 0;
let bytes = 0;
const left = new CountsByName<FileReason>();

export function fileTotals(): FileTotals {
  return Object.freeze({ sent, bytes, left: left.snapshot() });
}

/** Counts and publishes that a file was sent. @param moved bytes by the kernel */
export function sentFile(socket: object, moved: number): void {
  sent++;
  bytes += moved;
  if (channels.file.hasSubscribers) publish(channels.file, { socket, bytes: moved });
}

/** Counts and publishes that a file goes by Node's own stream, or is copied. */
export function leftFile(socket: object | null, reason: FileReason): void {
  left.add(reason);
  if (channels.file.hasSubscribers) publish(channels.file, { socket, bytes: 0, reason });
}
