// The parent's side of test/scenarios/runner.ts: scenarios as typed calls.
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import path from 'node:path';
import type { RunAnswer, RunRequest } from '../scenarios/runner';

const PROGRAM = path.join(__dirname, '../scenarios/runner.js');

/** Every module of scenarios. */
interface Modules {
  budget: typeof import('../scenarios/budget');
  capture: typeof import('../scenarios/capture');
  churn: typeof import('../scenarios/churn');
  conformance: typeof import('../scenarios/conformance');
  'core-faults': typeof import('../scenarios/core-faults');
  descriptors: typeof import('../scenarios/descriptors');
  enobufs: typeof import('../scenarios/enobufs');
  integrity: typeof import('../scenarios/integrity');
  'io-uring-ends': typeof import('../scenarios/io-uring-ends');
  'io-uring-load': typeof import('../scenarios/io-uring-load');
  'io-uring-mixed': typeof import('../scenarios/io-uring-mixed');
  'io-uring-pointers': typeof import('../scenarios/io-uring-pointers');
  'io-uring-refused': typeof import('../scenarios/io-uring-refused');
  'io-uring-staging': typeof import('../scenarios/io-uring-staging');
  linger: typeof import('../scenarios/linger');
  metrics: typeof import('../scenarios/metrics');
  mutation: typeof import('../scenarios/mutation');
  'own-writes': typeof import('../scenarios/own-writes');
  promises: typeof import('../scenarios/promises');
  routes: typeof import('../scenarios/routes');
  teardown: typeof import('../scenarios/teardown');
  waiting: typeof import('../scenarios/waiting');
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
