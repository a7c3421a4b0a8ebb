// The public TCP functions: upgrading what a program has, and making upgraded sockets.
import http from 'node:http';
import net from 'node:net';
import tls from 'node:tls';
import { invalidType } from '../errors.js';
import type { Reason } from '../names.js';
import { fallbacks } from '../observe/aggregate.js';
import type { ZeroCopyControl } from '../observe/control.js';
import { channels, publish, warnOnce } from '../observe/diagnostics.js';
import type { SendReport } from '../observe/report.js';
import {
  resolveOptions,
  zeroCopyOf,
  type ResolvedOptions,
  type ZeroCopyOptions,
} from '../send/options.js';
import { enableOnSocket, TLS_WARNING, upgradeAccepted, type ZeroCopyMembers } from './overrides.js';

/**
 * Lets a running socket or server send large writes without copying them.
 *
 * On a server (net, http, express, fastify, ws …): connections accepted from now on. A TLS server or socket is
 * left untouched, with one process warning (ZC_TLS). Called again: new options for later connections, or, on a
 * socket, for later sends; `{ engine: 'copy' }` switches zero copy off.
 *
 * @param options the defaults suit most programs
 * @returns the socket or server itself, changed in place
 * @memory a buffer passed to write() or end() is the socket's until the callback passed with it
 * fires, also when that carries an error. 'drain', 'finish' and 'close' come at the same time as in plain Node,
 * and release nothing; `socket.zeroCopy.flush()` resolves when everything is released.
 * @throws ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE; nothing is changed then.
 * @kernel Linux 4.14 or later; elsewhere everything works by Node's own copying writes, and
 * `socket.zeroCopy.reason` says why. Source: Documentation/networking/msg_zerocopy.rst
 */
export function enableZeroCopy<T extends net.Socket>(
  socket: T,
  options?: ZeroCopyOptions,
): T & ZeroCopyMembers;
export function enableZeroCopy<T extends net.Server>(server: T, options?: ZeroCopyOptions): T;
export function enableZeroCopy(
  target: net.Socket | net.Server,
  options?: ZeroCopyOptions,
): net.Socket | net.Server {
  const isServer = target instanceof net.Server || target instanceof http.Server; // two kinds in Bun
  if (target instanceof net.Socket) enableOnSocket(target, options);
  else if (isServer) enableOnServer(target, options);
  else
    throw invalidType(
      'target',
      "a net.Socket or a net.Server, such as express's app.listen() or fastify's app.server " +
        '(UDP: createUdpSocket())',
      target,
    );
  return target;
}

/** Options of a socket that is made upgraded. */
export interface ZeroCopySocketOptions extends net.SocketConstructorOpts {
  zeroCopy?: ZeroCopyOptions;
}

/**
 * A net.Socket that is upgraded from the start; otherwise as `new net.Socket(options)`.
 * @throws ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE for wrong options, as enableZeroCopy() does.
 */
export class ZeroCopySocket extends net.Socket implements ZeroCopyMembers {
  declare readonly zeroCopy: ZeroCopyControl;
  declare send: (
    data: Uint8Array | readonly Uint8Array[],
    options?: { signal?: AbortSignal },
  ) => Promise<SendReport>;

  constructor(options?: ZeroCopySocketOptions) {
    super(options);
    enableOnSocket(this, zeroCopyOf(options), 'options.zeroCopy');
  }
}

/** Options of net.connect(), and `zeroCopy`. */
export type ZeroCopyConnectOptions = net.NetConnectOpts & { zeroCopy?: ZeroCopyOptions };

/**
 * As net.connect(), with every overload; the socket is upgraded. With options, `zeroCopy` has those of
 * enableZeroCopy().
 * @throws ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE, as net.connect() and enableZeroCopy() do.
 */
export function connect(
  options: ZeroCopyConnectOptions,
  connectionListener?: () => void,
): ZeroCopySocket;
export function connect(
  port: number,
  host?: string,
  connectionListener?: () => void,
): ZeroCopySocket;
export function connect(port: number, connectionListener?: () => void): ZeroCopySocket;
export function connect(path: string, connectionListener?: () => void): ZeroCopySocket;
export function connect(...args: unknown[]): ZeroCopySocket {
  const options = typeof args[0] === 'object' && args[0] !== null ? args[0] : {};
  const socket = new ZeroCopySocket(options as ZeroCopySocketOptions);
  const { timeout } = options as { timeout?: number };
  if (timeout) socket.setTimeout(timeout);
  return socket.connect(...(args as [net.NetConnectOpts]));
}

/** A 'connection' listener of createServer(). */
export type ZeroCopyConnectionListener = (socket: net.Socket & ZeroCopyMembers) => void;

/**
 * As net.createServer(); every accepted socket is upgraded. With options, `zeroCopy` has those of
 * enableZeroCopy().
 * @throws ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE, as net.createServer() and enableZeroCopy() do.
 */
export function createServer(connectionListener?: ZeroCopyConnectionListener): net.Server;
export function createServer(
  options: net.ServerOpts & { zeroCopy?: ZeroCopyOptions },
  connectionListener?: ZeroCopyConnectionListener,
): net.Server;
export function createServer(...args: unknown[]): net.Server {
  const server = net.createServer(...(args as [net.ServerOpts]));
  enableOnServer(server, zeroCopyOf(args[0] as ZeroCopyConnectOptions), 'options.zeroCopy');
  return server;
}

// --- servers: every accepted connection is upgraded before the server's own listener sees it ---------

/** A registered symbol: a second copy of this package configures the first through it. */
const BRAND = Symbol.for('msg-zerocopy.server');

interface Brand {
  configure(options: ZeroCopyOptions | undefined): void;
}

const HTTP2_WARNING =
  'Zero copy has no effect on an HTTP/2 server: Node frames HTTP/2 into memory of its own, and writes past the socket. ' +
  'Serve large bodies over HTTP/1.1, or terminate HTTP/2 in front of this server';

/** Whether a server's connections are upgraded, or kept as they are, by what its program said. */
export function isEnabledServer(server: net.Server): boolean {
  return BRAND in server;
}

/** As enableZeroCopy() of a server. @param name of the options, for errors */
function enableOnServer(
  server: net.Server | http.Server,
  options: ZeroCopyOptions | undefined,
  name: 'options' | 'options.zeroCopy' = 'options',
): void {
  let resolved: ResolvedOptions = resolveOptions(options, name);
  // https.Server and http2's secure server are net.Servers whose 'connection' brings raw sockets.
  if (server instanceof tls.Server) {
    warnOnce('ZC_TLS', TLS_WARNING);
    leaveAlone(server, 'tls');
    return;
  }
  if ('updateSettings' in server) warnOnce('ZC_HTTP2', HTTP2_WARNING);
  // Bun's http.Server writes by itself, past any socket.
  if (!(server instanceof net.Server)) {
    leaveAlone(server, 'runtime-unsupported');
    return;
  }
  if (BRAND in server) {
    (server as unknown as { [BRAND]: Brand })[BRAND].configure(options);
    return;
  }
  const brand: Brand = {
    configure: (given) => {
      resolved = resolveOptions(given);
    },
  };
  Object.defineProperty(server, BRAND, { value: brand });
  server.prependListener('connection', (socket: net.Socket) => upgradeAccepted(socket, resolved));
}

function leaveAlone(server: object, reason: Reason): void {
  fallbacks.add(reason);
  if (channels.fallback.hasSubscribers) publish(channels.fallback, { server, reason });
}
