// Upgrading one net.Socket in place: own properties over the methods of its class, never another
// prototype, so that `instanceof`, http's parser and every library keep what they know.
import net from 'node:net';
import tls from 'node:tls';
import { SocketControl, type ZeroCopyControl } from '../observe/control.js';
import { warnOnce } from '../observe/diagnostics.js';
import { watchHttpEnds } from './http-end.js';
import { liftLane, setFileHosts, watchFilePipes } from '../files/index.js';
import { rejectDetached } from '../memory/detached.js';
import { bytesDispatched, handleOf } from '../node/internals.js';
import { resolveOptions, type ResolvedOptions, type ZeroCopyOptions } from '../send/options.js';
import { SendTracker, type SendReport } from '../observe/report.js';
import { abortError, checkSend, type SendArguments } from '../send/arguments.js';
import { watchSharing } from './shared-handles.js';
import {
  end,
  lookedAt,
  passHeld,
  write,
  writeChunk,
  writeChunks,
  type WriteCallback,
} from './writes.js';
import { settleQueued } from './shared-calls.js';
import { TlsPassthrough } from './tls-passthrough.js';
import { Trackers } from './chunks.js';
import { TcpFiles } from './files.js';
import { TcpUpgrade, upgradeOf, type Base, type Upgraded } from './upgrade.js';

/** What an upgraded socket has beside the members of net.Socket. */
export interface ZeroCopyMembers {
  /** What zero copy does on this socket, and why. */
  readonly zeroCopy: ZeroCopyControl;
  /**
   * Sends `data` and reports how it travelled.
   * @param data one or more buffers, sent in order and as they are; empty ones are allowed
   * @param options `signal` cancels the send while nothing of `data` was accepted; later it has no effect
   * @memory do not change `data` until the promise settles, also when it rejects.
   * @settles when the memory is yours again.
   * @throws ERR_INVALID_ARG_TYPE, ERR_ZC_BUFFER_DETACHED; nothing is sent then.
   * @rejects the stream's error, ERR_ZC_BUFFER_DETACHED, AbortError.
   * @kernel zero copy needs Linux 4.14 or later. Source: Documentation/networking/msg_zerocopy.rst
   */
  send(
    data: Uint8Array | readonly Uint8Array[],
    options?: { signal?: AbortSignal },
  ): Promise<SendReport>;
}

/** The brand is a registered symbol: a second copy of this package sees it and defers to the first. */
const BRAND = Symbol.for('msg-zerocopy.upgrade');

/** What one copy of this package offers to another through the brand. */
interface Brand {
  configure(options: ZeroCopyOptions | undefined): void;
}

type Branded = net.Socket & { [BRAND]: Brand };

function upgrade(socket: net.Socket): TcpUpgrade {
  return (socket as Upgraded)[upgradeOf];
}

function findUpgrade(socket: object): TcpUpgrade | undefined {
  return (socket as Partial<Upgraded>)[upgradeOf];
}

setFileHosts((socket) => {
  const up = findUpgrade(socket);
  return up && new TcpFiles(up, write);
});

/** Whether `socket` was upgraded, by this copy of the package or another. */
export function isZeroCopy(socket: unknown): socket is net.Socket & ZeroCopyMembers {
  return typeof socket === 'object' && socket !== null && BRAND in socket;
}

// --- overrides: shared functions, `this` is the socket ------------------------------------------

function connect(this: net.Socket, ...args: unknown[]): net.Socket {
  return connectBy(upgrade(this).base.connect, this, args);
}

/** Connects an upgraded socket by `method`, a `connect` of its class. */
export function connectBy(
  method: net.Socket['connect'],
  socket: net.Socket,
  args: unknown[],
): net.Socket {
  // Core puts its own `write` back when it connects (lib/net.js:Socket.prototype.connect).
  const before = handleOf(socket);
  const bytesBefore = bytesDispatched(socket);
  const result = method.apply(socket, args as Parameters<net.Socket['connect']>);
  if (before !== handleOf(socket)) upgrade(socket).handleReplaced(bytesBefore);
  if (socket.write !== write) socket.write = write as net.Socket['write'];
  return result;
}

function send(
  this: net.Socket,
  data: Uint8Array | readonly Uint8Array[],
  options?: { signal?: AbortSignal },
): Promise<SendReport> {
  return sendChecked(this, checkSend(data, options));
}

function sendChecked(socket: net.Socket, wanted: SendArguments): Promise<SendReport> {
  const up = upgrade(socket);
  settleQueued(up);
  const { signal } = wanted;
  const tracker = new SendTracker(wanted.bytes);
  // Views of our own, because chunks are identified by object.
  const own = wanted.list.map(({ buffer, byteOffset, byteLength }) =>
    Buffer.from(buffer, byteOffset, byteLength),
  );
  const views = own.map((view) => lookedAt(up, view) as Buffer);
  // options.source is a function of the program's, and may have detached any of them.
  views.forEach(rejectDetached);
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) return reject(abortError(signal));
    const onAbort = (): void => {
      if (tracker.started) return;
      tracker.cancelled = true;
      reject(abortError(signal as AbortSignal));
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    const settle: WriteCallback = (error) => {
      signal?.removeEventListener('abort', onAbort);
      up.trackers?.remove(views);
      if (error) reject(error);
      else resolve(tracker.report());
    };
    socket.cork();
    try {
      for (const view of views) {
        if (view.length > 0) (up.trackers ??= new Trackers()).add(view, tracker);
        write.call(socket, view);
      }
      // The empty write comes behind all of them, also when the stream fails.
      passHeld(up, settle);
    } catch (thrown) {
      // Only a write that was wrapped before the upgrade throws. What it passed on leaves the stream unsent, as nothing
      // would tell of its release.
      tracker.cancelled = true;
      reject(thrown as Error);
      net.Socket.prototype.write.call(socket, '', 'latin1', () => settle(thrown as Error));
    }
    socket.uncork();
  });
}

// --- overrides of what ends a connection, or keeps it ---------------------------------------------

const resetting = new WeakSet<net.Socket>();

function _destroy(
  this: net.Socket,
  error: Error | null,
  callback: (error?: Error | null) => void,
): void {
  const up = upgrade(this);
  settleQueued(up);
  // The engine first: it sends FIN or RST before core gives the descriptor up.
  up.connection?.destroyed(resetting.delete(this) ? 'reset' : 'close', error);
  up.base._destroy.call(this, error, callback);
  // Another connection of this socket begins with an empty stream.
  up.own?.disown();
  up.ended();
}

function resetAndDestroy(this: net.Socket): net.Socket {
  resetting.add(this);
  return upgrade(this).base.resetAndDestroy.call(this);
}

// Twice for each request of http: no rest parameters, they would allocate.
function setSocketTimeout(this: net.Socket, ms: number, callback?: () => void): net.Socket {
  const up = (this as Upgraded)[upgradeOf];
  const result = up.base.setTimeout.call(this, ms, callback);
  // child_process takes the handle away and then clears the timeout, before anything of the socket
  // reaches the child (lib/internal/child_process.js: handleConversion 'net.Socket').
  if (ms === 0) {
    if (up.queued !== undefined) settleQueued(up);
    up.connection?.handleMayBeGone();
  }
  return result;
}

// HTTP/2 calls it when it takes a connection over, before it writes below our methods
// (lib/internal/http2/core.js:Http2Session).
function setNoDelay(this: net.Socket, enable?: boolean): net.Socket {
  const up = upgrade(this);
  settleQueued(up);
  return up.base.setNoDelay.call(this, enable);
}

function ref(this: net.Socket): net.Socket {
  upgrade(this).connection?.port?.setReferenced(true);
  return upgrade(this).base.ref.call(this);
}

function unref(this: net.Socket): net.Socket {
  upgrade(this).connection?.port?.setReferenced(false);
  return upgrade(this).base.unref.call(this);
}

function bytesWritten(this: net.Socket): number | undefined {
  const byNode = nodeBytesWritten.call(this);
  return byNode === undefined ? undefined : byNode + upgrade(this).dispatched;
}

// On the prototype in every Node; the accessor counts what libuv took and what waits.
const nodeBytesWritten = Object.getOwnPropertyDescriptor(net.Socket.prototype, 'bytesWritten')
  ?.get as (this: net.Socket) => number | undefined;

function hidden(value: unknown): PropertyDescriptor {
  return { value, writable: true, configurable: true, enumerable: false };
}

// --- upgrading -----------------------------------------------------------------------------------

// All at once and for every socket: where sockets differ in their properties, every access in http and
// streams is slower, by up to 2 us a response (docs/performance.md).
const overrides: PropertyDescriptorMap = {
  write: hidden(write),
  end: hidden(end),
  connect: hidden(connect),
  _write: hidden(writeChunk),
  _writev: hidden(writeChunks),
  _destroy: hidden(_destroy),
  resetAndDestroy: hidden(resetAndDestroy),
  setTimeout: hidden(setSocketTimeout),
  setNoDelay: hidden(setNoDelay),
  ref: hidden(ref),
  unref: hidden(unref),
  bytesWritten: { get: bytesWritten, configurable: true, enumerable: false },
  [BRAND]: { get: brand },
  send: hidden(send),
  zeroCopy: {
    get(this: net.Socket): ZeroCopyControl {
      return upgrade(this).control;
    },
    configurable: true,
    enumerable: false,
  },
};

const BASE_METHODS = [
  'write',
  'end',
  'connect',
  '_write',
  '_writev',
  '_destroy',
  'resetAndDestroy',
  'setTimeout',
  'setNoDelay',
  'ref',
  'unref',
] as const satisfies readonly (keyof Base)[];

let lastBase: Base | undefined;

// Nearly all sockets share the methods of one class, and so one object of them.
function baseOf(socket: net.Socket): Base {
  const last = lastBase;
  if (last !== undefined && BASE_METHODS.every((name) => last[name] === socket[name])) return last;
  lastBase = Object.fromEntries(
    BASE_METHODS.map((name) => [name, socket[name]]),
  ) as unknown as Base;
  return lastBase;
}

// Made when another copy asks: a server may have very many idle connections.
function brand(this: net.Socket): Brand {
  const up = upgrade(this);
  return { configure: (given) => configure(up, resolveOptions(given)) };
}

function configure(up: TcpUpgrade, options: ResolvedOptions): void {
  if (options.takesFiles) watchFilePipes();
  up.configure(options);
}

/** Upgrades one socket, or gives an upgraded one new options for later sends. */
function upgradeSocket(socket: net.Socket, options: ResolvedOptions): void {
  watchHttpEnds(findUpgrade);
  watchSharing(findUpgrade);
  if (options.takesFiles) watchFilePipes();
  const putLaneBack = liftLane(socket);
  const up = new TcpUpgrade(socket, baseOf(socket), options);
  Object.defineProperty(socket, upgradeOf, { value: up });
  Object.defineProperties(socket, overrides);
  putLaneBack?.();
}

/** As enableZeroCopy() of a socket. @param name of the options, for errors */
export function enableOnSocket(
  socket: net.Socket,
  options: ZeroCopyOptions | undefined,
  name: 'options' | 'options.zeroCopy' = 'options',
): void {
  const resolved = resolveOptions(options, name);
  if (socket instanceof tls.TLSSocket) describeTls(socket);
  else if (upgradeOf in socket) configure(upgrade(socket), resolved);
  else if (BRAND in socket) (socket as Branded)[BRAND].configure(options);
  else upgradeSocket(socket, resolved);
}

export const TLS_WARNING =
  'Zero copy has no effect on a TLS server or socket: TLS encrypts into memory of its own. ' +
  'Terminate TLS in front of this server, or enable zero copy on plain sockets only';

// A TLS socket keeps its own write; it only learns to say why.
function describeTls(socket: tls.TLSSocket): void {
  warnOnce('ZC_TLS', TLS_WARNING);
  if ('zeroCopy' in socket) return;
  const passthrough = new TlsPassthrough(socket, 'tls');
  Object.defineProperty(socket, 'zeroCopy', hidden(new SocketControl(passthrough)));
  Object.defineProperty(socket, 'send', hidden(passthrough.send.bind(passthrough)));
}

/**
 * Upgrades a connection that a server accepted; one that is upgraded already keeps its options. A program
 * may emit 'connection' with any Duplex, which stays as it is.
 */
export function upgradeAccepted(socket: net.Socket, options: ResolvedOptions): void {
  if (!(socket instanceof net.Socket) || socket instanceof tls.TLSSocket || BRAND in socket) return;
  upgradeSocket(socket, options);
}
