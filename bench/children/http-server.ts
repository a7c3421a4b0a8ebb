// A keep-alive http server that answers every request with the same buffer, with many in turn, or with a
// mix of sizes.
import http from 'node:http';
import type net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

import type { Result, ServerOrder, Snapshot } from '../protocol';
import { Bodies } from './bodies';
import { fileAnswer } from './files';
import { say, takeOrder, takeSnapshot } from './session';
import { upgradeFor } from './upgrade';

async function main(): Promise<void> {
  const order = takeOrder<ServerOrder>();
  const sources = order.parts.map(({ bytes: size, bodies: count }) => ({ size, count }));
  const upgrade = await upgradeFor(order.contestant, ...sources);
  const bodies = new Bodies(order.parts, upgrade.allocate);
  const { file } = order.contestant;
  const largest = Math.max(...order.parts.map(({ bytes: size }) => size));
  const answer = file && (await fileAnswer(largest, file));
  let requests = 0;
  let bytes = 0;
  let onFirstRequest: () => void = () => undefined;
  const firstRequest = new Promise<void>((resolve) => (onFirstRequest = resolve));
  const server = http.createServer((_request, response) => {
    if (requests === 0) onFirstRequest();
    const body = bodies.next();
    requests++;
    bytes += body.length;
    response.setHeader('Content-Type', 'application/octet-stream');
    if (answer === undefined) response.end(body);
    else answer(response);
  });
  upgrade.apply(server);
  server.on('connection', (socket: net.Socket) => upgrade.watch(socket));
  server.listen(0, order.address, () => {
    say({ event: 'ready', port: (server.address() as net.AddressInfo).port } as { event: string });
  });
  const snapshot = (): Snapshot =>
    takeSnapshot(order.kernelThreads, { bytes, writes: requests }, upgrade.totals());
  await firstRequest;
  await sleep(order.warmup * 1000);
  const start = snapshot();
  const loop = performance.eventLoopUtilization();
  await sleep(order.seconds * 1000);
  const { utilization: loopUtilization } = performance.eventLoopUtilization(loop);
  const end = snapshot();
  const result: Result = { event: 'result', start, end, ...upgrade.verdict(), loopUtilization };
  say(result);
  // The load generator closes its connections when its time is over; then nothing keeps us. close()
  // would cut those that are between two requests.
  server.unref();
}

void main();
