// Ends of http messages. The callback of `end(chunk, callback)` reports the release of `chunk`, but it is not
// passed to socket.write(): it fires with 'finish', when the kernel accepted the bytes. So `end` of the two
// classes of messages is wrapped, once for the process, and lets such a callback wait for the release.
// 'finish' keeps Node's time. Nothing is set on a message or a server: their own methods, and wrappers by others,
// stay as they are.
import http from 'node:http';
import type net from 'node:net';
import { httpMessageOf, isHttpFinish, isHttpNothing } from '../node/internals.js';

type Callback = (error?: Error | null) => void;

/** What the end of a message needs of an upgraded socket. */
export interface EndHost {
  readonly socket: net.Socket;
  /** The message whose end() runs at present. */
  ending: object | undefined;
  readonly options: { readonly holdCallbacks: boolean };
  /** Nothing is pinned. */
  readonly quiet: boolean;
  hold(callback: Callback): Callback;
}

/** The upgrade of a socket; undefined of any other stream. */
type FindHost = (socket: object) => EndHost | undefined;

interface Message {
  /** Of a response. */
  readonly req?: { readonly socket?: object | null };
  readonly socket?: object | null;
  /** What waits for a socket. */
  readonly outputData?: readonly { readonly callback?: unknown }[];
}

type End = (this: Message, chunk?: unknown, encoding?: unknown, callback?: unknown) => unknown;

/** Functions of http's own for the ends of messages that waited for their sockets. */
const finishes = new WeakSet<Callback>();
let watches = false;

/** Watches the ends of all http messages from now on. */
export function watchHttpEnds(find: FindHost): void {
  if (watches) return;
  watches = true;
  watch(http.ServerResponse.prototype as unknown as { end: End }, find);
  watch(http.ClientRequest.prototype as unknown as { end: End }, find);
}

// A response has no socket while it waits for the one before it.
function socketOf(message: Message): object | undefined {
  return message.req?.socket ?? message.socket ?? undefined;
}

function watch(prototype: { end: End }, find: FindHost): void {
  const original = prototype.end;
  prototype.end = function end(this: Message, chunk, encoding, callback) {
    const socket = socketOf(this);
    const host = socket && find(socket);
    // A request that has no socket yet may get an upgraded one.
    if (host === undefined && socket !== undefined) {
      // eslint-disable-next-line prefer-rest-params
      return original.apply(this, arguments as unknown as Parameters<End>);
    }
    if (chunk && typeof chunk !== 'function') {
      if (typeof encoding === 'function') encoding = whenReleased(encoding as Callback, this, find);
      else if (typeof callback === 'function') {
        callback = whenReleased(callback as Callback, this, find);
      }
    }
    const outer = host?.ending;
    if (host !== undefined) host.ending = this;
    try {
      return original.call(this, chunk, encoding, callback);
    } finally {
      if (host !== undefined) host.ending = outer;
      const last = this.outputData?.at(-1)?.callback;
      if (typeof last === 'function') finishes.add(last as Callback);
    }
  };
}

// Looks for the upgrade when http calls it: the message may have had no socket before.
function whenReleased(callback: Callback, message: Message, find: FindHost): Callback {
  if (isHttpNothing(callback)) return callback;
  return function (this: unknown, error) {
    const socket = socketOf(message);
    const host = socket && find(socket);
    const waits = host?.options.holdCallbacks === true && !host.quiet;
    const due = waits ? host.hold(callback.bind(this)) : callback;
    if (error === undefined) due.call(this);
    else due.call(this, error);
  };
}

/** What a callback that is passed to the socket of an http message is. */
type Passed =
  | 'other'
  | 'finish' // http's own for the end of the message: it releases nothing, and fires at acceptance
  | 'unseen'; // probably of an end() that was saved before the wrap, so that its user's callback is not held

/** What kind of callback `host`'s socket was given. */
export function passedByHttp(host: EndHost, callback: Callback): Passed {
  if (!isHttpFinish(callback)) return 'other';
  const message = httpMessageOf(host.socket);
  if (message === undefined) return 'other';
  return host.ending === message || finishes.has(callback) ? 'finish' : 'unseen';
}
