// The receiver in the guest. Whoever connects says in its first line what it wants: to send a stream, to be asked by
// http, or to know which datagrams came. The answer is a line of JSON. Usage: node far.js ADDRESS
import dgram from 'node:dgram';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { countWrong } from '../pattern';
import { FROM_FAR, FROM_NEAR, startKernelTls, TlsRecords } from './kernel-tls';

/** The first line of a connection. */
export type Order =
  /** `plainBytes`: behind so many begins TLS. */
  | { readonly do: 'stream'; readonly stream: number; readonly plainBytes?: number }
  | { readonly do: 'ask'; readonly host: string; readonly port: number; readonly tls: boolean }
  | { readonly do: 'datagrams' };

/** What arrived. */
export interface Arrived {
  readonly bytes: number;
  readonly wrong: number;
}

/** The body of /N, of which there are this many. */
export const BODIES = 20;
const SIZES = [200, 16_384, 70_000, 262_144, 1_048_576];
const AT_ONCE = 4;
/** In front of a datagram: which stream the rest is of. */
export const INDEX_BYTES = 4;

export function bodyBytes(stream: number): number {
  return SIZES[stream % SIZES.length] as number;
}

async function getBody(
  agent: http.Agent,
  host: string,
  port: number,
  stream: number,
): Promise<Buffer> {
  const request = http.get({ agent, host, port, path: `/${stream}` });
  const [response] = (await once(request, 'response')) as [http.IncomingMessage];
  return Buffer.concat((await response.toArray()) as Buffer[]);
}

/** Its connections speak TLS by the kernel. */
class KernelTlsAgent extends http.Agent {
  override createConnection(
    options: http.ClientRequestArgs,
    ready?: (error: Error | null, socket: net.Socket) => void,
  ): undefined {
    const socket = net.connect(options as net.TcpNetConnectOpts);
    socket.once('connect', () => {
      startKernelTls(socket, { send: FROM_FAR, receive: FROM_NEAR });
      ready?.(null, socket);
    });
  }
}

async function askAll(host: string, port: number, tls: boolean): Promise<Arrived> {
  const Agent = tls ? KernelTlsAgent : http.Agent;
  const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE });
  const all = Array.from({ length: BODIES }, async (_, stream) => {
    const body = await getBody(agent, host, port, stream);
    const wrong = countWrong(body, stream, 0) + Math.abs(body.length - bodyBytes(stream));
    return { bytes: body.length, wrong };
  });
  const answers = await Promise.all(all);
  agent.destroy();
  return answers.reduce((a, b) => ({ bytes: a.bytes + b.bytes, wrong: a.wrong + b.wrong }));
}

/** Datagrams since the last question. */
let datagrams: Arrived = { bytes: 0, wrong: 0 };

function takeDatagram(message: Buffer): void {
  const wrong = countWrong(message.subarray(INDEX_BYTES), message.readUInt32BE(0), 0);
  datagrams = { bytes: datagrams.bytes + message.length, wrong: datagrams.wrong + wrong };
}

async function serve(socket: net.Socket): Promise<void> {
  let order: Order | undefined;
  let head = Buffer.alloc(0);
  let bytes = 0;
  let wrong = 0;
  const records = new TlsRecords(FROM_NEAR);
  const count = (data: Buffer): void => {
    const { stream } = order as { stream: number };
    wrong += countWrong(data, stream, bytes);
    bytes += data.length;
  };
  const take = (data: Buffer): void => {
    const { plainBytes = Infinity } = order as { plainBytes?: number };
    const plain = Math.max(0, Math.min(data.length, plainBytes - bytes));
    count(data.subarray(0, plain));
    if (plain < data.length) count(records.decrypt(data.subarray(plain)));
  };
  for await (const data of socket.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    if (order !== undefined) {
      take(data);
      continue;
    }
    head = Buffer.concat([head, data]);
    const end = head.indexOf('\n');
    if (end < 0) continue;
    order = JSON.parse(head.toString('latin1', 0, end)) as Order;
    take(head.subarray(end + 1));
  }
  let arrived: Arrived = { bytes, wrong };
  if (order?.do === 'ask') arrived = await askAll(order.host, order.port, order.tls);
  if (order?.do === 'datagrams') {
    arrived = datagrams;
    datagrams = { bytes: 0, wrong: 0 };
  }
  socket.end(JSON.stringify(arrived));
}

function main(host: string): void {
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    serve(socket).catch((error: unknown) => socket.destroy(error as Error));
    socket.on('error', (error) => console.error(`far: ${error.message}`));
  });
  const sink = dgram.createSocket('udp4', takeDatagram);
  sink.bind(0, host, () => {
    sink.setRecvBufferSize(4 * 1024 * 1024);
    server.listen(sink.address().port, host, () => console.log(sink.address().port));
  });
}

if (require.main === module) main(process.argv[2] ?? '');
