// The demo's server: the same http server plain or upgraded by one line. Tells its port and, when
// asked, what it cost and how its responses travelled.
import http from 'node:http';
import type net from 'node:net';
import { enableZeroCopy, isZeroCopy, type Reason } from '../../lib/index.js';

const BODY_BYTES = 1024 * 1024;

export interface ServerTotals {
  readonly cpuSeconds: number;
  readonly zeroCopySends: number;
  readonly kernelCopiedSends: number;
  readonly unknownSends: number;
  readonly copiedBytes: number;
  readonly reason: Reason | undefined;
}

const body = Buffer.alloc(BODY_BYTES);
for (let i = 0; i < BODY_BYTES; i += 4) body.writeUInt32LE(Math.imul(i, 2654435761) >>> 0, i);

const sockets = new Set<net.Socket>();
const server = http.createServer((request, response) => {
  sockets.add(request.socket);
  response.end(body);
});
if (process.argv[2] === 'upgraded') enableZeroCopy(server);

function totals(cpuSeconds: number): ServerTotals {
  let sum = { zeroCopySends: 0, kernelCopiedSends: 0, unknownSends: 0, copiedBytes: 0 };
  let reason: Reason | undefined;
  for (const socket of sockets) {
    if (!isZeroCopy(socket)) continue;
    const { stats } = socket.zeroCopy;
    reason ??= socket.zeroCopy.reason;
    sum = {
      zeroCopySends: sum.zeroCopySends + stats.zeroCopySends,
      kernelCopiedSends: sum.kernelCopiedSends + stats.kernelCopiedSends,
      unknownSends: sum.unknownSends + stats.unknownSends,
      copiedBytes: sum.copiedBytes + stats.copiedBytes,
    };
  }
  return { cpuSeconds, ...sum, reason };
}

let start = process.cpuUsage();
process.on('message', (message) => {
  if (message === 'start') start = process.cpuUsage();
  if (message === 'stop') {
    const { user, system } = process.cpuUsage(start);
    process.send?.(totals((user + system) / 1e6));
    server.closeAllConnections();
    server.close();
    process.disconnect();
  }
});

server.listen(0, process.argv[3], () => {
  process.send?.({ port: (server.address() as net.AddressInfo).port });
});
