// The one thing that http hides from its socket: the callback of `res.end(chunk, callback)` is not
// passed to socket.write() but attached to 'finish', which fires when the kernel accepted the bytes.
// It hands `chunk` back, so it is held here until the memory is released. Listeners of 'finish' keep
// Node's time.
import http from 'node:http';
import type net from 'node:net';

/** Calls back when everything the socket accepted so far is released; at once when nothing pends. */
export type Holder = (
  socket: net.Socket,
  callback: (error?: Error | null) => void,
) => (error?: Error | null) => void;

const EVENTS = new Set(['request', 'checkContinue', 'checkExpectation']);

/** Makes the responses of `server` hold the callbacks of end(). */
export function holdResponseCallbacks(server: net.Server, hold: Holder): void {
  if (!(server instanceof http.Server)) return;
  const emit = server.emit;
  function endHeld(this: http.ServerResponse, ...args: unknown[]): http.ServerResponse {
    const at = args.findIndex((arg) => typeof arg === 'function');
    const socket = this.req?.socket;
    if (at > 0 && socket !== undefined) {
      args[at] = hold(socket, (args[at] as (error?: Error | null) => void).bind(this));
    }
    const { end } = Object.getPrototypeOf(this) as http.ServerResponse;
    return end.apply(this, args as Parameters<typeof end>);
  }
  server.emit = function (this: http.Server, event: string, ...args: unknown[]): boolean {
    const response = args[1];
    if (EVENTS.has(event) && response instanceof http.ServerResponse) {
      response.end = endHeld as typeof response.end;
    }
    return Reflect.apply(emit, this, [event, ...args]) as boolean;
  } as typeof server.emit;
}
