// `msg-zerocopy selftest`: the kernel's self-test of MSG_ZEROCOPY (snd_zerocopy, snd_zerocopy_lo and
// what became of them, tools/testing/selftests/net/msg_zerocopy.c), anew for this package.
import { UsageError } from '../command-line';
import { type Arguments, parse, USAGE } from './arguments';
import { Place } from '../place';
import { detailsOf, lineOf, receiverLine, summaryOf, tableOf } from './report';
import { type Outcome, runSender, runTrial, startReceiver } from './run';
import { misfit, titleOf, type Mode, type Trial, trialsOf } from './trial';
import { Unavailable } from '../rig/availability';
import { nothingZeroCopy, reasonsForNoTry, receiverProblems } from './verdict';

const EXIT_OK = 0;
const EXIT_FAILED = 1;
const EXIT_USAGE = 2;
const EXIT_NOTHING_RAN = 3;
const EXIT_NOTHING_ZERO_COPY = 4;

/** As the kernel's own self-test. */
const DEFAULT_PORT = 8000;
/** A receiver waits for its first data as long as it takes, and then no longer than this. */
const IDLE_MS = 1000;
const RECEIVER_START_MS = 15_000;
const MOST_WAITING_MS = 2 ** 31 - 1;

/** Runs one command line; answers the exit status. */
export async function main(argv: readonly string[]): Promise<number> {
  try {
    const given = parse(argv);
    if (given.help) {
      console.log(USAGE);
      return EXIT_OK;
    }
    if (given.bind !== undefined) return await receive(given, given.bind);
    return await send(given);
  } catch (error) {
    if (error instanceof UsageError) {
      console.error(`msg-zerocopy selftest: ${error.message}; see 'msg-zerocopy selftest --help'`);
      return EXIT_USAGE;
    }
    if (error instanceof Unavailable) {
      console.error(`msg-zerocopy selftest: ${error.message}`);
      return EXIT_NOTHING_RAN;
    }
    throw error;
  }
}

async function send(given: Arguments): Promise<number> {
  const { destination } = given;
  const place = destination === undefined ? Place.open(given.place) : Place.remote(destination);
  try {
    const outcomes = await runAll(place, given);
    if (outcomes.length > 1) console.log(`\n${tableOf(outcomes)}\n\n${summaryOf(outcomes)}`);
    const status = exitStatus(outcomes);
    if (!nothingZeroCopy(outcomes)) return status;
    console.log(copiesText(place, outcomes));
    return status === EXIT_OK && place.copies === undefined ? EXIT_NOTHING_ZERO_COPY : status;
  } finally {
    place.close();
  }
}

async function runAll(place: Place, given: Arguments): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  const mtu = place.name === 'remote' ? undefined : place.mtu;
  const trials = trialsOf(given, place.mtu);
  if (trials.length > 1) console.log(introductionOf(trials, place));
  for (const [index, trial] of trials.entries()) {
    showRunning(`${index + 1} of ${trials.length}: ${titleOf(trial)}`);
    const problem = misfit(trial, mtu);
    if (problem !== undefined && given.mode !== 'all') throw new UsageError(`-s: ${problem}`);
    const port = given.port ?? (place.name === 'remote' ? DEFAULT_PORT : 0);
    const outcome: Outcome =
      problem !== undefined
        ? { trial, result: 'skipped', problems: [problem], remedy: 'a smaller -s' }
        : await (place.name === 'remote' ? runSender : runTrial)(place, trial, port);
    showRunning('');
    console.log(lineOf(outcome));
    if (given.verbose) for (const line of detailsOf(outcome)) console.log(line);
    outcomes.push(outcome);
  }
  return outcomes;
}

/** On a terminal: which run it is just now. The package has no dependency for a bar. */
function showRunning(text: string): void {
  if (process.stdout.isTTY) process.stdout.write(`\r\x1b[K${text}`);
}

/** What is about to run. */
function introductionOf(trials: readonly Trial[], place: Place): string {
  const modes = [...new Set(trials.map(({ mode }) => mode))].join(', ');
  return `${trials.length} runs, ${place.name}: ${modes}`;
}

function copiesText({ copies }: Place, outcomes: readonly Outcome[]): string {
  const nothing = 'zero copy was asked for, but everything was copied';
  const untried = reasonsForNoTry(outcomes).join(', ');
  if (untried !== '')
    return `${nothing}: ${untried} (remedy: npx msg-zerocopy doctor says what to do)`;
  if (copies !== undefined) return `${nothing}: Linux always copies ${copies} (-i rig does not)`;
  return `${nothing} (remedy: npx msg-zerocopy doctor ADDRESS says why)`;
}

function exitStatus(outcomes: readonly Outcome[]): number {
  if (outcomes.some(({ result }) => result === 'failed')) return EXIT_FAILED;
  return outcomes.some(({ result }) => result === 'ok') ? EXIT_OK : EXIT_NOTHING_RAN;
}

async function receive(given: Arguments, address: string): Promise<number> {
  const [family = 4] = given.families;
  const { seconds } = given;
  const receiver = startReceiver(Place.remote(address), {
    trial: { family, mode: given.mode as Mode },
    address,
    port: given.port ?? DEFAULT_PORT,
    idleMs: IDLE_MS,
    ...(seconds === undefined ? {} : { seconds }),
  });
  try {
    const bound = await receiver.next('listening', RECEIVER_START_MS);
    console.log(`receiving ${given.mode} at ${bound.address} port ${bound.port}`);
    const { result } = await receiver.next('result', MOST_WAITING_MS);
    const problems = receiverProblems(result);
    if (result.bytes === 0) problems.push('nothing arrived');
    console.log(receiverLine(result, problems));
    if (given.verbose) console.log(`  received ${JSON.stringify(result)}`);
    return problems.length === 0 ? EXIT_OK : EXIT_FAILED;
  } catch (error) {
    if (error instanceof Unavailable) throw error;
    console.error(`msg-zerocopy selftest: ${(error as Error).message}`);
    return EXIT_FAILED;
  } finally {
    await receiver.end();
  }
}
