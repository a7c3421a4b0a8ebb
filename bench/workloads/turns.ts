// Servers that take turns under load, a quarter of a second each, while the load generators of the others are stopped:
// what else the machine does, and what its clock does, falls on all of them alike.
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import type { Child } from '../child';
import { costOf, trialOf } from '../cost';
import { nativeProgram } from '../native';
import type { Contestant, Receiver } from '../options';
import type { Place } from '../place';
import type { Snapshot } from '../protocol';
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

/** A server that says a snapshot for each line of its standard input, and what asks it. */
export interface Asked {
  place: Place;
  /** Of bench/children. */
  program: string;
  order: { readonly contestant: Contestant; readonly address: string };
  connections: number;
  receiver: Receiver;
}

export class Turns {
  readonly #server: Child;
  readonly #load: Child;

  private constructor(server: Child, load: Child) {
    this.#server = server;
    this.#load = load;
  }

  static async start({ place, program, order, connections, receiver }: Asked): Promise<Turns> {
    const script = path.join(__dirname, `../children/${program}.js`);
    const argv = [process.execPath, script, JSON.stringify(order)];
    const server = place.start('sender', `${program} ${order.contestant.name}`, argv);
    const { port } = await server.next('ready', startMs);
    const numbers = [port, connections, 0, 0, loadSeconds].map(String);
    const command = [nativeProgram('load'), order.address, ...numbers, receiver];
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

/** One round, with a process for each server: medians of its turns. */
export async function roundOfTurns(
  servers: readonly Asked[],
  { warmup, seconds }: { readonly warmup: number; readonly seconds: number },
): Promise<Measured[]> {
  const all: Turns[] = [];
  try {
    for (const server of servers) all.push(await Turns.start(server));
    for (let warm = 0; warm < warmup; warm += burstSeconds) {
      for (const turns of all) await turns.take(burstSeconds);
    }
    const taken = all.map((): Measured[] => []);
    const count = Math.max(1, Math.round(seconds / burstSeconds));
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

function middleOf(trials: readonly Measured[]): Measured {
  const keys = Object.keys(trials[0]?.figures ?? {});
  const entries = keys.map((key) => [
    key,
    median(trials.map(({ figures }) => figures[key] ?? NaN)),
  ]);
  const disturbed = median(trials.map((trial) => trial.disturbed ?? 0));
  return { figures: Object.fromEntries(entries) as Record<string, number>, disturbed };
}
