// A place with a program that runs a suite's scenarios at one end, and one that receives at the other.
import path from 'node:path';
import type { Place } from '../../scripts/place';
import type { Rig } from '../../scripts/rig';
import { Program } from './program';
import { Runner, type RunnerOptions } from './runner';

export class RunnerPlace {
  readonly #ends: (() => Promise<unknown>)[] = [];
  #runner: Runner | undefined;

  constructor(
    readonly place: Place,
    readonly options: Pick<RunnerOptions, 'argument' | 'deadlineMs'> = {},
  ) {}

  get rig(): Rig | undefined {
    return this.place.rig;
  }

  /** The runner that the tests of a suite share. */
  get runner(): Runner {
    if (this.#runner?.alive !== true) this.#runner = this.startRunner();
    return this.#runner;
  }

  /**
   * A runner of its own.
   * @param prefix a command to start it with, such as prlimit
   */
  startRunner(prefix: readonly string[] = [], env: Readonly<Record<string, string>> = {}): Runner {
    const runner = new Runner(this.place, { ...this.options, prefix, env });
    this.#ends.push(() => runner.stop());
    return runner;
  }

  /** Starts a program of test/scenarios at the receiver's end. Settles with the port that it listens on. */
  protected async startReceiver(name: string): Promise<number> {
    const file = path.join(__dirname, `../scenarios/${name}.js`);
    const program = new Program(this.place.command('receiver', [process.execPath, file]), {});
    this.#ends.push(() => {
      program.kill('SIGKILL');
      return program.ended();
    });
    return (await program.next<{ port: number }>()).port;
  }

  async close(): Promise<void> {
    await Promise.all(this.#ends.splice(0).map((end) => end()));
  }
}
