// Counters of files for this environment, over upgraded and other sockets, and their diagnostics channel.
import { channels, publish } from '../observe/diagnostics.js';
import { CountsByName } from '../observe/aggregate.js';
import type { FileReason } from '../names.js';

/** Files since this package was loaded. A snapshot. */
export interface FileTotals {
  /** Files that the kernel sent to their end, or to the end of the wanted range. */
  readonly sent: number;
  /** Bytes that sendfile(2) moved. */
  readonly bytes: number;
  /** Files that Node's own stream sent, or that were copied, by reason. */
  readonly left: Readonly<Partial<Record<FileReason, number>>>;
}

let sent = 0;
let bytes = 0;
const left = new CountsByName<FileReason>();

export function fileTotals(): FileTotals {
  return Object.freeze({ sent, bytes, left: left.snapshot() });
}

/** Counts and publishes a file that was sent. @param moved bytes that the kernel moved */
export function sentFile(socket: object, moved: number): void {
  sent++;
  bytes += moved;
  if (channels.file.hasSubscribers) publish(channels.file, { socket, bytes: moved });
}

/** Counts and publishes a file that Node's own stream sends, or that is copied. */
export function leftFile(socket: object | null, reason: FileReason): void {
  left.add(reason);
  if (channels.file.hasSubscribers) publish(channels.file, { socket, bytes: 0, reason });
}
