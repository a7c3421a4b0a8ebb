// A program for the receiving end: accepts TCP connections, one after another or together, and says
// what arrived. Usage: node receiver.js ADDRESS. Writes one JSON object a line to standard output:
//   {"port":N}                      once it listens, on a port of the kernel's choice
//   {"bytes":N,"sha256":"…"}        for each connection, when the sender has ended it
import { createHash } from 'node:crypto';
import net from 'node:net';

/** What one connection brought. */
export interface ReceiverReport {
  readonly bytes: number;
  readonly sha256: string;
}

function report(line: { port: number } | ReceiverReport): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

function serve(address: string): void {
  const server = net.createServer((socket) => {
    const hash = createHash('sha256');
    let bytes = 0;
    socket.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      hash.update(chunk);
    });
    socket.on('end', () => report({ bytes, sha256: hash.digest('hex') }));
    // A reset is what some tests are about; the missing report tells.
    socket.on('error', (error) => console.error(`receiver: ${error.message}`));
  });
  server.listen(0, address, () => report({ port: (server.address() as net.AddressInfo).port }));
}

if (require.main === module) serve(process.argv[2] ?? '::');
