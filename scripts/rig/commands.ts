// Runs the programs the rig is built with, one at a time, and turns a failure into an error that
// names the command and repeats what it said.
import { spawnSync } from 'node:child_process';

/** Longer than any of these commands takes; a hung one must not hang the caller for ever. */
const COMMAND_TIMEOUT_MS = 60_000;

/** What a command came to. `status` is null when a signal ended it or it could not be started. */
export interface CommandResult {
  readonly status: number | null;
  readonly stdout: string;
  readonly problem: string | undefined;
}

/** Runs `argv` to its end and reports; never throws. */
export function tryCommand(argv: readonly string[]): CommandResult {
  const [file = '', ...rest] = argv;
  const result = spawnSync(file, rest, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: COMMAND_TIMEOUT_MS,
  });
  const stdout = result.stdout ?? '';
  if (result.status === 0) return { status: 0, stdout, problem: undefined };
  const ending =
    result.error?.message ??
    (result.signal === null ? `exit status ${result.status}` : `ended by ${result.signal}`);
  const said = (result.stderr ?? '').trim();
  const problem = `${argv.join(' ')}: ${ending}${said === '' ? '' : `: ${said}`}`;
  return { status: result.status, stdout, problem };
}

/** Runs `argv` to its end and returns its standard output. Throws: when it did not exit with 0. */
export function runCommand(argv: readonly string[]): string {
  const result = tryCommand(argv);
  if (result.problem !== undefined) throw new Error(result.problem);
  return result.stdout;
}

/** Whether `argv` can be started at all, whatever it then exits with. */
export function canStart(argv: readonly string[]): boolean {
  return tryCommand(argv).status !== null;
}

/** The names of all named network namespaces. Source: ip-netns(8). */
export function listNamespaces(): string[] {
  return runCommand(['ip', 'netns', 'list'])
    .split('\n')
    .map((line) => line.split(' ')[0] ?? '')
    .filter((name) => name !== '');
}
