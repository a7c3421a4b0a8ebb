// Answers all its clients in one loop, once each of them has asked, again and again, in two halves. Each is a
// buffer of its own, overwritten when its callback comes.
import net from 'node:net';
import { enableZeroCopy, isZeroCopy } from '../../lib/index';
import { fillFrom } from '../../scripts/pattern';
import { argument, print } from '../helpers/program-side';

export interface RoundsArgument {
  readonly clients: number;
  readonly rounds: number;
  readonly bytes: number;
}

export interface RoundsDone {
  readonly callbacks: number;
  readonly engines: readonly string[];
}

const { clients, rounds, bytes } = argument<RoundsArgument>();
const sockets: net.Socket[] = [];
let asked = 0;
let round = 0;
let callbacks = 0;

function write(half: 0 | 1): void {
  sockets.forEach((socket, client) => {
    const part = Buffer.allocUnsafeSlow(bytes / 2);
    fillFrom(part, client, round * bytes + half * part.length);
    socket.write(part, () => {
      part.fill(0);
      callbacks++;
    });
  });
}

// The second halves come when the first have been submitted, before their results are drawn on.
function answerAll(): void {
  write(0);
  setImmediate(() =>
    setImmediate(() => {
      write(1);
      round++;
      if (round === rounds) for (const socket of sockets) socket.end();
    }),
  );
}

const server = net.createServer((socket) => {
  enableZeroCopy(socket, { engine: 'io_uring', threshold: 1 });
  sockets.push(socket);
  socket.on('data', (chunk) => {
    asked += chunk.length;
    if (asked === clients * (round + 1)) answerAll();
  });
});
server.listen(0, '127.0.0.1', () => print({ port: (server.address() as net.AddressInfo).port }));

async function tell(): Promise<void> {
  process.stdin.destroy();
  const engines: string[] = [];
  for (const socket of sockets) {
    if (!isZeroCopy(socket)) continue;
    engines.push(socket.zeroCopy.engine);
    await socket.zeroCopy.flush();
  }
  print({ callbacks, engines } satisfies RoundsDone);
  server.close();
}

process.stdin.once('data', () => void tell());
