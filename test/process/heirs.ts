// Processes that are handed a socket, upgrade it and send on it.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type net from 'node:net';
import path from 'node:path';

export const HEIR_BYTES = 256 * 1024;
export const HEIR_FILL = 9;

/** What the other process tells, once all that it sends is written. */
export interface HeirAnswer {
  readonly engine?: string;
  readonly reason?: string;
  readonly error?: string;
}

const PROGRAM = `
const [library, engine, bytes, fill] = process.argv.slice(1);
const zc = require(library);
process.on('message', (_message, socket) => {
  let answered = false;
  const answer = (what) => {
    if (answered) return;
    answered = true;
    process.send(what, () => process.disconnect());
  };
  if (!socket) return answer({ error: 'no socket came' });
  socket.on('error', (error) => answer({ error: error.code }));
  zc.enableZeroCopy(socket, { engine, threshold: 1 });
  // The answer does not wait for the peer, which may read only after it.
  socket.end(Buffer.alloc(Number(bytes), Number(fill)));
  setImmediate(() => answer({ engine: socket.zeroCopy.engine, reason: socket.zeroCopy.reason }));
});
process.send('ready');
`;

/** The other processes of a suite, ended behind each test. To be called in a suite. */
export class Heirs {
  readonly #children = new Set<ChildProcess>();
  readonly #engine: string;

  constructor(engine: 'msg_zerocopy' | 'io_uring') {
    this.#engine = engine;
    afterEach(async () => {
      const ended = [...this.#children].map((child) => once(child, 'close'));
      for (const child of this.#children) child.kill('SIGKILL');
      await Promise.all(ended);
    });
  }

  /** One that listens already, so that nothing is between a write and handing over. */
  async start(): Promise<ChildProcess> {
    const library = path.join(__dirname, '../../lib/index.js');
    const given = [library, this.#engine, String(HEIR_BYTES), String(HEIR_FILL)];
    const child = spawn(process.execPath, ['-e', PROGRAM, ...given], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    this.#children.add(child);
    child.once('close', () => this.#children.delete(child));
    await once(child, 'message');
    return child;
  }
}

export async function handOver(child: ChildProcess, socket: net.Socket): Promise<HeirAnswer> {
  const answered = once(child, 'message') as Promise<[HeirAnswer]>;
  child.send('socket', socket);
  return (await answered)[0];
}
