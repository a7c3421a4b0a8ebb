// The public TCP functions: upgrading what a program has, and making upgraded sockets.
import http from 'node:http';
import net from 'node:net';
import { invalidType } from '../errors.js';
import type { ZeroCopyControl } from '../observe/control.js';
import { zeroCopyOf, type ZeroCopyOptions } from '../send/options.js';
import type { SendReport } from '../observe/report.js';
import { enableOnServer } from './server.js';
import { enableOnSocket, type ZeroCopyMembers } from './overrides.js';

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
