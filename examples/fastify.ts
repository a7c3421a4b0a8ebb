// fastify: upgrade `app.server` before it listens. Buffers, streams and large JSON then go out without a copy.
// Usage: node dist/examples/fastify.js
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import fastify from 'fastify';
import { enableZeroCopy, metrics } from 'msg-zerocopy';

// send() takes no callback: you cannot know when the memory is free, so pass a buffer that you will not modify.
const body = randomBytes(5 * 1024 * 1024);

const app = fastify({ forceCloseConnections: true });
app.get('/', (_request, reply) => {
  reply.send(body);
});
enableZeroCopy(app.server); // the one line

// The rest requests the body once and prints the result.
async function main(): Promise<void> {
  // For 'localhost' fastify makes a second server, for the other address, which is not upgraded.
  const url = await app.listen({ port: 0, host: '127.0.0.1' });
  const response = await fetch(url);
  assert.ok(body.equals(Buffer.from(await response.arrayBuffer())));
  const { zeroCopyBytes, copiedBytes } = metrics().totals;
  console.log(`fastify: right, ${zeroCopyBytes} bytes zero-copy, ${copiedBytes} copied`);
  await app.close();
}

void main();
