// One end of a run: a process that speaks over IPC, and never outlives its welcome.
import type { ChildProcess } from 'node:child_process';
import { Unavailable } from '../rig/availability';

interface Event {
  readonly event: string;
  /** With 'unavailable' and 'failed'. */
  readonly reason?: string;
  readonly remedy?: string;
}

type Heard<M extends Event, E extends M['event']> = Extract<M, { event: E }>;

const live = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of live) child.kill('SIGKILL');
});

export class Side<M extends Event> {
  readonly #name: string;
  readonly #process: ChildProcess;
  readonly #heard: M[] = [];
  readonly #exited: Promise<void>;
  #listener: (message: M) => void = () => undefined;
  #wake: () => void = () => undefined;
  #over = false;
  #failure: Error | undefined;

  constructor(name: string, process: ChildProcess) {
    this.#name = name;
    this.#process = process;
    live.add(process);
    process.on('message', (message) => this.#hear(message as M));
    process.on('error', (error) => (this.#failure = error));
    this.#exited = new Promise((resolve) => {
      const over = (): void => {
        live.delete(process);
        this.#over = true;
        this.#wake();
        resolve();
      };
      process.once('exit', over);
      process.once('error', over);
    });
  }

  /** Calls `listener` with every message from now on. */
  onMessage(listener: (message: M) => void): void {
    this.#listener = listener;
  }

  tell(message: object): void {
    // One that has ended meanwhile says so by its exit.
    if (this.#process.connected) this.#process.send(message, () => undefined);
  }

  /**
   * Settles with the message of that name, also one that came before.
   * Throws: when the process says that it cannot run (Unavailable) or failed, when it ends without a
   * word, and when `deadlineMs` have passed.
   */
  async next<E extends M['event']>(event: E, deadlineMs: number): Promise<Heard<M, E>> {
    const deadline = Date.now() + deadlineMs;
    for (;;) {
      const found = this.#heard.find((message) => message.event === event);
      if (found !== undefined) return found as Heard<M, E>;
      this.#checkAlive();
      const left = deadline - Date.now();
      if (left <= 0) throw new Error(`${this.#name}: no '${event}' within ${deadlineMs} ms`);
      await this.#change(left);
    }
  }

  /** Ends the process, if it has not ended by itself; settles when it is gone. */
  async end(): Promise<void> {
    if (!this.#over) this.#process.kill('SIGKILL');
    await this.#exited;
  }

  #hear(message: M): void {
    this.#heard.push(message);
    this.#listener(message);
    this.#wake();
  }

  #checkAlive(): void {
    for (const { event, reason = '', remedy = '' } of this.#heard) {
      if (event === 'unavailable') throw new Unavailable(reason, remedy);
      if (event === 'failed') throw new Error(`${this.#name}: ${reason}`);
    }
    if (!this.#over) return;
    const { exitCode, signalCode } = this.#process;
    const how = this.#failure?.message ?? `ended early (exit ${exitCode}, signal ${signalCode})`;
    throw new Error(`${this.#name}: ${how}`);
  }

  #change(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
