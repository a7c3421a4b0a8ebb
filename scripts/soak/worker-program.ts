// What a worker of actors/worker.ts runs: connections, one after another, until it is told to end or is
// ended.
import { parentPort, workerData } from 'node:worker_threads';
import { metrics } from '../../lib/index';
import { tcpEpisode } from './actors/tcp';
import {
  CONNECTIONS_OF_ONE,
  exitWorker,
  type FromWorker,
  type WorkerCommand,
  type WorkerOrder,
} from './actors/worker';
import { Chance } from './chance';
import { Ledger } from './ledger';
import { Memory } from './memory';
import { tokenOf } from './names';
import type { World } from './world';

function tell(message: FromWorker): void {
  parentPort?.postMessage(message);
}

function standing({ ledger, memory }: World): string {
  const { pendingSends, pendingBytes, openPorts, openSockets } = metrics();
  const open = { waiting: ledger.waiting, pendingSends, pendingBytes, openPorts, openSockets };
  return `${JSON.stringify(open)}, ${ledger.missing()}, ${memory.remains().join(', ')}`;
}

async function work({ order, seed, episode, connections }: WorkerOrder): Promise<void> {
  const ledger = new Ledger((failure) => tell({ failure }));
  let stopping = false;
  let next = 0;
  const world: World = {
    order,
    ledger,
    memory: new Memory(),
    get stopping() {
      return stopping;
    },
    sent: (sent) => tell({ sent }),
  };
  parentPort?.on('message', (command: WorkerCommand) => {
    if (command === 'exit') exitWorker();
    if (command === 'say') return tell({ failure: `${standing(world)}, next ${next}` });
    stopping = true;
    parentPort?.unref();
  });
  const one = async (): Promise<void> => {
    while (!stopping && next < CONNECTIONS_OF_ONE) {
      const number = next++;
      const token = tokenOf(order.processNumber, 'worker', episode * CONNECTIONS_OF_ONE + number);
      await tcpEpisode(world, Chance.for(seed, number), token);
    }
  };
  await Promise.all(Array.from({ length: connections }, one));
  if (ledger.waiting > 0) ledger.fail(ledger.missing());
  for (const remains of world.memory.remains()) ledger.fail(remains);
  tell({ counts: ledger.counts });
  // Told to end later on, it ends then.
  if (stopping) parentPort?.unref();
}

void work(workerData as WorkerOrder);
