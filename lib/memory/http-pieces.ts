// Pool pieces that http queues: writes to a response that is corked or waits for an earlier one, and to a
// request without a connection, reach no socket before their turn. They stay pinned until http calls back or
// drops them. `write` and `end` of http's messages are wrapped for that with the first pool, once for the
// process; nothing is set on a message.
import http from 'node:http';
import type net from 'node:net';
import { isKeptByHttp, markHttpNothing } from '../node/internals.js';
import { pinUntil } from './pool-pins.js';

type Callback = (this: unknown, ...args: unknown[]) => void;
type Send = (this: object, ...args: unknown[]) => unknown;

// A message that is cut off before its turn runs no callback: its pieces are unpinned with its connection, or when
// the message is collected.
const dropped = new FinalizationRegistry<() => void>((unpin) => unpin());
const keptFor = new WeakMap<net.Socket, Set<() => void>>();
let watches = false;
const nodeWrite: unknown = http.OutgoingMessage.prototype.write;
let watchedWrite: unknown;

/** Whether a response's or request's `write` is Node's own, watched or not. */
export function isNodesWrite(write: unknown): boolean {
  return write === nodeWrite || (watchedWrite !== undefined && write === watchedWrite);
}

/** Watches writes to http messages from now on. */
export function watchHttpPieces(): void {
  if (watches) return;
  watches = true;
  watch(http.OutgoingMessage.prototype, 'write');
  // As tcp/http-end.ts does: other libraries may wrap these methods as well.
  watch(http.ServerResponse.prototype, 'end');
  watch(http.ClientRequest.prototype, 'end');
}

function watch(prototype: object, name: 'write' | 'end'): void {
  const methods = prototype as Record<typeof name, Send>;
  const original = methods[name];
  const wrapped: Send = function (...args) {
    const unpin = isKeptByHttp(this) ? pinUntil(args[0]) : undefined;
    if (unpin === undefined) return original.apply(this, args);
    const sent = unpinnedAtClose(this, unpin);
    try {
      return original.apply(this, withCallback(args, sent));
    } catch (thrown) {
      sent();
      throw thrown;
    }
  };
  Object.defineProperty(wrapped, 'name', { value: name });
  methods[name] = wrapped;
  if (original === nodeWrite) watchedWrite = wrapped;
}

/**
 * `unpin`, which is also called when the connection closes that a response waits for: http never sends it then.
 * A request has none, or chooses another.
 */
function unpinnedAtClose(message: object, unpin: () => void): () => void {
  const socket = (message as Partial<http.ServerResponse>).req?.socket;
  if (!(message instanceof http.ServerResponse) || socket === undefined) return unpin;
  const kept = keptFor.get(socket) ?? keepFor(socket);
  kept.add(unpin);
  return () => {
    kept.delete(unpin);
    unpin();
  };
}

/** One listener, however many writes wait. */
function keepFor(socket: net.Socket): Set<() => void> {
  const kept = new Set<() => void>();
  keptFor.set(socket, kept);
  socket.once('close', () => {
    for (const unpin of kept) unpin();
    kept.clear();
  });
  return kept;
}

/** The arguments, with a callback that unpins and then does what the given one does. */
function withCallback([chunk, ...rest]: readonly unknown[], unpin: () => void): unknown[] {
  const given = rest.find((arg) => typeof arg === 'function') as Callback | undefined;
  const encoding = typeof rest[0] === 'function' ? undefined : rest[0];
  const callback: Callback = function (...args) {
    dropped.unregister(unpin);
    unpin();
    given?.apply(this, args);
  };
  if (given === undefined) markHttpNothing(callback);
  dropped.register(callback, unpin, unpin);
  return [chunk, encoding, callback];
}
