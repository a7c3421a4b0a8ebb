// What http hides from its socket. The callback of `res.end(chunk, callback)` is not passed to
// socket.write() but attached to 'finish', which fires when the kernel accepted the bytes; it hands
// `chunk` back, so it is held here until the memory is released. Listeners of 'finish' keep Node's
// time. The callback of `res.write(chunk, callback)` is held here, too, so that of a held message the
// socket sees no callback of a user's: what it is given is http's own (node-private.ts).
import http from 'node:http';
import type net from 'node:net';

type Callback = (error?: Error | null) => void;

/** Wraps a callback so that it runs when everything the socket accepted before it is released. */
export type Holder = (socket: net.Socket, callback: Callback) => Callback;

type Send = (chunk?: unknown, encoding?: unknown, callback?: unknown) => unknown;
type Method = 'write' | 'end';

const heldMessage = Symbol('msg-zerocopy.held-message');

/**
 * Whether a callback with the name of http's own, passed to the socket for this message, is http's own. Of
 * a held message the socket sees no other. Of a client's request http's own comes with a string (lib/
 * _http_outgoing.js:OutgoingMessage.prototype.end), of which no memory is handed back, whoever's callback it
 * is; its 'finish' must not come behind the response, or the agent is given the connection twice (lib/
 * _http_client.js:responseOnEnd and requestOnFinish; test/kernel/core.test.ts).
 */
export function isHttpsOwn(message: object | undefined, chunk: unknown): boolean {
  if (message === undefined) return false;
  return (
    heldMessage in message || (typeof chunk === 'string' && message instanceof http.ClientRequest)
  );
}

function isResponseEvent(event: unknown): boolean {
  return event === 'request' || event === 'checkContinue' || event === 'checkExpectation';
}

// The method of a response with its callback held.
function holding(method: Method, hold: Holder): Send {
  return function (this: http.ServerResponse, chunk, encoding, callback) {
    const original = (Object.getPrototypeOf(this) as Record<Method, Send>)[method];
    // A callback without data, as in end(callback), hands nothing back.
    const given = typeof encoding === 'function' ? encoding : callback;
    const socket = this.req?.socket;
    if (typeof given !== 'function' || socket === undefined) {
      return original.call(this, chunk, encoding, callback);
    }
    const held = hold(socket, (given as Callback).bind(this));
    return original.call(this, chunk, typeof encoding === 'function' ? undefined : encoding, held);
  };
}

/** Makes the responses of `server` hold the callbacks of write() and end(). */
export function holdResponseCallbacks(server: net.Server, hold: Holder): void {
  if (!(server instanceof http.Server)) return;
  const write = holding('write', hold);
  const end = holding('end', hold);
  const emit = server.emit as (...args: unknown[]) => boolean;
  // Every request passes here: no rest parameters, they would allocate.
  server.emit = function (this: http.Server, event: unknown, first: unknown, second: unknown) {
    if (isResponseEvent(event) && second instanceof http.ServerResponse) {
      const response = second as http.ServerResponse & { [heldMessage]?: true };
      response.write = write as typeof response.write;
      response.end = end as typeof response.end;
      response[heldMessage] = true;
      if (arguments.length === 3) return emit.call(this, event, first, second);
    }
    // eslint-disable-next-line prefer-rest-params
    return emit.apply(this, arguments as unknown as unknown[]);
  } as typeof server.emit;
}
