// http.Agent: uploads of node:http on upgraded connections.
// Usage: node dist/examples/http-agent.js
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo, TcpNetConnectOpts } from 'node:net';
import { connect, metrics } from 'msg-zerocopy';

const agent = new http.Agent({ keepAlive: true });
agent.createConnection = (options) => connect(options as TcpNetConnectOpts); // the one line

// The rest uploads to a server of its own and prints the result.
const server = http.createServer(async (incoming, response) => {
  const hash = createHash('sha256');
  for await (const chunk of incoming) hash.update(chunk);
  response.end(hash.digest('hex'));
});

async function main(): Promise<void> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const body = randomBytes(5 * 1024 * 1024);
  const expected = createHash('sha256').update(body).digest('hex');
  const request = http.request({ host: '127.0.0.1', port, agent, method: 'POST' });
  // The memory is yours again when the callback passed with it fires, here as with request.end(body, callback).
  request.write(body, () => body.fill(0));
  request.end();
  const [response] = (await once(request, 'response')) as [http.IncomingMessage];
  assert.equal(Buffer.concat(await response.toArray()).toString(), expected);
  const { zeroCopyBytes, copiedBytes } = metrics().totals;
  console.log(`http.Agent: right, ${zeroCopyBytes} bytes zero-copy, ${copiedBytes} copied`);
  agent.destroy();
  server.close();
}

void main();
