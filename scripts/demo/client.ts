// The demo's client: an ordinary keep-alive http client that checks every response against the hash
// of the first byte-by-byte known body.
import { createHash } from 'node:crypto';
import http from 'node:http';

const BODY_BYTES = 1024 * 1024;

export interface ClientTotals {
  readonly responses: number;
  readonly bytes: number;
  readonly wrong: number;
}

const body = Buffer.alloc(BODY_BYTES);
for (let i = 0; i < BODY_BYTES; i += 4) body.writeUInt32LE(Math.imul(i, 2654435761) >>> 0, i);
const expected = createHash('sha256').update(body).digest('hex');

const [host, port, count, connections] = process.argv.slice(2) as [string, string, string, string];
const agent = new http.Agent({ keepAlive: true, maxSockets: Number(connections) });
let bytes = 0;
let wrong = 0;

function get(): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = http.get({ host, port: Number(port), agent }, (response) => {
      const hash = createHash('sha256');
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        hash.update(chunk);
      });
      response.on('error', reject);
      response.on('end', () => {
        if (hash.digest('hex') !== expected) wrong++;
        resolve();
      });
    });
    request.on('error', reject);
  });
}

async function lane(share: number): Promise<void> {
  for (let i = 0; i < share; i++) await get();
}

async function main(): Promise<void> {
  const share = Math.ceil(Number(count) / Number(connections));
  await Promise.all(Array.from({ length: Number(connections) }, () => lane(share)));
  agent.destroy();
  const totals: ClientTotals = { responses: share * Number(connections), bytes, wrong };
  process.stdout.write(JSON.stringify(totals));
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
