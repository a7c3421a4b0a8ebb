// A server whose files are not in the page cache, and how late its timers are meanwhile; and clients that take
// the files at once. Two programs, so that the clients' work is not the server's.
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { enableZeroCopy, metrics, sendFile } from '../../lib/index';
import { loadNative, type Native } from '../../lib/native/binding';
import { argument, print } from '../helpers/program-side';

export const WAYS = ['plain', 'piped', 'sendFile()'] as const;
export type Way = (typeof WAYS)[number];

export type ColdArgument =
  | { readonly role: 'server'; readonly way: Way; readonly files: readonly string[] }
  | { readonly role: 'clients'; readonly port: number; readonly files: number };

export interface Delays {
  /** Milliseconds that a timer of one millisecond came late. */
  readonly p99: number;
  readonly worst: number;
  /** Files that went by the kernel. */
  readonly byKernel: number;
  /** Calls that moved bytes, and how many of them slept within the kernel. */
  readonly moves: number;
  readonly slept: number;
}

const INTERVAL_MS = 1;
const moves = { moves: 0, slept: 0 };

/** How often this thread went to sleep, by itself. */
function sleeps(): number {
  const status = fs.readFileSync(`/proc/self/task/${process.pid}/status`, 'latin1');
  return Number(/^voluntary_ctxt_switches:\s+(\d+)/m.exec(status)?.[1]);
}

/** Counts the calls of moveFile() that waited for something. */
function watchMoves(): void {
  const native = loadNative().native as Native;
  const { moveFile } = native;
  native.moveFile = (...args) => {
    const before = sleeps();
    const result = moveFile(...args);
    moves.moves++;
    if (sleeps() > before) moves.slept++;
    return result;
  };
}

/** Milliseconds that the kernel let this thread wait for a processor, which others had. */
function waitedMs(): number {
  return Number(fs.readFileSync(SCHEDULING, 'latin1').split(' ')[1]) * 1e-6;
}
const SCHEDULING = `/proc/self/task/${process.pid}/schedstat`;

/** How late each timer is, from now on: for the loop's own work, and for what that waited for. */
function watchTimers(): number[] {
  const late: number[] = [];
  let from = performance.now();
  let waited = waitedMs();
  setInterval(() => {
    const now = performance.now();
    const others = waitedMs();
    late.push(now - from - INTERVAL_MS - (others - waited));
    from = now;
    waited = others;
  }, INTERVAL_MS);
  return late;
}

function serve(way: Way, files: readonly string[]): void {
  const server = http.createServer((request, response) => {
    const file = files[Number(request.url?.slice(1))] as string;
    response.setHeader('Content-Length', fs.statSync(file).size);
    if (way === 'sendFile()') void sendFile(response, file);
    else fs.createReadStream(file).pipe(response);
  });
  if (way !== 'plain') {
    enableZeroCopy(server);
    watchMoves();
  }
  server.listen(0, '127.0.0.1', () => print({ port: (server.address() as net.AddressInfo).port }));
  let late: number[] = [];
  server.once('request', () => (late = watchTimers()));
  process.stdin.once('data', () => {
    late.sort((a, b) => a - b);
    const [p99 = 0, worst = 0] = [late[Math.floor(0.99 * late.length)], late.at(-1)];
    print({ p99, worst, byKernel: metrics().files.sent, ...moves } satisfies Delays);
    process.exit(0);
  });
}

async function take(port: number, file: number): Promise<number> {
  let bytes = 0;
  const onread = {
    buffer: Buffer.allocUnsafe(1024 * 1024),
    callback: (n: number) => ((bytes += n), true),
  };
  const socket = net.connect({ port, host: '127.0.0.1', onread });
  socket.write(`GET /${file} HTTP/1.1\r\nHost: files\r\nConnection: close\r\n\r\n`);
  await once(socket, 'close');
  return bytes;
}

async function takeAll(port: number, files: number): Promise<void> {
  const taken = await Promise.all(Array.from({ length: files }, (_, file) => take(port, file)));
  print({ taken });
}

const given = argument<ColdArgument>();
if (given.role === 'server') serve(given.way, given.files);
else void takeAll(given.port, given.files);
