// A piece of a test in a process of its own, for what happens once per process: warnings, environment
// variables, uncaught exceptions.
import { spawn } from 'node:child_process';
import path from 'node:path';

/** What the piece may use: nothing around it reaches the other process. */
export interface Tools {
  readonly zc: typeof import('../../lib/index');
  readonly net: typeof import('node:net');
  readonly events: typeof import('node:events');
  /** Messages of the process warnings so far, by code. */
  readonly warnings: readonly { readonly code: string; readonly message: string }[];
  /** A turn of the event loop, so that warnings and notices arrive. */
  turn(): Promise<void>;
  /** Replaces timers and clocks by some that stand still, as fake timers do until a test moves them. */
  freezeTime(): void;
  /** The same for process.nextTick and queueMicrotask, without which Node's own streams stand still, too. */
  freezeTicks(): void;
}

export interface Isolated<T> {
  readonly code: number | null;
  readonly stderr: string;
  /** What the piece answered, as JSON keeps it; undefined when it ended early. */
  readonly answer: T | undefined;
}

const PRELUDE = `
const warnings = [];
process.on('warning', ({ code, message }) => warnings.push({ code, message }));
const { setImmediate: immediately } = globalThis;
const never = () => ({ ref() { return this; }, unref() { return this; }, refresh() { return this; } });
const tools = {
  zc: require(process.argv[1]), net: require('node:net'), events: require('node:events'), warnings,
  turn: () => new Promise((resolve) => immediately(() => immediately(resolve))),
  freezeTime() {
    const names = ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'setImmediate'];
    for (const owner of [globalThis, require('node:timers')])
      for (const name of names) owner[name] = never;
    globalThis.performance = { now: () => 0 };
    globalThis.Date = class { static now() { return 0; } };
  },
  freezeTicks() {
    process.nextTick = globalThis.queueMicrotask = never;
  },
};
`;

interface Surroundings {
  readonly env?: Readonly<Record<string, string>>;
  /** Runs before this package is loaded. */
  readonly before?: () => void;
  /** A command that runs the process, such as refusing(). */
  readonly prefix?: readonly string[];
}

/** @param body uses its parameter only: its source text is run */
export function isolated<T>(
  body: (tools: Tools) => T | Promise<T>,
  options: Surroundings = {},
): Promise<Isolated<T>> {
  const script = `(${(options.before ?? (() => undefined)).toString()})();${PRELUDE}
Promise.resolve((${body.toString()})(tools)).then((answer) => {
  process.stdout.write(JSON.stringify({ answer }));
});`;
  const library = path.join(__dirname, '../../lib/index.js');
  const node = [process.execPath, '--no-warnings', '-e', script, library];
  const [command = '', ...args] = [...(options.prefix ?? []), ...node];
  const child = spawn(command, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    // A piece that hangs fails its test and must not keep the whole run alive.
    timeout: 45_000,
    killSignal: 'SIGKILL',
    env: { ...process.env, ...options.env },
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      const answer = stdout === '' ? undefined : (JSON.parse(stdout) as { answer: T }).answer;
      resolve({ code, stderr, answer });
    });
  });
}
