// stream.pipeline() from a file into a socket: the kernel sends the file, and the stream is never read.
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
  await pipeline(createReadStream(file), socket);

  assert.equal(await received, await hashOf(createReadStream(file)));
  await socket.zeroCopy.flush(); // all memory is released
  const { zeroCopyBytes, fileBytes, copiedBytes } = socket.zeroCopy.stats;
  console.log(
    `pipeline: right, ${zeroCopyBytes + fileBytes} bytes zero-copy, ${copiedBytes} copied`,
  );
  server.close();
}

void main(process.argv[2]);
