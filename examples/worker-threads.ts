// node:worker_threads: each thread upgrades its own server, and has metrics and an io_uring of its own. Do not
// transfer a buffer to another thread while it is being sent: await the callback, or send a copy.
// Usage: node dist/examples/worker-threads.js
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { isMainThread, parentPort, Worker } from 'node:worker_threads';
import { enableZeroCopy, metrics } from 'msg-zerocopy';

const body = Buffer.alloc(5 * 1024 * 1024, 'zero copy in a thread ');

function serve(): void {
  const server = http.createServer((_request, response) => response.end(body));
  enableZeroCopy(server).listen(0, '127.0.0.1', () => {
    // the one line
    parentPort?.postMessage((server.address() as AddressInfo).port);
  });
  parentPort?.once('message', () => {
    parentPort?.postMessage(metrics().totals.zeroCopyBytes);
    server.close();
    server.closeAllConnections();
  });
}

// The rest requests the body from a thread and prints the result.
async function manage(): Promise<void> {
  const worker = new Worker(__filename);
  const [port] = (await once(worker, 'message')) as [number];
  const response = await fetch(`http://127.0.0.1:${port}/`);
  assert.ok(body.equals(Buffer.from(await response.arrayBuffer())));
  worker.postMessage('how did it go?');
  const [bytes] = (await once(worker, 'message')) as [number];
  console.log(`worker thread: right, ${bytes} bytes zero-copy`);
  await once(worker, 'exit');
}

if (isMainThread) void manage();
else serve();
