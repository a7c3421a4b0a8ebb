// node:cluster: each worker upgrades its server. Connections that the primary distributes work like
// others. Memory that may be pinned (RLIMIT_MEMLOCK) is shared by the workers of one user.
// Usage: node dist/examples/cluster.js
import assert from 'node:assert/strict';
import cluster from 'node:cluster';
import { once } from 'node:events';
import http from 'node:http';
import { enableZeroCopy, metrics } from 'msg-zerocopy';

const WORKERS = 2;
const body = Buffer.alloc(5 * 1024 * 1024, 'zero copy in a worker ');

function serve(): void {
  const server = http.createServer((_request, response) => response.end(body));
  enableZeroCopy(server).listen(0, '127.0.0.1'); // the one line
  // Each worker has metrics of its own.
  process.on('message', () => {
    process.send?.(metrics().totals.zeroCopyBytes);
    process.disconnect();
  });
}

// The rest requests the body several times and prints the result.
async function manage(): Promise<void> {
  const workers = Array.from({ length: WORKERS }, () => cluster.fork());
  const listening = await Promise.all(workers.map((worker) => once(worker, 'listening')));
  const [{ port }] = listening[0] as [{ port: number }]; // one port for all
  for (let i = 0; i < 2 * WORKERS; i++) {
    const headers = { connection: 'close' };
    const request = http.get({ host: '127.0.0.1', port, headers, agent: false });
    const [response] = (await once(request, 'response')) as [http.IncomingMessage];
    assert.ok(body.equals(Buffer.concat(await response.toArray())));
  }
  for (const worker of workers) {
    worker.send('how did it go?');
    const [bytes] = (await once(worker, 'message')) as [number];
    console.log(`cluster: worker ${worker.id} right, ${bytes} bytes zero-copy`);
  }
}

if (cluster.isPrimary) void manage();
else serve();
