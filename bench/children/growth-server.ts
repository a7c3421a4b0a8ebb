// A server under a mixed load: bodies of all sizes, ends, destroys in mid-flight and resets. Says at
// intervals what it weighs; nothing it does may make that grow.
import net from 'node:net';

import type { GrowthServerOrder } from '../protocol';
import { say, takeOrder, takeSnapshot } from './session';
import { upgradeFor } from './upgrade';
import { between, pick, seededRandom } from '../../scripts/random';

const sizes = [100, 1_500, 9_000, 16_384, 65_536, 262_144, 1_048_576];
const mostChunks = 20;
const random = seededRandom(2);
const collect = (globalThis as { gc?: () => void }).gc;

let bytes = 0;
let connections = 0;

// Few buffers that everybody shares: whatever grows is then bookkeeping.
const bodies = sizes.map((size) => Buffer.allocUnsafeSlow(size).fill('a body '));

function serve(socket: net.Socket): void {
  connections++;
  socket.on('error', () => undefined).resume();
  let left = between(random, 1, mostChunks);
  const write = (): void => {
    while (left > 0) {
      left--;
      const body = pick(random, bodies);
      bytes += body.length;
      if (!socket.write(body)) return;
    }
    socket.removeListener('drain', write);
    finish(socket);
  };
  socket.on('drain', write);
  write();
}

function finish(socket: net.Socket): void {
  const dice = random();
  if (dice < 0.1) socket.destroy();
  else if (dice < 0.15) socket.resetAndDestroy();
  else socket.end();
}

async function main(): Promise<void> {
  const order = takeOrder<GrowthServerOrder>();
  const upgrade = await upgradeFor(order.contestant);
  const server = net.createServer({ allowHalfOpen: false }, serve);
  upgrade.apply(server);
  server.on('connection', (socket: net.Socket) => upgrade.watch(socket));
  server.listen(0, order.address, () => {
    say({ event: 'ready', port: (server.address() as net.AddressInfo).port } as { event: string });
  });
  const startedAt = performance.now();
  const start = takeSnapshot([], { bytes, writes: connections }, upgrade.totals());
  const timer = setInterval(() => {
    collect?.();
    const { rss, heapUsed, external } = process.memoryUsage();
    const minutes = (performance.now() - startedAt) / 60_000;
    const sample = { event: 'sample', minutes, rss, heap: heapUsed, external, connections };
    say(sample);
    if (minutes * 60 < order.seconds) return;
    clearInterval(timer);
    const end = takeSnapshot([], { bytes, writes: connections }, upgrade.totals());
    say({ event: 'result', start, end, ...upgrade.verdict() } as { event: string });
  }, order.sampleSeconds * 1000);
}

void main();
