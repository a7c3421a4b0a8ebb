// The demo's server: the same http server, plain or upgraded by one line. Over IPC it tells its port and,
// when asked, what a period cost it and how its responses travelled.
import http from 'node:http';
import type net from 'node:net';
import { enableZeroCopy, isZeroCopy, metrics, type Reason } from '../../lib/index.js';
import { demoBody } from './content.js';

export type ServerRequest = 'start' | 'stop';

export interface ServerTotals {
  readonly cpuSeconds: number;
  readonly zeroCopySends: number;
  readonly kernelCopiedSends: number;
  readonly unknownSends: number;
  readonly copiedBytes: number;
  /** Why zero copy is not used on some connection. */
  readonly reason?: Reason;
}

const [kind, host] = process.argv.slice(2);
const body = demoBody();
const sockets = new Set<net.Socket>();
const server = http.createServer((_request, response) => response.end(body));
server.on('connection', (socket) => {
  sockets.add(socket);
  socket.once('close', () => sockets.delete(socket));
});
if (kind === 'upgraded') enableZeroCopy(server);

let cpu = process.cpuUsage();
let before = metrics().totals;

function start(): void {
  before = metrics().totals;
  cpu = process.cpuUsage();
}

function stop(): ServerTotals {
  const { user, system } = process.cpuUsage(cpu);
  const { totals } = metrics();
  const reason = [...sockets]
    .map((socket) => (isZeroCopy(socket) ? socket.zeroCopy.reason : undefined))
    .find((found) => found !== undefined);
  return {
    cpuSeconds: (user + system) / 1e6,
    zeroCopySends: totals.zeroCopySends - before.zeroCopySends,
    kernelCopiedSends: totals.kernelCopiedSends - before.kernelCopiedSends,
    unknownSends: totals.unknownSends - before.unknownSends,
    copiedBytes: totals.copiedBytes - before.copiedBytes,
    ...(reason !== undefined && { reason }),
  };
}

process.on('message', (request: ServerRequest) => {
  if (request === 'start') start();
  process.send?.(request === 'start' ? {} : stop());
});
process.on('disconnect', () => process.exit(0));

server.listen(0, host, () => {
  process.send?.({ port: (server.address() as net.AddressInfo).port });
});
