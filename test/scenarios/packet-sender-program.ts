// The near end of a packet test's wire: runs scenarios that hold the sockets under test. The test asks
// for one after another by lines of JSON; the far end is a program that this one starts.
import path from 'node:path';
import { createInterface } from 'node:readline';
import { Far } from '../helpers/packet-far';
import type { Wire } from '../helpers/packet-wire';
import { argument, print } from '../helpers/program-side';

/** Every module of scenarios, in test/scenarios. */
export interface Scenarios {
  'packet-send': typeof import('./packet-send');
  'packet-ring': typeof import('./packet-ring');
  'packet-discard': typeof import('./packet-discard');
  'packet-refused': typeof import('./packet-refused');
  'packet-offload': typeof import('./packet-offload');
  'packet-receive': typeof import('./packet-receive');
  'packet-vlan': typeof import('./packet-vlan');
  'packet-queue': typeof import('./packet-queue');
  'packet-waiting': typeof import('./packet-waiting');
  'packet-teardown': typeof import('./packet-teardown');
  'packet-observed': typeof import('./packet-observed');
  'packet-errors': typeof import('./packet-errors');
}

/** What a scenario gets. */
export interface Context {
  readonly wire: Wire;
  /** The far end; started on first use. */
  readonly far: Far;
}

export interface SenderArgument {
  readonly wire: Wire;
}

export interface Order {
  readonly module: string;
  readonly scenario: string;
  readonly params: unknown;
}

/** `last`: the program ends with this answer. */
export type Answer =
  { readonly result: unknown } | { readonly failure: string; readonly last?: boolean };

type Scenario = (context: Context, params: unknown) => unknown;

class LazyContext implements Context {
  #far: Far | undefined;

  constructor(readonly wire: Wire) {}

  get far(): Far {
    return (this.#far ??= new Far(this.wire));
  }
}

async function perform(context: Context, { module, scenario, params }: Order): Promise<unknown> {
  const file = path.join(__dirname, './', `${module}.js`);
  const scenarios = (await import(file)) as Record<string, Scenario>;
  const body = scenarios[scenario];
  if (body === undefined) throw new Error(`no scenario ${module}/${scenario}`);
  return body(context, params);
}

/** Longer than any scenario takes that works. */
const SCENARIO_DEADLINE_MS = 30_000;

function failed(thrown: unknown): void {
  const failure = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
  print({ failure } satisfies Answer);
}

async function main(): Promise<void> {
  // What nobody catches fails the scenario that runs.
  process.on('uncaughtException', failed);
  process.on('unhandledRejection', failed);
  const context = new LazyContext(argument<SenderArgument>().wire);
  for await (const line of createInterface({ input: process.stdin })) {
    const order = JSON.parse(line) as Order;
    const watchdog = setTimeout(() => {
      // What hangs cannot be trusted with the next scenario.
      const failure = `not finished within ${SCENARIO_DEADLINE_MS} ms`;
      print({ failure, last: true } satisfies Answer);
      process.exit(70);
    }, SCENARIO_DEADLINE_MS);
    await perform(context, order).then((result) => print({ result: result ?? null }), failed);
    clearTimeout(watchdog);
  }
  process.exit(0); // the test is gone
}

if (require.main === module) void main();
