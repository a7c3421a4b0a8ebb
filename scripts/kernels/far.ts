// The receiver in the guest. Whoever connects says in its first line what it wants: to send a stream, to be asked by
// http, or to know which datagrams came. The answer is a line of JSON. Usage: node far.js ADDRESS
import dgram from 'node:dgram';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { countWrong } from '../pattern';

/** The first line of a connection. */
export type Order =
  | { readonly do: 'stream'; readonly stream: number }
  | { readonly do: 'ask'; readonly host: string; readonly port: number }
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

async function askAll(host: string, port: number): Promise<Arrived> {
  const agent = new http.Agent({ keepAlive: true, maxSockets: AT_ONCE });
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
  const take = (data: Buffer): void => {
    const { stream } = order as { stream: number };
    wrong += countWrong(data, stream, bytes);
    bytes += data.length;
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
  if (order?.do === 'ask') arrived = await askAll(order.host, order.port);
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
