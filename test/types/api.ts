// The public types, as a program uses them: this file is compiled, never run. What must not compile
// says so: a `@ts-expect-error` that is not needed is an error itself.
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import {
  BufferPool,
  capabilities,
  connect,
  createServer,
  enableZeroCopy,
  isZeroCopy,
  metrics,
  ZeroCopyError,
  ZeroCopySocket,
  type Capabilities,
  type Engine,
  type Histogram,
  type ProcessMetrics,
  type Reason,
  type SendReport,
  type State,
  type Support,
  type ZeroCopyControl,
  type ZeroCopyErrorCode,
  type ZeroCopyMembers,
  type ZeroCopyOptions,
  type ZeroCopyStats,
} from '../../lib/index';

/** Compiles when both types are the same. */
type Same<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : never;
function same<A, B>(_proof: Same<A, B>): void {}

class OwnSocket extends net.Socket {
  readonly mine = 1;
}

export function enabling(): void {
  const socket = enableZeroCopy(new net.Socket());
  same<typeof socket, net.Socket & ZeroCopyMembers>(true);
  const own = enableZeroCopy(new OwnSocket(), { threshold: 'auto' });
  same<typeof own.mine, 1>(true);
  same<typeof own.zeroCopy, ZeroCopyControl>(true);
  void [socket, own];

  // A server stays what it is.
  const server = enableZeroCopy(net.createServer(), { engine: 'msg_zerocopy' });
  same<typeof server, net.Server>(true);
  const web = enableZeroCopy(http.createServer());
  same<typeof web extends http.Server ? true : false, true>(true);
  web.requestTimeout = 1;
  enableZeroCopy(https.createServer({}));

  // @ts-expect-error a server has no zeroCopy
  void server.zeroCopy;
  // @ts-expect-error neither a socket nor a server
  enableZeroCopy({});
  // @ts-expect-error nothing
  enableZeroCopy();
  // @ts-expect-error a port
  enableZeroCopy(80);
}

export function options(): ZeroCopyOptions[] {
  return [
    {},
    { engine: 'auto', threshold: 'auto', source: 'any', callbackAt: 'release' },
    { engine: 'msg_zerocopy', threshold: 0, callbackAt: 'accept' },
    { engine: 'copy', source: (chunk: Uint8Array) => chunk.length > 1 },
    { maxPendingBytes: 1, lingerTimeoutMs: 1 },
    // @ts-expect-error no such engine
    { engine: 'sendfile' },
    // @ts-expect-error bytes, or 'auto'
    { threshold: '64K' },
    // @ts-expect-error a predicate answers yes or no
    { source: (chunk: Uint8Array) => chunk.length },
    // @ts-expect-error no such moment
    { callbackAt: 'sent' },
    // @ts-expect-error no such option
    { treshold: 1 },
    // @ts-expect-error a number
    { maxPendingBytes: '1' },
  ];
}

export function connecting(): void {
  const listener = (): void => undefined;
  const zeroCopy: ZeroCopyOptions = { threshold: 1 };
  const sockets = [
    connect(80),
    connect(80, listener),
    connect(80, 'localhost'),
    connect(80, 'localhost', listener),
    connect('/path'),
    connect('/path', listener),
    connect({ port: 80 }),
    connect({ port: 80, host: 'localhost', zeroCopy, allowHalfOpen: true, timeout: 1 }, listener),
    connect({ path: '/path', zeroCopy }),
  ];
  same<typeof sockets, ZeroCopySocket[]>(true);
  void sockets;
  // @ts-expect-error neither a port nor a path
  connect({ zeroCopy });
  // @ts-expect-error a listener is a function
  connect(80, 'localhost', 'listener');
  // @ts-expect-error options of zero copy are checked here, too
  connect({ port: 80, zeroCopy: { engine: 'none' } });

  const plain: net.Socket & ZeroCopyMembers = new ZeroCopySocket();
  new ZeroCopySocket({ allowHalfOpen: true, zeroCopy });
  // @ts-expect-error options, not a threshold
  new ZeroCopySocket({ zeroCopy: 1 });
  // @ts-expect-error a control is only read
  plain.zeroCopy = new ZeroCopySocket().zeroCopy;
}

export function serving(): void {
  const listener = (socket: net.Socket & ZeroCopyMembers): void => void socket.zeroCopy.engine;
  const servers = [
    createServer(),
    createServer(listener),
    createServer((socket) => void socket.send(Buffer.alloc(1))),
    createServer((socket: net.Socket) => void socket.end()),
    createServer({ allowHalfOpen: true, zeroCopy: { threshold: 1 } }),
    createServer({ zeroCopy: {} }, (socket) => void socket.zeroCopy.flush()),
  ];
  same<typeof servers, net.Server[]>(true);
  void servers;
  // @ts-expect-error no such option
  createServer({ zerocopy: {} });
  // @ts-expect-error a listener is a function
  createServer({}, 1);
}

export async function sending(socket: ZeroCopySocket): Promise<SendReport> {
  const { signal } = new AbortController();
  const report = await socket.send(Buffer.alloc(1));
  same<typeof report, SendReport>(true);
  await socket.send(new Uint8Array(1), { signal });
  await socket.send([Buffer.alloc(1), new Uint8Array(1)], {});
  const fixed: readonly Uint8Array[] = [];
  await socket.send(fixed);
  // @ts-expect-error text has no memory of its own to give
  await socket.send('text');
  // @ts-expect-error bytes only
  await socket.send(new Uint16Array(1));
  // @ts-expect-error a signal, not a controller
  await socket.send(Buffer.alloc(1), { signal: new AbortController() });
  // @ts-expect-error a promise, no callback
  await socket.send(Buffer.alloc(1), () => undefined);
  // @ts-expect-error a report is only read
  report.bytes = 1;
  const parts: number[] = [
    report.bytes,
    report.zeroCopyBytes,
    report.copiedBytes,
    report.kernelCopiedBytes,
    report.unknownBytes,
  ];
  same<typeof report.engine, Engine>(true);
  same<typeof report.reason, Reason | undefined>(true);
  void parts;
  // The methods of net.Socket keep their types.
  const flushed: boolean = socket.write(Buffer.alloc(1), (error) => void error?.message);
  void flushed;
  return report;
}

export async function looking(socket: net.Socket): Promise<void> {
  // @ts-expect-error not upgraded, as far as anybody knows
  void socket.zeroCopy;
  if (!isZeroCopy(socket)) return;
  const { zeroCopy } = socket;
  same<typeof zeroCopy.engine, Engine>(true);
  same<typeof zeroCopy.state, State>(true);
  same<typeof zeroCopy.reason, Reason | undefined>(true);
  same<typeof zeroCopy.stats, ZeroCopyStats>(true);
  const numbers: number[] = [
    zeroCopy.pendingBytes,
    zeroCopy.pendingSends,
    zeroCopy.stats.zeroCopySends,
    zeroCopy.stats.enobufs,
  ];
  const nothing: void = await zeroCopy.flush();
  void [numbers, nothing];
  // @ts-expect-error only read
  zeroCopy.pendingBytes = 0;
  // @ts-expect-error only read
  zeroCopy.stats.enobufs = 0;
  // @ts-expect-error an engine is not chosen here
  zeroCopy.engine = 'copy';
}

export function asking(): Support {
  const machine: Capabilities = capabilities();
  const why: string | undefined = machine.tcp.msg_zerocopy.ipv6.reason;
  void why;
  // @ts-expect-error takes no arguments
  capabilities('tcp');
  return machine.tcp.copy.support;
}

export function failing(error: unknown): ZeroCopyErrorCode | undefined {
  if (!(error instanceof ZeroCopyError)) return undefined;
  // @ts-expect-error not one of ours
  if (error.code === 'EPIPE') return undefined;
  return error.code;
}

export function watching(socket: net.Socket): void {
  const now = metrics();
  same<typeof now, ProcessMetrics>(true);
  same<typeof now.releaseLatency, Histogram>(true);
  const bytes: number = now.totals.zeroCopyBytes + now.totals.receivedDatagrams;
  const paused: number | undefined = now.fallbacks['kernel-copied'];
  const reset: number | undefined = now.aborts['linger-timeout'];
  void [bytes, paused, reset];
  // @ts-expect-error no reason of ours
  void now.fallbacks.unknown;
  // @ts-expect-error a snapshot
  now.openSockets = 0;
  for (const detectMutation of [true, false, 'warn', 'throw'] as const) {
    enableZeroCopy(socket, { detectMutation });
  }
  // @ts-expect-error another word
  enableZeroCopy(socket, { detectMutation: 'log' });
}

export async function endingPools(): Promise<void> {
  await using pool = new BufferPool({ bytes: 4096 });
  using piece = pool.alloc(1);
  const buffer: Buffer & Disposable = piece;
  pool.free(buffer);
  const disposed: boolean = pool.disposed;
  // @ts-expect-error: it is the pool's to say
  pool.registered = disposed;
  // @ts-expect-error: a slice ends with no block
  using slice = piece.subarray(1);
  void slice;
}
