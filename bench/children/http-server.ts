// A keep-alive http server that answers every request with the same buffer, with many in turn, or with a
// mix of sizes.
import http from 'node:http';
import type net from 'node:net';

import { SLOW_PATH, type ServerOrder, type Snapshot } from '../protocol';
import { Bodies } from './bodies';
import { onAsked, say, takeOrder, takeSnapshot } from './session';
import { upgradeFor } from './upgrade';
import { tellWindow } from './window';

async function main(): Promise<void> {
  const order = takeOrder<ServerOrder>();
  const sources = order.parts.map(({ bytes: size, bodies: count }) => ({ size, count }));
  if (order.slowBytes !== undefined) sources.push({ size: order.slowBytes, count: 1 });
  const upgrade = await upgradeFor(order.contestant, ...sources);
  const bodies = new Bodies(order.parts, upgrade.allocate);
  const slowBody = order.slowBytes === undefined ? undefined : upgrade.allocate(order.slowBytes);
  let requests = 0;
  let bytes = 0;
  let onFirstRequest: () => void = () => undefined;
  const firstRequest = new Promise<void>((resolve) => (onFirstRequest = resolve));
  const server = http.createServer((request, response) => {
    if (slowBody !== undefined && request.url === SLOW_PATH) return response.end(slowBody);
    if (requests === 0) onFirstRequest();
    const body = bodies.next();
    requests++;
    bytes += body.length;
    response.setHeader('Content-Type', 'application/octet-stream');
    response.end(body);
  });
  upgrade.apply(server);
  server.on('connection', (socket: net.Socket) => upgrade.watch(socket));
  server.listen(0, order.address, () => {
    say({ event: 'ready', port: (server.address() as net.AddressInfo).port } as { event: string });
  });
  const snapshot = (): Snapshot =>
    takeSnapshot(order.kernelThreads, { bytes, writes: requests }, upgrade.totals());
  if (order.answersSnapshots) return onAsked(() => ({ event: 'snapshot', ...snapshot() }));
  await tellWindow(order, firstRequest, snapshot, upgrade.verdict);
  // The load generator closes its connections when its time is over; then nothing keeps us. close()
  // would cut those that are between two requests.
  server.unref();
}

void main();
