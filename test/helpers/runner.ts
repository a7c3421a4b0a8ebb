// The parent's side of test/scenarios/runner.ts: scenarios as typed calls, in a process at the sender's end.
import type { ChildProcess } from 'node:child_process';
import path from 'node:path';
import type { Place } from '../../scripts/place';
import type { RunAnswer, RunRequest } from '../scenarios/runner';
import type { Ending } from './program';

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
  'packet-discard': typeof import('../scenarios/packet-discard');
  'packet-errors': typeof import('../scenarios/packet-errors');
  'packet-observed': typeof import('../scenarios/packet-observed');
  'packet-offload': typeof import('../scenarios/packet-offload');
  'packet-queue': typeof import('../scenarios/packet-queue');
  'packet-receive': typeof import('../scenarios/packet-receive');
  'packet-refused': typeof import('../scenarios/packet-refused');
  'packet-ring': typeof import('../scenarios/packet-ring');
  'packet-send': typeof import('../scenarios/packet-send');
  'packet-teardown': typeof import('../scenarios/packet-teardown');
  'packet-vlan': typeof import('../scenarios/packet-vlan');
  'packet-waiting': typeof import('../scenarios/packet-waiting');
  promises: typeof import('../scenarios/promises');
  'raw-ring-arrival': typeof import('../scenarios/raw-ring-arrival');
  'raw-ring-headers': typeof import('../scenarios/raw-ring-headers');
  'raw-ring-routes': typeof import('../scenarios/raw-ring-routes');
  'raw-ring-turns': typeof import('../scenarios/raw-ring-turns');
  'raw-ring-life': typeof import('../scenarios/raw-ring-life');
  pacing: typeof import('../scenarios/pacing');
  'pool-disposal': typeof import('../scenarios/pool-disposal');
  routes: typeof import('../scenarios/routes');
  teardown: typeof import('../scenarios/teardown');
  'udp-denials': typeof import('../scenarios/udp-denials');
  'udp-devices': typeof import('../scenarios/udp-devices');
  'udp-ends': typeof import('../scenarios/udp-ends');
  'udp-failures': typeof import('../scenarios/udp-failures');
  'udp-memory': typeof import('../scenarios/udp-memory');
  'udp-mixed': typeof import('../scenarios/udp-mixed');
  'udp-modes': typeof import('../scenarios/udp-modes');
  'udp-mutation': typeof import('../scenarios/udp-mutation');
  'udp-queues': typeof import('../scenarios/udp-queues');
  'udp-random-turn': typeof import('../scenarios/udp-random-turn');
  'udp-receive': typeof import('../scenarios/udp-receive');
  'udp-reports': typeof import('../scenarios/udp-reports');
  'udp-turns': typeof import('../scenarios/udp-turns');
  waiting: typeof import('../scenarios/waiting');
}

export type Module = keyof Modules;
export type Scenario<M extends Module> = keyof Modules[M] & string;
/** A scenario's parameters; many have none. */
export type Params<M extends Module, S extends Scenario<M>> = Modules[M][S] extends (
  params: infer P,
) => unknown
  ? undefined extends P
    ? [params?: P]
    : unknown extends P
      ? []
      : [params: P]
  : [];
export type Result<M extends Module, S extends Scenario<M>> = Modules[M][S] extends (
  params: never,
) => infer R
  ? Awaited<R>
  : never;

export interface RunnerOptions {
  /** A command to start it with, such as prlimit. */
  readonly prefix?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** What the program is started with, as program-side.ts reads it. */
  readonly argument?: object;
  /** What hangs so long fails, and takes the program with it. */
  readonly deadlineMs?: number;
}

export class Runner {
  readonly #child: ChildProcess;
  readonly #gone: Promise<Ending>;
  #stderr = '';
  readonly #deadlineMs: number | undefined;

  constructor(place: Place, options: RunnerOptions) {
    const { prefix = [], env, argument = {}, deadlineMs } = options;
    const node = [process.execPath, '--expose-gc', PROGRAM, JSON.stringify(argument)];
    this.#deadlineMs = deadlineMs;
    this.#child = place.start('sender', [...prefix, ...node], {
      stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
      env: { ...process.env, ...env },
    });
    this.#child.stderr?.on('data', (chunk: Buffer) => (this.#stderr += chunk.toString()));
    this.#gone = new Promise((resolve, reject) => {
      this.#child.once('error', reject);
      this.#child.once('close', (code, signal) => resolve({ code, signal, stderr: this.#stderr }));
    });
    // run() reports it.
    this.#gone.catch(() => undefined);
  }

  get alive(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Runs one scenario to its end. Throws: what the scenario threw, or that the program died. */
  async run<M extends Module, S extends Scenario<M>>(
    module: M,
    scenario: S,
    ...[params]: Params<M, S>
  ): Promise<Result<M, S>> {
    const answered = new Promise<RunAnswer>((resolve) => this.#child.once('message', resolve));
    const hung = new AbortController();
    const timer =
      this.#deadlineMs === undefined ? undefined : setTimeout(() => hung.abort(), this.#deadlineMs);
    hung.signal.addEventListener('abort', () => this.#child.kill('SIGKILL'));
    this.#child.send({ module, scenario, params } satisfies RunRequest);
    const died = this.#gone.then(({ code, signal, stderr }): RunAnswer => {
      const how = hung.signal.aborted ? 'it hung' : `code ${code}, signal ${signal}`;
      return { failure: `the runner ended: ${how}\n${stderr}` };
    });
    const answer = await Promise.race([answered, died]).finally(() => clearTimeout(timer));
    if ('failure' in answer) throw new Error(`${module}/${scenario}: ${answer.failure}`);
    return answer.result as Result<M, S>;
  }

  /** Starts a scenario that ends its process; how it ended. */
  async runToEnd<M extends Module, S extends Scenario<M>>(
    module: M,
    scenario: S,
    ...[params]: Params<M, S>
  ): Promise<Ending> {
    this.#child.send({ module, scenario, params } satisfies RunRequest);
    return this.#gone;
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#gone;
  }
}
