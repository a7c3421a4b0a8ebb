// The demo's client: an ordinary keep-alive http client that compares every response, byte for byte, with
// what it knows the server has. It is told over IPC which server to ask and for how long.
import http from 'node:http';
import { BODY_BYTES, demoBody } from './content.js';

export interface ClientTask {
  readonly port: number;
  /** The task is over when it has lasted so long and had so many responses. */
  readonly milliseconds: number;
  readonly responses: number;
}

export interface ClientTotals {
  readonly responses: number;
  readonly bytes: number;
  /** Responses that were not the expected bytes. */
  readonly wrong: number;
}

const expected = demoBody();
const [host, connections] = process.argv.slice(2) as [string, string];
const agent = new http.Agent({ keepAlive: true, maxSockets: Number(connections) });

/** Settles with the number of bytes, or -1 when they are wrong. */
function get(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const request = http.get({ host, port, agent }, (response) => {
      let length = 0;
      let right = true;
      response.on('data', (chunk: Buffer) => {
        right &&= chunk.equals(expected.subarray(length, length + chunk.length));
        length += chunk.length;
      });
      response.on('error', reject);
      response.on('end', () => resolve(right && length === BODY_BYTES ? length : -1));
    });
    request.on('error', reject);
  });
}

async function run(task: ClientTask): Promise<ClientTotals> {
  const end = performance.now() + task.milliseconds;
  let responses = 0;
  let bytes = 0;
  let wrong = 0;
  const lane = async (): Promise<void> => {
    while (performance.now() < end || responses < task.responses) {
      const length = await get(task.port);
      responses++;
      if (length < 0) wrong++;
      else bytes += length;
    }
  };
  await Promise.all(Array.from({ length: Number(connections) }, lane));
  return { responses, bytes, wrong };
}

process.on('message', (task: ClientTask) => {
  run(task).then(
    (totals) => process.send?.(totals),
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
});
process.on('disconnect', () => process.exit(0));
