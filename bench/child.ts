// A trial's process as the runner sees it: JSON lines come from its standard output, and it never
// outlives the runner. What the lines mean is the workload's business.
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import readline from 'node:readline';

export type Message = Record<string, unknown> & { event: string };

const keptStderr = 4000;
const live = new Set<Child>();
process.on('exit', endAll);

/** For every way out of the runner; safe to call twice. */
export function endAll(): void {
  for (const child of live) child.kill();
}

export class Child {
  readonly #process: ChildProcess;
  readonly #name: string;
  readonly #messages: Message[] = [];
  readonly #exited: Promise<void>;
  #output = '';
  #stderr = '';
  #done = false;
  #failure: Error | undefined;
  #wake: () => void = () => undefined;

  constructor(name: string, process: ChildProcess) {
    this.#name = name;
    this.#process = process;
    live.add(this);
    process.on('error', (error) => (this.#failure = error));
    // A child that died early breaks its pipe; the exit is reported, the pipe need not be.
    process.stdin?.on('error', () => undefined);
    process.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-keptStderr);
    });
    if (process.stdout) {
      readline.createInterface({ input: process.stdout }).on('line', (line) => this.#take(line));
    }
    this.#exited = once(process, 'close').then(
      () => this.#finish(),
      () => this.#finish(),
    );
  }

  /** Resolves with the first message of that name, also one that came before. */
  async next(event: string, timeoutMs: number): Promise<Message> {
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      const index = this.#messages.findIndex((message) => message.event === event);
      const [found] = index >= 0 ? this.#messages.splice(index, 1) : [];
      if (found) return found;
      const left = deadline - Date.now();
      if (this.#done) throw this.#error(`ended without saying '${event}'`);
      if (left <= 0) throw this.#error(`did not say '${event}' within ${timeoutMs} ms`);
      await this.#change(left);
    }
  }

  /** Takes all messages of that name that came so far. */
  all(event: string): Message[] {
    const found = this.#messages.filter((message) => message.event === event);
    const others = this.#messages.filter((message) => message.event !== event);
    this.#messages.splice(0, Infinity, ...others);
    return found;
  }

  /** Everything it printed that was not a message; resolves at its end, fails if that was a failure. */
  async output(timeoutMs: number): Promise<string> {
    if (!(await this.endedWithin(timeoutMs))) throw this.#error(`ran over ${timeoutMs} ms`);
    if (this.#failure || this.#process.exitCode !== 0) throw this.#error('failed');
    return this.#output;
  }

  /** Whether it ended by itself in time. */
  async endedWithin(timeoutMs: number): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, timeoutMs)));
    await Promise.race([this.#exited, late]);
    clearTimeout(timer);
    return this.#done;
  }

  /** A line on its standard input. */
  tell(line: string): void {
    this.#process.stdin?.write(`${line}\n`);
  }

  /** For SIGSTOP and SIGCONT. */
  signal(name: NodeJS.Signals): void {
    if (!this.#done) this.#process.kill(name);
  }

  kill(): void {
    if (!this.#done) this.#process.kill('SIGKILL');
  }

  /** Ends what ends with its standard input, and kills what does not. */
  async leave(timeoutMs: number): Promise<void> {
    this.#process.stdin?.end();
    if (!(await this.endedWithin(timeoutMs))) await this.end();
  }

  async end(): Promise<void> {
    this.kill();
    await this.#exited;
  }

  #take(line: string): void {
    const message = line.startsWith('{') ? parseMessage(line) : undefined;
    if (message) this.#messages.push(message);
    else this.#output += `${line}\n`;
    this.#wake();
  }

  #finish(): void {
    this.#done = true;
    live.delete(this);
    this.#wake();
  }

  #change(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #error(what: string): Error {
    const { exitCode, signalCode } = this.#process;
    const end = this.#done ? ` (exit code ${exitCode}, signal ${signalCode})` : '';
    const cause = this.#failure?.message ?? this.#stderr.trim();
    return new Error(`${this.#name} ${what}${end}${cause === '' ? '' : `: ${cause}`}`);
  }
}

function parseMessage(line: string): Message | undefined {
  try {
    const value = JSON.parse(line) as Message;
    return typeof value.event === 'string' ? value : undefined;
  } catch {
    return undefined;
  }
}
