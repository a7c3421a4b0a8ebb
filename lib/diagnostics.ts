// The diagnostics channels, which cost a property read while nobody listens. Each message is a plain
// object; what it holds is written beside its publisher.
import { channel, type Channel } from 'node:diagnostics_channel';

export const channels = {
  /** `{ socket, bytes, id }` a zero-copy send was accepted. */
  send: channel('msg-zerocopy:send'),
  /** `{ socket, bytes }` the kernel released memory. */
  release: channel('msg-zerocopy:release'),
  /** `{ socket, reason }` zero copy paused or was refused; also `{ server, reason }`. */
  fallback: channel('msg-zerocopy:fallback'),
  /** `{ socket }` zero copy works again after a pause. */
  resume: channel('msg-zerocopy:resume'),
  /** `{ submissionEntries, completionEntries }` this thread made its io_uring. */
  ring: channel('msg-zerocopy:io_uring'),
  /** `{ socket, reason, pendingBytes }` a connection was reset to get its memory back. */
  abort: channel('msg-zerocopy:abort'),
} as const;

/**
 * Publishes in a later tick: subscribers are user code, which must not run inside a submit or between
 * the records of one wake-up.
 */
export function publish(to: Channel, message: object): void {
  if (to.hasSubscribers) process.nextTick(() => to.publish(message));
}

const warned = new Set<string>();

/** A process warning, once for each code. */
export function warnOnce(code: string, message: string): void {
  if (warned.has(code)) return;
  warned.add(code);
  process.emitWarning(message, { type: 'MsgZeroCopyWarning', code });
}
