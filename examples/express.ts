// express: upgrade the server that listen() returns. send(), sendFile() and json() of large bodies then go
// out without a copy.
// Usage: node dist/examples/express.js
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import express from 'express';
import { enableZeroCopy, metrics } from 'msg-zerocopy';

// send() takes no callback: you cannot know when the memory is free, so pass a buffer that you will not modify.
const body = randomBytes(5 * 1024 * 1024);

const app = express();
app.get('/', (_request, response) => {
  response.send(body);
});
const server = enableZeroCopy(app.listen(0, '127.0.0.1')); // the one line

// The rest requests the body once and prints the result.
async function main(): Promise<void> {
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const response = await fetch(`http://127.0.0.1:${port}/`);
  assert.ok(body.equals(Buffer.from(await response.arrayBuffer())));
  const { zeroCopyBytes, copiedBytes } = metrics().totals;
  console.log(`express: right, ${zeroCopyBytes} bytes zero-copy, ${copiedBytes} copied`);
  server.close();
  server.closeAllConnections();
}

void main();
