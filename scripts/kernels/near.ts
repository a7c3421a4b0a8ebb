// The sender in the guest, behind one card: streams by each engine, an http server and datagrams, first as
// the card sends them, then through netem; streams and http with TLS in the kernel as well. Memory is
// overwritten the moment it is released. Prints results.
// Usage: node near.js MODEL DEVICE ADDRESS FAR PORT
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import {
  BufferPool,
  connect,
  createUdpSocket,
  enableZeroCopy,
  metrics,
  sendFile,
  type ZeroCopySocket,
} from '../../lib/index';
import { fillFrom, OVERWRITTEN, streamBytes } from '../pattern';
import { runCommand } from '../rig/commands';
import { type Arrived, BODIES, bodyBytes, INDEX_BYTES, type Order } from './far';
import { FROM_FAR, FROM_NEAR, hasKernelTls, startKernelTls } from './kernel-tls';
import { print, type Result } from './result';

const [model = '', device = '', near = '', far = '', port = ''] = process.argv.slice(2);
const NETEM = ['delay', '4ms', '2ms', 'loss', '1%', 'reorder', '5%', 'duplicate', '1%'];
const CHUNKS = [70_000, 1_000, 262_144, 33_333, 500_000];
const STREAM_BYTES = 6_000_000;
const PLAIN_BYTES = 1_000_000;
const DATAGRAMS = 100;
const DATAGRAM_BYTES = 1_400;

type Told = Pick<Result, 'outcome' | 'detail'>;

function told(arrived: Arrived, expected: number, ...details: readonly unknown[]): Told {
  const isRight = arrived.wrong === 0 && arrived.bytes === expected;
  const { bytes, wrong } = arrived;
  const detail = [`${bytes} of ${expected} bytes, ${wrong} wrong`, ...details].join(', ');
  return { outcome: isRight ? 'right' : 'WRONG', detail };
}

async function answerOf(socket: net.Socket): Promise<Arrived> {
  const parts = await socket.toArray();
  return JSON.parse(Buffer.concat(parts as Buffer[]).toString()) as Arrived;
}

function order(wanted: Order): Promise<Arrived> {
  const socket = net.connect(Number(port), far);
  socket.end(`${JSON.stringify(wanted)}\n`);
  return answerOf(socket);
}

let nextStream = 1;

async function connected(engine: 'msg_zerocopy' | 'io_uring'): Promise<ZeroCopySocket> {
  const zeroCopy = { engine, threshold: 1 } as const;
  const socket = connect({ port: Number(port), host: far, zeroCopy, allowHalfOpen: true });
  await once(socket, 'connect');
  return socket;
}

/** Writes bytes of a stream up to position `end`. Settles when the kernel took them; memory may be in flight. */
async function writeUpTo(
  socket: ZeroCopySocket,
  number: number,
  from: number,
  end: number,
): Promise<void> {
  for (let i = 0, at = from; at < end; i++) {
    const length = Math.min(CHUNKS[i % CHUNKS.length] as number, end - at);
    const chunk = Buffer.allocUnsafeSlow(length);
    fillFrom(chunk, number, at);
    at += length;
    if (!socket.write(chunk, () => chunk.fill(OVERWRITTEN))) await once(socket, 'drain');
  }
}

async function arrivedOf(socket: ZeroCopySocket): Promise<Arrived> {
  socket.end();
  const arrived = await answerOf(socket);
  await socket.zeroCopy.flush();
  return arrived;
}

function shownControl({ zeroCopy }: ZeroCopySocket): string {
  const { zeroCopySends, kernelCopiedSends, unknownSends } = zeroCopy.stats;
  const sends = `${zeroCopySends} sends, ${kernelCopiedSends} copied, ${unknownSends} unknown`;
  return `${`${zeroCopy.engine} ${zeroCopy.reason ?? ''}`.trim()}, ${sends}`;
}

async function stream(engine: 'msg_zerocopy' | 'io_uring'): Promise<Told> {
  const socket = await connected(engine);
  const number = nextStream++;
  socket.write(`${JSON.stringify({ do: 'stream', stream: number } satisfies Order)}\n`);
  await writeUpTo(socket, number, 0, STREAM_BYTES);
  return told(await arrivedOf(socket), STREAM_BYTES, shownControl(socket));
}

const UNSUPPORTED = 'kernel-unsupported';

/** TLS begins while plain bytes of this connection are still pinned: these leave as they are. */
async function streamBeforeTls(engine: 'msg_zerocopy' | 'io_uring'): Promise<Told> {
  const socket = await connected(engine);
  const number = nextStream++;
  const wanted: Order = { do: 'stream', stream: number, plainBytes: PLAIN_BYTES };
  socket.write(`${JSON.stringify(wanted)}\n`);
  await writeUpTo(socket, number, 0, PLAIN_BYTES);
  if (socket.writableNeedDrain) await once(socket, 'drain');
  const pinned = socket.zeroCopy.pendingBytes;
  const before = socket.zeroCopy.stats.zeroCopyBytes;
  startKernelTls(socket, { send: FROM_NEAR });
  await writeUpTo(socket, number, PLAIN_BYTES, STREAM_BYTES);
  const arrived = await arrivedOf(socket);
  const { reason, stats } = socket.zeroCopy;
  const { outcome, detail } = told(arrived, STREAM_BYTES, shownControl(socket), `${pinned} pinned`);
  // The kernel refuses, and the socket says so: of both engines, or of the ring where nothing large came behind that.
  const reasons = engine === 'io_uring' ? [UNSUPPORTED, 'io_uring-refused'] : [UNSUPPORTED];
  const isHonest = reasons.includes(reason ?? '') && stats.zeroCopyBytes === before;
  return { outcome: isHonest ? outcome : 'WRONG', detail };
}

interface Bodies {
  readonly folder: string;
  readonly pool: BufferPool;
}

/** In turn: in a pool's memory, in memory that no pool has, and as a file. */
function answer(response: http.ServerResponse, number: number, { folder, pool }: Bodies): void {
  const bytes = bodyBytes(number);
  response.setHeader('content-length', bytes);
  if (number % 3 === 2) {
    const file = path.join(folder, String(number));
    writeFileSync(file, streamBytes(number, bytes));
    sendFile(response, file).catch((error: unknown) => response.destroy(error as Error));
    return;
  }
  const pooled = number % 3 === 0;
  const body = pooled ? pool.allocUnsafe(bytes) : Buffer.allocUnsafeSlow(bytes);
  fillFrom(body, number, 0);
  response.end(body, () => {
    body.fill(OVERWRITTEN);
    if (pooled) pool.free(body);
  });
}

async function answers(tls: boolean): Promise<Told> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'msg-zerocopy-near-'));
  const bodies = { folder, pool: new BufferPool({ bytes: 16 * 1024 * 1024 }) };
  const server = http.createServer((request, response) =>
    answer(response, Number(request.url?.slice(1)), bodies),
  );
  const keys = { send: FROM_NEAR, receive: FROM_FAR };
  if (tls) server.on('connection', (socket: net.Socket) => startKernelTls(socket, keys));
  enableZeroCopy(server, { threshold: 1 });
  server.listen(0, near);
  await once(server, 'listening');
  const before = metrics();
  const { port: own } = server.address() as net.AddressInfo;
  const arrived = await order({ do: 'ask', host: near, port: own, tls });
  server.close();
  server.closeAllConnections();
  await bodies.pool[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
  let expected = 0;
  for (let i = 0; i < BODIES; i++) expected += bodyBytes(i);
  const after = metrics();
  const zeroCopyBytes = after.totals.zeroCopyBytes - before.totals.zeroCopyBytes;
  const fileBytes = after.files.bytes - before.files.bytes;
  const details = [`${zeroCopyBytes} bytes zero-copy`, `${fileBytes} of files`];
  const { outcome, detail } = told(arrived, expected, ...details);
  // Under TLS nothing else would be honest; files are read by the kernel, and encrypted by it.
  const isHonest = tls === (zeroCopyBytes === 0) && fileBytes > 0;
  return { outcome: isHonest ? outcome : 'WRONG', detail };
}

/** Some may be lost, and some come twice, where netem sees to it. */
async function datagrams(): Promise<Told> {
  const socket = createUdpSocket({
    type: 'udp4',
    zeroCopy: { engine: 'msg_zerocopy', threshold: 1 },
  });
  const sent = Array.from({ length: DATAGRAMS }, (_, index) => {
    const message = Buffer.allocUnsafeSlow(DATAGRAM_BYTES);
    message.writeUInt32BE(index, 0);
    fillFrom(message.subarray(INDEX_BYTES), index, 0);
    const overwrite = (): void => void message.fill(OVERWRITTEN);
    return socket.send(message, { port: Number(port), address: far }).then(overwrite);
  });
  await Promise.all(sent);
  const { zeroCopySends, kernelCopiedSends } = socket.zeroCopy.stats;
  socket.close();
  const { bytes, wrong } = await order({ do: 'datagrams' });
  const outcome = wrong === 0 && bytes > 0 ? 'right' : 'WRONG';
  const detail = `${bytes} bytes, ${wrong} wrong, ${zeroCopySends} sends, ${kernelCopiedSends} copied`;
  return { outcome, detail };
}

async function main(): Promise<void> {
  for (const way of ['plain', 'netem'] as const) {
    if (way === 'netem')
      runCommand(['tc', 'qdisc', 'replace', 'dev', device, 'root', 'netem', ...NETEM]);
    const report = (what: string, result: Told): void =>
      print({ device: model, way, what, ...result });
    report('stream', await stream('msg_zerocopy'));
    report('stream', await stream('io_uring'));
    report('http', await answers(false));
    if (hasKernelTls()) {
      report('tls stream', await streamBeforeTls('msg_zerocopy'));
      report('tls stream', await streamBeforeTls('io_uring'));
      report('tls http', await answers(true));
    } else report('tls', { outcome: 'absent', detail: 'this kernel has none' });
    report('datagrams', await datagrams());
  }
}

void main();
