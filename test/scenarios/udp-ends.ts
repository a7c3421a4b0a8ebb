// Processes and workers that end while the kernel still holds what they sent. The queue stands still
// meanwhile, so that whatever is freed and used again too early would be seen by the receiver.
import assert from 'node:assert/strict';
import path from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { OVERWRITTEN } from '../../scripts/pattern';
import { Program } from '../helpers/program';
import { SendQueue } from './udp-network';
import type { UdpParams } from '../helpers/udp-place';
import { type Target, UdpReceiver } from '../helpers/udp-receiver';
import type { PinningArgument } from './udp-pinning';

const PROGRAM = path.join(__dirname, 'udp-pinning.js');
const COUNT = 12;
const SEGMENTS = 20;
/** Of the size that the sender's memory had, so that it is what is allocated next. */
const ROW_BYTES = 24_000;

export interface EndParams extends UdpParams {
  readonly ending: PinningArgument['ending'];
}

function argumentFor(params: EndParams, target: Target): PinningArgument {
  const { type, ending } = params;
  const { address, port, stream } = target;
  return { type, address, port, stream, count: COUNT, ending };
}

async function open(params: EndParams): Promise<{ receiver: UdpReceiver; target: Target }> {
  const receiver = await UdpReceiver.open(params.at);
  return { receiver, target: await receiver.target(params.type) };
}

// Takes the memory that was freed and writes over it.
function useMemory(): Buffer[] {
  return Array.from({ length: 200 }, () => Buffer.allocUnsafeSlow(ROW_BYTES).fill(OVERWRITTEN));
}

async function assertNothingWrong(target: Target, least: number): Promise<void> {
  await target.drained();
  const { wrong, examples, datagrams, repeated } = await target.report();
  assert.deepEqual({ wrong, examples, repeated }, { wrong: 0, examples: [], repeated: 0 });
  assert.ok(datagrams >= least, `${datagrams} datagrams came`);
}

/** A process that exits, throws or runs out of work with datagrams in the queue. */
export async function ofProcess(params: EndParams): Promise<void> {
  const { receiver, target } = await open(params);
  const queue = new SendQueue(params.device);
  const held = params.place === 'rig';
  if (held) queue.stop();
  const given = argumentFor(params, target);
  const program = new Program([process.execPath, PROGRAM, JSON.stringify(given)], {});
  const waits = params.ending === 'close' || params.ending === 'naturally';
  let handed = 0;
  if (waits) {
    // It stays for as long as its memory is pinned.
    for (let pending: number | undefined; pending === undefined;) {
      const line = await program.next<{ handed?: number; pending?: number }>();
      pending = line.pending;
      handed = Math.max(handed, line.handed ?? 0);
    }
    if (held) {
      assert.ok(handed < COUNT, 'nothing is pinned');
      assert.ok(program.alive);
      queue.release();
      await target.drained();
    }
    while (handed < COUNT) handed = (await program.next<{ handed: number }>()).handed;
  }
  const { code, signal } = await program.ended();
  const codes = { exit: 3, 'exit later': 3, throw: 1 } as Partial<Record<string, number>>;
  assert.deepEqual([code, signal], [codes[params.ending] ?? 0, null]);
  useMemory();
  if (held) queue.release();
  // What exits in the turn in which it sends may have sent nothing yet.
  await assertNothingWrong(target, waits ? COUNT * SEGMENTS : params.ending === 'exit' ? 0 : 1);
  await receiver.close();
}

/** A worker that is terminated, exits or throws with datagrams in the queue: its memory is used again. */
export async function ofWorker(params: EndParams): Promise<void> {
  const { receiver, target } = await open(params);
  const queue = new SendQueue(params.device);
  const held = params.place === 'rig';
  if (held) queue.stop();
  const worker = new Worker(PROGRAM, { workerData: argumentFor(params, target) });
  worker.on('error', () => undefined); // the one that throws
  const gone = new Promise((resolve) => worker.once('exit', resolve));
  worker.on('message', ({ pending }: { pending?: number }) => {
    if (pending !== undefined && params.ending === 'stay') void worker.terminate();
  });
  await gone;
  const memory = useMemory();
  await nextTurn();
  if (held) queue.release();
  await assertNothingWrong(target, params.ending === 'exit' ? 0 : 1);
  assert.equal(memory.length, 200);
  await receiver.close();
}
