// Programs that a test runs: each prints one JSON object a line, is told things by lines of JSON, and
// its end (code, signal, what it wrote to standard error) can be waited for.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { type Place, type Side } from '../../scripts/place';
import { loopback } from './suites';

/** How a program ended. */
export interface Ending {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stderr: string;
}

export interface ProgramOptions {
  readonly place?: Place;
  readonly side?: Side;
  /** The Node binary; default: the one that runs the tests. */
  readonly node?: string;
  readonly nodeOptions?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

const FOLDER = path.join(__dirname, '../scenarios');
/** Longer than any program takes that works. */
const ENDING_DEADLINE_MS = 20_000;

const running = new Set<Program>();

export class Program {
  readonly #child: ChildProcess;
  readonly #ending: Promise<Ending>;
  readonly #lines: unknown[] = [];
  #wake: () => void = () => undefined;
  #over = false;
  #stderr = '';

  constructor(argv: readonly string[], env: Readonly<Record<string, string>>) {
    const [file = '', ...rest] = argv;
    this.#child = spawn(file, rest, {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    });
    const { stdin, stdout, stderr } = this.#child;
    stdin?.on('error', () => undefined); // it ended before it was told
    stderr?.on('data', (chunk: Buffer) => (this.#stderr += chunk.toString()));
    if (stdout !== null) {
      createInterface({ input: stdout }).on('line', (line) => {
        this.#lines.push(JSON.parse(line));
        this.#wake();
      });
    }
    this.#ending = new Promise((resolve, reject) => {
      this.#child.once('error', reject);
      this.#child.once('close', (code, signal) => {
        this.#over = true;
        running.delete(this);
        resolve({ code, signal, stderr: this.#stderr });
        this.#wake();
      });
    });
  }

  /** Whether the process still runs. */
  get alive(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** The next line. Throws: when the program ends without one. */
  async next<T>(): Promise<T> {
    while (this.#lines.length === 0) {
      if (this.#over) throw new Error(`the program ended early: ${this.#stderr}`);
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    return this.#lines.shift() as T;
  }

  tell(command: object): void {
    this.#child.stdin?.write(`${JSON.stringify(command)}\n`);
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** How it ended. Throws: when it does not end by itself within `deadlineMs`. */
  async ended(deadlineMs = ENDING_DEADLINE_MS): Promise<Ending> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(
        () => reject(new Error(`still running after ${deadlineMs} ms: ${this.#stderr}`)),
        deadlineMs,
      );
    });
    try {
      return await Promise.race([this.#ending, late]);
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Starts `<name>.js` of test/scenarios with one argument, an object. */
export function startProgram(
  name: string,
  argument: object,
  options: ProgramOptions = {},
): Program {
  const place = options.place ?? loopback;
  const argv = [
    options.node ?? process.execPath,
    ...(options.nodeOptions ?? []),
    path.join(FOLDER, `${name}.js`),
    JSON.stringify(argument),
  ];
  const program = new Program(place.command(options.side ?? 'sender', argv), options.env ?? {});
  running.add(program);
  return program;
}

/** Ends what a test left running: for `afterEach`. */
export async function stopPrograms(): Promise<void> {
  const left = [...running];
  for (const program of left) program.kill('SIGKILL');
  await Promise.all(left.map((program) => program.ended()));
}

/** Reads a child's standard output line by line; fails when it ends before the line asked for. */
export function lineReader(child: ChildProcess): () => Promise<string> {
  assert(child.stdout !== null, 'the child needs a pipe for its standard output');
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return async () => {
    const next = await lines.next();
    if (next.done === true) {
      throw new Error(`${child.spawnargs.join(' ')}: ended without another line`);
    }
    return next.value;
  };
}
