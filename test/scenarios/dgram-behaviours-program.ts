// Runs every scenario of datagram sockets over node:dgram and over this package, in whatever process it
// is started: another Node, another environment. Writes one line for each, {scenario, failure}, then
// {version}.
import assert from 'node:assert/strict';
import { NODES_OWN, OURS, scenariosOf, story } from './dgram-behaviours';
import { presentFamilies } from './dgram-behaviours-kit';

/** A line of this program. */
export interface ParityLine {
  readonly scenario?: string;
  readonly failure?: string;
  readonly version?: string;
}

/** A scenario that hangs is one that failed. */
const DEADLINE_MS = 15_000;

function print(line: ParityLine): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

/** Throws: uncaught exceptions, too. */
async function inTime(work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error('still running')), DEADLINE_MS);
    process.on('uncaughtException', reject);
  });
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
    process.removeAllListeners('uncaughtException');
  }
}

async function main(): Promise<void> {
  for (const family of presentFamilies()) {
    for (const scenario of scenariosOf(family)) {
      const name = `${family.type}: ${scenario.title}`;
      const compare = async (): Promise<void> => {
        const expected = await story(scenario, NODES_OWN, family);
        assert.deepEqual(await story(scenario, OURS, family), expected);
      };
      try {
        await inTime(compare());
        print({ scenario: name });
      } catch (error) {
        const failure = error instanceof Error ? (error.stack ?? error.message) : String(error);
        print({ scenario: name, failure });
      }
    }
  }
  print({ version: process.version });
  // A scenario that hung may have left a socket behind.
  process.exitCode = 0;
  setImmediate(() => process.exit());
}

void main();
