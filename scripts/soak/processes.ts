// The soak's hold on its processes.
import type { ChildProcess, SpawnOptions } from 'node:child_process';
import path from 'node:path';
import type { RigSideName } from '../rig';
import type { Place } from '../place';

const ENDS_WITHIN_MS = 10_000;

export interface ProcessEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** In words, behind 'it had closed everything, and'. */
export function describeEnd(end: ProcessEnd | undefined): string {
  return end === undefined ? 'did not end by itself' : `ended with ${end.code}, ${end.signal}`;
}

export class SoakProcess<From extends { event: string }, To extends object> {
  readonly #child: ChildProcess;
  readonly ended: Promise<ProcessEnd>;
  readonly #waiting = new Map<string, (message: From | undefined) => void>();
  #end: ProcessEnd | undefined;

  /**
   * @param program of this folder
   * @param prefix a command to start it with, such as prlimit
   */
  constructor(
    place: Place,
    side: RigSideName,
    program: string,
    onMessage: (message: From) => void,
    prefix: readonly string[] = [],
    environment: Readonly<Record<string, string>> = {},
  ) {
    const file = path.join(__dirname, `${program}.js`);
    const options: SpawnOptions = {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      env: { ...process.env, ...environment },
    };
    const argv = [...prefix, process.execPath, '--expose-gc', file];
    const child = place.start(side, argv, options);
    this.#child = child;
    child.on('message', (message) => {
      onMessage(message as From);
      this.#settle((message as From).event, message as From);
    });
    this.ended = new Promise((resolve) => {
      child.once('error', () => resolve({ code: null, signal: null }));
      child.once('close', (code, signal) => resolve({ code, signal }));
    });
    void this.ended.then((end) => {
      this.#end = end;
      for (const event of [...this.#waiting.keys()]) this.#settle(event, undefined);
    });
  }

  #settle(event: string, message: From | undefined): void {
    const resolve = this.#waiting.get(event);
    this.#waiting.delete(event);
    resolve?.(message);
  }

  tell(message: To): void {
    // One that ended by itself is told of elsewhere.
    if (this.#child.connected) this.#child.send(message, () => undefined);
  }

  /** The next message of this kind; undefined when the process ends before, or takes too long. */
  next<E extends From['event']>(
    event: E,
    withinMs: number,
  ): Promise<Extract<From, { event: E }> | undefined> {
    if (this.#end !== undefined) return Promise.resolve(undefined);
    const timer = setTimeout(() => this.#settle(event, undefined), withinMs);
    return new Promise<From | undefined>((resolve) => this.#waiting.set(event, resolve)).then(
      (message) => {
        clearTimeout(timer);
        return message as Extract<From, { event: E }> | undefined;
      },
    );
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }

  /** How it ended by itself; undefined: it did not, and was killed. */
  async end(): Promise<ProcessEnd | undefined> {
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      this.kill();
    }, ENDS_WITHIN_MS);
    const end = await this.ended;
    clearTimeout(timer);
    return isLate ? undefined : end;
  }
}
