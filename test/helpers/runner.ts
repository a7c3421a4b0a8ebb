// The parent's side of test/rig/programs/runner.ts: scenarios as typed calls.
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import path from 'node:path';
import type { RunAnswer, RunRequest } from '../rig/programs/runner';

const PROGRAM = path.join(__dirname, '../rig/programs/runner.js');

/** Every module of scenarios. */
interface Modules {
  budget: typeof import('../rig/programs/budget');
  capture: typeof import('../rig/programs/capture');
  churn: typeof import('../rig/programs/churn');
  conformance: typeof import('../rig/programs/conformance');
  'core-faults': typeof import('../rig/programs/core-faults');
  descriptors: typeof import('../rig/programs/descriptors');
  enobufs: typeof import('../rig/programs/enobufs');
  integrity: typeof import('../rig/programs/integrity');
  'io-uring-ends': typeof import('../rig/programs/io-uring-ends');
  'io-uring-load': typeof import('../rig/programs/io-uring-load');
  'io-uring-mixed': typeof import('../rig/programs/io-uring-mixed');
  'io-uring-pointers': typeof import('../rig/programs/io-uring-pointers');
  'io-uring-refused': typeof import('../rig/programs/io-uring-refused');
  'io-uring-registered': typeof import('../rig/programs/io-uring-registered');
  'io-uring-staging': typeof import('../rig/programs/io-uring-staging');
  linger: typeof import('../rig/programs/linger');
  metrics: typeof import('../rig/programs/metrics');
  mutation: typeof import('../rig/programs/mutation');
  'own-writes': typeof import('../rig/programs/own-writes');
  promises: typeof import('../rig/programs/promises');
  routes: typeof import('../rig/programs/routes');
  teardown: typeof import('../rig/programs/teardown');
  waiting: typeof import('../rig/programs/waiting');
}

type Params<F> = F extends (params: infer P) => unknown ? P : never;
type Result<F> = F extends (params: never) => infer R ? Awaited<R> : never;

/** Starts a program: on this machine, in a namespace, under limits. */
export type Starter = (argv: readonly string[], options: SpawnOptions) => ChildProcess;

export const startHere: Starter = (argv, options) => {
  const [file = '', ...rest] = argv;
  return spawn(file, rest, options);
};

/** A starter that puts `prefix` (prlimit, setpriv …) in front. */
export function under(prefix: readonly string[], start: Starter): Starter {
  return (argv, options) => start([...prefix, ...argv], options);
}

export class Runner {
  readonly #child: ChildProcess;
  readonly #gone: Promise<string>;

  constructor(start: Starter, environment: Readonly<Record<string, string>> = {}) {
    this.#child = start([process.execPath, '--expose-gc', PROGRAM], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      env: { ...process.env, ...environment },
    });
    this.#gone = new Promise((resolve) => {
      this.#child.once('error', (error) => resolve(error.message));
      this.#child.once('exit', (code, signal) => resolve(`code ${code}, signal ${signal}`));
    });
  }

  /** Runs one scenario to its end. Throws: what the scenario threw, or that the program died. */
  async run<M extends keyof Modules, S extends keyof Modules[M] & string>(
    module: M,
    scenario: S,
    params: Params<Modules[M][S]>,
  ): Promise<Result<Modules[M][S]>> {
    const answered = new Promise<RunAnswer>((resolve) => this.#child.once('message', resolve));
    this.#child.send({ module, scenario, params } satisfies RunRequest);
    const died = this.#gone.then((how): RunAnswer => ({ failure: `the runner ended: ${how}` }));
    const answer = await Promise.race([answered, died]);
    if ('failure' in answer) throw new Error(`${scenario}: ${answer.failure}`);
    return answer.result as Result<Modules[M][S]>;
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#gone;
  }
}
