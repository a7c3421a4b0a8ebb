// A keep-alive http server that answers every request with the same buffer.
import http from 'node:http';
import type net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

import type { Result, ServerOrder, Snapshot } from '../protocol';
import { say, takeOrder, takeSnapshot } from './session';
import { upgradeFor } from './upgrade';

async function main(): Promise<void> {
  const order = takeOrder<ServerOrder>();
  const upgrade = await upgradeFor(order.contestant);
  const body = Buffer.allocUnsafeSlow(order.size).fill('the same body every time ');
  let requests = 0;
  let onFirstRequest: () => void = () => undefined;
  const firstRequest = new Promise<void>((resolve) => (onFirstRequest = resolve));
  const server = http.createServer((_request, response) => {
    if (requests === 0) onFirstRequest();
    requests++;
    response.setHeader('Content-Type', 'application/octet-stream');
    response.end(body);
  });
  upgrade.apply(server);
  server.on('connection', (socket: net.Socket) => upgrade.watch(socket));
  server.listen(0, order.address, () => {
    say({ event: 'ready', port: (server.address() as net.AddressInfo).port } as { event: string });
  });
  const snapshot = (): Snapshot =>
    takeSnapshot(
      order.kernelThreads,
      { bytes: requests * order.size, writes: requests },
      upgrade.totals(),
    );
  await firstRequest;
  await sleep(order.warmup * 1000);
  const start = snapshot();
  await sleep(order.seconds * 1000);
  const result: Result = { event: 'result', start, end: snapshot(), ...upgrade.verdict() };
  say(result);
  // The load generator closes its connections when its time is over; then nothing keeps us.
  server.close();
}

void main();
