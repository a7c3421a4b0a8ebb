// The diagnostics channels, which cost one property read while nobody listens. Each message is a plain
// object, described beside its channel.
import { channel, type Channel } from 'node:diagnostics_channel';
import { nextTick } from '../node/clock.js';
import type { Reason } from '../names.js';
import { aborts, fallbacks, type AbortReason } from './aggregate.js';

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
  /** `{ socket, bytes }` the kernel sent a file; `{ socket, bytes: 0, reason }` it did not. */
  file: channel('msg-zerocopy:file'),
  /** `{ socket, stack, bytes, kind }` detectMutation found a buffer 'changed' or 'detached'. */
  mutation: channel('msg-zerocopy:mutation'),
} as const;

/**
 * Publishes in a later tick: subscribers are user code, which must not run inside a submit or between
 * the records of one wake-up.
 */
export function publish(to: Channel, message: object): void {
  if (to.hasSubscribers) nextTick(() => to.publish(message));
}

// Without a subscriber these create no message.

/** Counts and publishes that zero copy is paused or refused. */
export function publishFallback(socket: object, reason: Reason): void {
  fallbacks.add(reason);
  if (channels.fallback.hasSubscribers) publish(channels.fallback, { socket, reason });
}

export function publishResume(socket: object): void {
  if (channels.resume.hasSubscribers) publish(channels.resume, { socket });
}

/** Counts and publishes that a connection is reset. */
export function publishAbort(socket: object, reason: AbortReason, pendingBytes: number): void {
  aborts.add(reason);
  if (channels.abort.hasSubscribers) publish(channels.abort, { socket, reason, pendingBytes });
}

const warned = new Set<string>();

/** A process warning, once for each code, or for each `key`. */
export function warnOnce(code: string, message: string, key = code): void {
  if (warned.has(key)) return;
  warned.add(key);
  process.emitWarning(message, { type: 'MsgZeroCopyWarning', code });
}
