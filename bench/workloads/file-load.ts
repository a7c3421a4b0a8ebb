// File servers that take turns under load, a quarter of a second each, while the load generators of the others are
// stopped: what else the machine does falls on all of them alike.
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { costOf, trialOf } from '../cost';
import type { Child } from '../child';
import { nativeProgram } from '../native';
import type { Contestant } from '../options';
import type { Place } from '../place';
import type { FileServerOrder, Snapshot } from '../protocol';
import { median } from '../stats';
import type { Measured } from '../trials';
import { perRequest } from './http';

export const burstSeconds = 0.25;
/** What was asked for is answered, and the server has nothing to do. */
const restMs = 10;
const startMs = 15_000;
const answerMs = 20_000;
const endMs = 7_000;
/** Longer than any round. */
const loadSeconds = 3600;

export interface FileSetting {
  place: Place;
  /** What the answers are. */
  file: string;
  /** Of an answer. */
  bytes: number;
  /** So many answers make up the file, and each request gets the next; absent: the file is the answer. */
  slices?: number;
  connections: number;
  warmup: number;
  seconds: number;
}

class Turns {
  readonly #server: Child;
  readonly #load: Child;

  private constructor(server: Child, load: Child) {
    this.#server = server;
    this.#load = load;
  }

  static async start(setting: FileSetting, contestant: Contestant): Promise<Turns> {
    const { place, file, bytes, slices, connections } = setting;
    const address = place.address('sender');
    const order: FileServerOrder = {
      ...{ contestant, address, file, bytes, kernelThreads: place.kernelThreads },
      ...(slices !== undefined && { slices }),
    };
    const program = contestant.file === 'nginx' ? 'nginx-server' : 'file-server';
    const script = path.join(__dirname, `../children/${program}.js`);
    const argv = [process.execPath, script, JSON.stringify(order)];
    const server = place.start('sender', `file server ${contestant.name}`, argv);
    const { port } = await server.next('ready', startMs);
    // As a client does, it reads the bodies: unread pages cost no copy.
    const numbers = [port, connections, 0, 0, loadSeconds].map(String);
    const command = [nativeProgram('load'), address, ...numbers, 'reads'];
    const load = place.start('receiver', 'load', command);
    load.signal('SIGSTOP');
    return new Turns(server, load);
  }

  async take(seconds: number): Promise<{ start: Snapshot; end: Snapshot }> {
    const start = await this.#ask();
    this.#load.signal('SIGCONT');
    await sleep(seconds * 1000);
    this.#load.signal('SIGSTOP');
    await sleep(restMs);
    const end = await this.#ask();
    // Fails with what it said.
    if (await this.#load.endedWithin(0)) await this.#load.output(0);
    return { start, end };
  }

  async end(): Promise<void> {
    await this.#load.end();
    await this.#server.leave(endMs);
  }

  async #ask(): Promise<Snapshot> {
    this.#server.tell('snapshot');
    return (await this.#server.next('snapshot', answerMs)) as unknown as Snapshot;
  }
}

/** One round, with a process for each contestant: medians of its turns. */
export async function fileRound(
  setting: FileSetting,
  contestants: readonly Contestant[],
): Promise<Measured[]> {
  const all: Turns[] = [];
  try {
    for (const contestant of contestants) all.push(await Turns.start(setting, contestant));
    for (let warm = 0; warm < setting.warmup; warm += burstSeconds) {
      for (const turns of all) await turns.take(burstSeconds);
    }
    const taken = all.map((): Measured[] => []);
    const count = Math.max(1, Math.round(setting.seconds / burstSeconds));
    for (let turn = 0; turn < count; turn++) {
      for (const [index, turns] of all.entries()) {
        const result = { event: 'result' as const, ...(await turns.take(burstSeconds)) };
        taken[index]?.push(trialOf(result, perRequest(costOf(result))));
      }
    }
    return taken.map(middleOf);
  } finally {
    for (const turns of all) await turns.end();
  }
}

/** One contestant, all the time. */
export async function fileTrial(setting: FileSetting, contestant: Contestant): Promise<Measured> {
  const turns = await Turns.start(setting, contestant);
  try {
    await turns.take(setting.warmup);
    const { start, end } = await turns.take(setting.seconds);
    const result = { event: 'result' as const, start, end };
    const measured = trialOf(result, perRequest(costOf(result)));
    const isRepeated = setting.slices !== undefined && end.writes > setting.slices;
    return isRepeated ? { ...measured, remark: 'parts were in memory' } : measured;
  } finally {
    await turns.end();
  }
}

function middleOf(trials: readonly Measured[]): Measured {
  const keys = Object.keys(trials[0]?.figures ?? {});
  const entries = keys.map((key) => [
    key,
    median(trials.map(({ figures }) => figures[key] ?? NaN)),
  ]);
  const disturbed = median(trials.map((trial) => trial.disturbed ?? 0));
  return { figures: Object.fromEntries(entries) as Record<string, number>, disturbed };
}
