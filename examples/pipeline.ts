// stream.pipeline() from a file into a socket: every chunk of a file stream is memory of its own, so nothing
// is changed too early.
// Usage: node dist/examples/pipeline.js [file]
import assert from 'node:assert/strict';
import { createHash, type Hash } from 'node:crypto';
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import net, { type AddressInfo } from 'node:net';
import { pipeline } from 'node:stream/promises';
import { connect } from 'msg-zerocopy';

async function hashOf(stream: AsyncIterable<Buffer>): Promise<string> {
  const hash: Hash = createHash('sha256');
  for await (const chunk of stream) hash.update(chunk);
  return hash.digest('hex');
}

async function main(file = process.execPath): Promise<void> {
  const server = net.createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const received = once(server, 'connection').then(([peer]) => hashOf(peer as net.Socket));

  const { port } = server.address() as AddressInfo;
  const socket = connect(port, '127.0.0.1'); // the one line: instead of net.connect()
  // Large chunks: fewer system calls, and 64 KiB (the default) is where zero copy only begins to pay.
  await pipeline(createReadStream(file, { highWaterMark: 512 * 1024 }), socket);

  assert.equal(await received, await hashOf(createReadStream(file)));
  await socket.zeroCopy.flush(); // all memory is released
  const { zeroCopyBytes, copiedBytes } = socket.zeroCopy.stats;
  console.log(`pipeline: right, ${zeroCopyBytes} bytes zero-copy, ${copiedBytes} copied`);
  server.close();
}

void main(process.argv[2]);
