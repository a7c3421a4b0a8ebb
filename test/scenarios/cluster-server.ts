// A cluster of upgraded http servers. Argument: {policy}. Writes {port}; told {stop}, it ends the
// workers and writes {codes}.
import cluster, { type Worker } from 'node:cluster';
import { once } from 'node:events';
import http from 'node:http';
import { createInterface } from 'node:readline';
import { enableZeroCopy, isZeroCopy } from '../../lib/index';
import { fillFrom, OVERWRITTEN } from '../../scripts/pattern';
import { argument, print } from '../helpers/program-side';

export interface ClusterArgument {
  readonly policy: 'round robin' | 'shared handle';
  readonly workers: number;
  readonly bodyBytes: number;
}

const given = argument<ClusterArgument>();

function serve(): void {
  const server = http.createServer((request, response) => {
    const body = Buffer.allocUnsafeSlow(given.bodyBytes);
    fillFrom(body, Number(request.headers['x-stream']), 0);
    const { socket } = request;
    const sends = isZeroCopy(socket) ? socket.zeroCopy.stats.zeroCopySends : -1;
    response.setHeader('x-worker', String(process.pid));
    response.setHeader('x-sends-before', String(sends));
    response.end(body, () => body.fill(OVERWRITTEN));
  });
  enableZeroCopy(server, { engine: 'msg_zerocopy' }).listen(0, '127.0.0.1');
}

async function manage(): Promise<void> {
  cluster.schedulingPolicy = given.policy === 'round robin' ? cluster.SCHED_RR : cluster.SCHED_NONE;
  cluster.setupPrimary({ args: process.argv.slice(2) });
  const workers: Worker[] = Array.from({ length: given.workers }, () => cluster.fork());
  const listening = await Promise.all(workers.map((worker) => once(worker, 'listening')));
  // Port 0 is one port for all of them.
  const [{ port }] = listening[0] as [{ port: number }];
  print({ port });
  const commands = createInterface({ input: process.stdin });
  await once(commands, 'line');
  commands.close();
  const exits = workers.map((worker) => once(worker, 'exit'));
  cluster.disconnect();
  const codes = (await Promise.all(exits)).map(([code, signal]) => signal ?? code);
  print({ codes });
}

if (cluster.isPrimary) void manage();
else serve();
