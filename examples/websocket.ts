// ws: upgrade the http.Server below the WebSocketServer. A client takes connect() as `createConnection`.
// Usage: node dist/examples/websocket.js
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import net, { type AddressInfo } from 'node:net';
import { WebSocket, WebSocketServer } from 'ws';
import { connect, enableZeroCopy, metrics } from 'msg-zerocopy';

const server = enableZeroCopy(http.createServer()); // the one line of a server
const sockets = new WebSocketServer({ server });
sockets.on('connection', (socket) => {
  socket.on('message', (message: Buffer) => {
    const answer = Buffer.from(message);
    // ws passes its callback on to the socket: you may reuse `answer` when it fires, also with an error.
    socket.send(answer, () => answer.fill(0));
  });
});

// The rest sends one message there and back and prints the result.
async function main(): Promise<void> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  // The one line of a client. (The types of ws ask for every overload of net.connect().)
  const createConnection = connect as typeof net.createConnection;
  const client = new WebSocket(`ws://127.0.0.1:${port}`, { createConnection });
  await once(client, 'open');
  const message = randomBytes(1024 * 1024);
  client.send(message);
  const [echo] = (await once(client, 'message')) as [Buffer];
  assert.ok(message.equals(echo));
  client.close();
  await once(client, 'close');
  const { zeroCopyBytes, copiedBytes } = metrics().totals;
  console.log(`ws: right, ${zeroCopyBytes} bytes zero-copy, ${copiedBytes} copied`);
  server.close();
}

void main();
