// `rig up | run | down`: a rig by hand. A persistent one is remembered in a file, so that `run` and
// `down` find it again.
import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';

import {
  Rig,
  type RigDescription,
  type RigOptions,
  type RigSideName,
  rigUnavailable,
} from '../rig';
import { UsageError } from '../command-line';
import { listNamespaces } from './commands';
import { isPersistent } from './names';
import { checkRate } from './setup';

const USAGE = `usage: npm run rig -- up [--rate RATE]
       npm run rig -- run [--side sender|receiver] [--rate RATE] COMMAND...
       npm run rig -- down

up     builds a rig that stays, and says how to use it
run    runs COMMAND in the sender's namespace and on its CPU (or the receiver's), in the rig that
       is up, or else in a temporary one; exits with its status
down   removes the rig that is up

RATE is the link's rate as tc(8) spells it, such as 10gbit; unlimited if not given.`;

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;
const EXIT_SIGNALLED = 128;
const STATE_FILE = path.join(os.tmpdir(), `msg-zerocopy-rig.${os.userInfo().uid}.json`);

interface Arguments {
  readonly options: RigOptions;
  readonly side: RigSideName;
  readonly command: readonly string[];
}

/** Runs one command line; sets process.exitCode, or exits. */
export async function main(argv: readonly string[]): Promise<void> {
  try {
    process.exitCode = await dispatch(argv);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    console.error(`rig: ${error.message}`);
    if (error instanceof UsageError) console.error(USAGE);
    process.exitCode = error instanceof UsageError ? EXIT_USAGE : EXIT_FAILED;
  }
}

async function dispatch(argv: readonly string[]): Promise<number> {
  const [verb, ...rest] = argv;
  if (verb === '--help' || verb === '-h') {
    console.log(USAGE);
    return 0;
  }
  const given = parse(rest);
  const verbs = { up, run, down } as const;
  if (verb !== 'up' && verb !== 'run' && verb !== 'down') {
    throw new UsageError(verb === undefined ? 'no command given' : `unknown command '${verb}'`);
  }
  if (verb !== 'run' && (given.command.length > 0 || rest.includes('--side'))) {
    throw new UsageError(`'${verb}' takes no COMMAND and no --side`);
  }
  if (verb === 'run' && given.command.length === 0) throw new UsageError("'run' needs a COMMAND");
  const unavailable = rigUnavailable();
  if (unavailable !== undefined) {
    throw new Error(`${unavailable.reason}\nremedy: ${unavailable.remedy}`);
  }
  return verbs[verb](given);
}

const FLAGS = { rate: { type: 'string' }, side: { type: 'string' } } as const;

// Options end where the command begins: its own are not ours.
function parse(argv: readonly string[]): Arguments {
  const args = [...argv];
  const loose = {
    args,
    options: FLAGS,
    strict: false,
    allowPositionals: true,
    tokens: true,
  } as const;
  const end = parseArgs(loose).tokens.find(({ kind }) => kind !== 'option');
  const at = end?.index ?? args.length;
  try {
    const { rate, side = 'sender' } = parseArgs({ args: args.slice(0, at), options: FLAGS }).values;
    if (side !== 'sender' && side !== 'receiver')
      throw new Error(`--side must be sender or receiver, not '${side}'`);
    if (rate !== undefined) checkRate(rate);
    const command = args.slice(end?.kind === 'option-terminator' ? at + 1 : at);
    return { options: rate === undefined ? {} : { rate }, side, command };
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function up({ options }: Arguments): number {
  if (recall() !== undefined) throw new Error("a rig is up already; 'rig down' removes it");
  const rig = Rig.up({ ...options, lifetime: 'persistent' });
  try {
    remember(rig);
  } catch (error) {
    rig.down();
    throw error;
  }
  const describe = (side: RigSideName) => {
    const { address4, address6, device, cpu } = rig[side];
    console.log(`${side}: ${address4}  ${address6}  (${device}, CPU ${cpu})`);
    console.log(`  ${rig.command(side, ['COMMAND']).join(' ')}`);
  };
  console.log('The rig is up. Run programs at either end with:');
  describe('sender');
  describe('receiver');
  console.log("or with 'npm run rig -- run [--side sender|receiver] COMMAND'.");
  console.log("'npm run rig -- down' removes it.");
  return 0;
}

async function run({ options, side, command }: Arguments): Promise<number> {
  const standing = recall();
  if (standing !== undefined && options.rate !== undefined) {
    throw new Error("--rate cannot change the rig that is up; 'rig down' removes it");
  }
  const rig = standing ?? Rig.up(options);
  try {
    return await runCommandIn(rig, side, command);
  } finally {
    if (standing === undefined) rig.down();
  }
}

// The command decides what a signal means to it; the rig goes when it has ended.
function runCommandIn(rig: Rig, side: RigSideName, command: readonly string[]): Promise<number> {
  const child = rig.spawn(side, command, { stdio: 'inherit' });
  let signals = 0;
  const pass = (signal: NodeJS.Signals) => {
    // A terminal has sent Ctrl-C to the command as well; a second one would cut short its goodbye.
    if (signal === 'SIGINT' && process.stdin.isTTY) return;
    child.kill(signals === 0 ? signal : 'SIGKILL');
    signals += 1;
  };
  const passed = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const signal of passed) process.on(signal, pass);
  return new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => {
      resolve(code ?? EXIT_SIGNALLED + (signal === null ? 0 : os.constants.signals[signal]));
    });
  }).finally(() => {
    for (const signal of passed) process.off(signal, pass);
  });
}

// Only what is remembered here: another persistent rig may belong to another user.
function down(): number {
  const rig = recall();
  rig?.down();
  rmSync(STATE_FILE, { force: true });
  console.log(rig === undefined ? 'No rig is up.' : 'The rig is down.');
  const others = listNamespaces().filter(isPersistent);
  if (others.length > 0) {
    console.log(`Not built here, and left alone: ${others.join(', ')}`);
    console.log("('ip netns del NAME' removes one)");
  }
  return 0;
}

function remember(rig: Rig): void {
  rmSync(STATE_FILE, { force: true });
  // 'wx': never through a link that another user has put there.
  writeFileSync(STATE_FILE, JSON.stringify(rig), { flag: 'wx', mode: 0o600 });
}

/** The persistent rig, unless it is gone (a restart of the machine) or was never built. */
function recall(): Rig | undefined {
  const file = statSync(STATE_FILE, { throwIfNoEntry: false });
  if (file === undefined || file.uid !== os.userInfo().uid) return undefined;
  const description = JSON.parse(readFileSync(STATE_FILE, 'utf8')) as RigDescription;
  const present = listNamespaces().filter(isPersistent);
  const names = [description.sender.netns, description.receiver.netns];
  return names.every((name) => present.includes(name)) ? Rig.find(description) : undefined;
}
