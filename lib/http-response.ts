// The one thing that http hides from its socket: the callback of `res.end(chunk, callback)` is not
// passed to socket.write() but attached to 'finish', which fires when the kernel accepted the bytes.
// It hands `chunk` back, so it is held here until the memory is released. Listeners of 'finish' keep
// Node's time.
import http from 'node:http';
import type net from 'node:net';

type Callback = (error?: Error | null) => void;

/** Wraps a callback so that it runs when everything the socket accepted before it is released. */
export type Holder = (socket: net.Socket, callback: Callback) => Callback;

type End = (chunk?: unknown, encoding?: unknown, callback?: unknown) => http.ServerResponse;

function isResponseEvent(event: unknown): boolean {
  return event === 'request' || event === 'checkContinue' || event === 'checkExpectation';
}

/** Makes the responses of `server` hold the callbacks of end(). */
export function holdResponseCallbacks(server: net.Server, hold: Holder): void {
  if (!(server instanceof http.Server)) return;

  function endHeld(
    this: http.ServerResponse,
    chunk?: unknown,
    encoding?: unknown,
    callback?: unknown,
  ): http.ServerResponse {
    const end = (Object.getPrototypeOf(this) as { end: End }).end;
    // end(callback) passes no data, so it hands nothing back.
    const given = typeof encoding === 'function' ? encoding : callback;
    const socket = this.req?.socket;
    if (typeof given !== 'function' || socket === undefined) {
      return end.call(this, chunk, encoding, callback);
    }
    const held = hold(socket, (given as Callback).bind(this));
    return end.call(this, chunk, typeof encoding === 'function' ? undefined : encoding, held);
  }

  const emit = server.emit as (...args: unknown[]) => boolean;
  // Every request passes here: no rest parameters, they would allocate.
  server.emit = function (this: http.Server, event: unknown, first: unknown, second: unknown) {
    if (isResponseEvent(event) && second instanceof http.ServerResponse) {
      second.end = endHeld as typeof second.end;
      if (arguments.length === 3) return emit.call(this, event, first, second);
    }
    // eslint-disable-next-line prefer-rest-params
    return emit.apply(this, arguments as unknown as unknown[]);
  } as typeof server.emit;
}
