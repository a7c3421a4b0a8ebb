// undici and fetch() publish every new connection on a diagnostics channel before they send on it.
// Usage: node dist/examples/undici.js
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { subscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { Agent, request } from 'undici';
import { enableZeroCopy, metrics } from 'msg-zerocopy';

// The one line: for the package undici and for Node's own fetch(), which is undici, too.
subscribe('undici:client:connected', (message) => {
  enableZeroCopy((message as { socket: Socket }).socket);
});

// The rest uploads twice to a server of its own and prints the result.
const server = http.createServer(async (incoming, response) => {
  const hash = createHash('sha256');
  for await (const chunk of incoming) hash.update(chunk);
  response.end(hash.digest('hex'));
});

async function main(): Promise<void> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const body = randomBytes(5 * 1024 * 1024);
  const expected = createHash('sha256').update(body).digest('hex');
  // request() sends from this memory and takes no callback, so do not modify it afterwards.
  const dispatcher = new Agent();
  const answer = await request(url, { dispatcher, method: 'POST', body });
  assert.equal(await answer.body.text(), expected);
  // fetch() takes a copy first, as its standard says: that memory is yours at once.
  assert.equal(await (await fetch(url, { method: 'POST', body })).text(), expected);
  const { zeroCopyBytes, copiedBytes } = metrics().totals;
  console.log(`undici: right, ${zeroCopyBytes} bytes zero-copy, ${copiedBytes} copied`);
  await dispatcher.close();
  server.close();
  server.closeAllConnections();
}

void main();
