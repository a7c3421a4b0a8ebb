// The sender in the guest, behind one card: streams by each engine, an http server and datagrams, first as the card
// sends them, then through netem. Memory is overwritten the moment it is released. Prints results.
// Usage: node near.js MODEL DEVICE ADDRESS FAR PORT
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { BufferPool, connect, createUdpSocket, enableZeroCopy, metrics } from '../../lib/index';
import { fillFrom, OVERWRITTEN } from '../pattern';
import { runCommand } from '../rig/commands';
import { type Arrived, BODIES, bodyBytes, INDEX_BYTES, type Order } from './far';
import { print, type Result } from './result';

const [model = '', device = '', near = '', far = '', port = ''] = process.argv.slice(2);
const NETEM = ['delay', '4ms', '2ms', 'loss', '1%', 'reorder', '5%', 'duplicate', '1%'];
const CHUNKS = [70_000, 1_000, 262_144, 33_333, 500_000];
const STREAM_BYTES = 6_000_000;
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

async function stream(engine: 'msg_zerocopy' | 'io_uring'): Promise<Told> {
  const zeroCopy = { engine, threshold: 1 } as const;
  const socket = connect({ port: Number(port), host: far, zeroCopy, allowHalfOpen: true });
  await once(socket, 'connect');
  const number = nextStream++;
  socket.write(`${JSON.stringify({ do: 'stream', stream: number } satisfies Order)}\n`);
  let written = 0;
  for (let i = 0; written < STREAM_BYTES; i++) {
    const chunk = Buffer.allocUnsafeSlow(CHUNKS[i % CHUNKS.length] as number);
    fillFrom(chunk, number, written);
    written += chunk.length;
    if (!socket.write(chunk, () => chunk.fill(OVERWRITTEN))) await once(socket, 'drain');
  }
  socket.end();
  const arrived = await answerOf(socket);
  await socket.zeroCopy.flush();
  const { zeroCopySends, kernelCopiedSends, unknownSends } = socket.zeroCopy.stats;
  const { engine: used, reason = '' } = socket.zeroCopy;
  const sends = `${zeroCopySends} sends, ${kernelCopiedSends} copied, ${unknownSends} unknown`;
  return told(arrived, written, `${used} ${reason}`.trim(), sends);
}

async function answers(): Promise<Told> {
  const pool = new BufferPool({ bytes: 16 * 1024 * 1024 });
  const server = http.createServer((request, response) => {
    const number = Number(request.url?.slice(1));
    const bytes = bodyBytes(number);
    // Every other one in memory that no pool has.
    const pooled = number % 2 === 0;
    const body = pooled ? pool.allocUnsafe(bytes) : Buffer.allocUnsafeSlow(bytes);
    fillFrom(body, number, 0);
    response.setHeader('content-length', bytes);
    response.end(body, () => {
      body.fill(OVERWRITTEN);
      if (pooled) pool.free(body);
    });
  });
  enableZeroCopy(server, { threshold: 1 });
  server.listen(0, near);
  await once(server, 'listening');
  const before = metrics().totals.zeroCopyBytes;
  const arrived = await order({
    do: 'ask',
    host: near,
    port: (server.address() as net.AddressInfo).port,
  });
  server.close();
  server.closeAllConnections();
  await pool[Symbol.asyncDispose]();
  let expected = 0;
  for (let i = 0; i < BODIES; i++) expected += bodyBytes(i);
  return told(arrived, expected, `${metrics().totals.zeroCopyBytes - before} bytes zero-copy`);
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
    report('http', await answers());
    report('datagrams', await datagrams());
  }
}

void main();
