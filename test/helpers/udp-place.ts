// Where the datagrams of a test travel: over loopback, where the kernel copies after all, and over the
// rig, where it does not. One program that receives, and one that runs scenarios, for each suite.
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import type { Rig, RigOptions, RigSideName } from '../../scripts/rig';
import { lineReader, rigSuite } from './rig';
import { Runner, startHere, type Starter, under } from './runner';
import type { ReceiverAddress, UdpFamily } from './udp-receiver';

const RECEIVER = path.join(__dirname, '../scenarios/udp-receiver-program.js');

/** Longer than any scenario takes that works, and shorter than the test runner waits. */
const SCENARIO_DEADLINE_MS = 30_000;

/** Every module of scenarios. */
interface Modules {
  'udp-denials': typeof import('../scenarios/udp-denials');
  'udp-devices': typeof import('../scenarios/udp-devices');
  'udp-ends': typeof import('../scenarios/udp-ends');
  'udp-failures': typeof import('../scenarios/udp-failures');
  'udp-memory': typeof import('../scenarios/udp-memory');
  'udp-mixed': typeof import('../scenarios/udp-mixed');
  'udp-mutation': typeof import('../scenarios/udp-mutation');
  'udp-modes': typeof import('../scenarios/udp-modes');
  'udp-queues': typeof import('../scenarios/udp-queues');
  'udp-receive': typeof import('../scenarios/udp-receive');
  'udp-random-turn': typeof import('../scenarios/udp-random-turn');
  'udp-turns': typeof import('../scenarios/udp-turns');
  'udp-reports': typeof import('../scenarios/udp-reports');
}

type Result<F> = F extends (...params: never) => infer R ? Awaited<R> : never;
type Params<F> = F extends (params: infer P) => unknown ? P : never;
type Run = (module: string, scenario: string, params: unknown) => Promise<unknown>;

/** What every scenario is told. */
export interface UdpParams {
  readonly at: ReceiverAddress;
  readonly type: UdpFamily;
  readonly place: 'loopback' | 'rig';
  /** The sender's device and addresses on it. */
  readonly device: string;
  readonly address4: string;
  readonly address6: string;
}

export const UDP_FAMILIES: readonly UdpFamily[] = ['udp4', 'udp6'];

export class UdpPlace {
  #runner: Runner | undefined;
  #control = 0;
  readonly #ends: (() => Promise<void> | void)[] = [];

  constructor(readonly rig: Rig | undefined) {}

  async open(): Promise<void> {
    // Datagrams that lost a fragment wait for it, and take the room of those that lost none.
    for (const name of ['ipv4/ipfrag', 'ipv6/ip6frag']) {
      this.#set('receiver', `net/${name}_high_thresh`, '67108864');
      this.#set('receiver', `net/${name}_time`, '1');
    }
    const argv = [process.execPath, RECEIVER];
    const options = { stdio: ['ignore', 'pipe', 'inherit'] as ('ignore' | 'pipe' | 'inherit')[] };
    const child = this.rig?.spawn('receiver', argv, options) ?? startHere(argv, options);
    const gone = new Promise((resolve) => child.once('exit', resolve));
    this.#ends.push(async () => {
      child.kill('SIGKILL');
      await gone;
    });
    this.#control = (JSON.parse(await lineReader(child)()) as { port: number }).port;
  }

  async close(): Promise<void> {
    await Promise.all(this.#ends.map((end) => end()));
  }

  /** Parameters of a scenario. */
  params(type: UdpFamily): UdpParams {
    const { sender, receiver } = this.rig ?? {};
    return {
      at: {
        address4: receiver?.address4 ?? '127.0.0.1',
        address6: receiver?.address6 ?? '::1',
        control: this.#control,
      },
      type,
      place: this.rig === undefined ? 'loopback' : 'rig',
      device: sender?.device ?? 'lo',
      address4: sender?.address4 ?? '127.0.0.1',
      address6: sender?.address6 ?? '::1',
    };
  }

  /** Runs one scenario to its end in the program that the tests of the suite share. */
  async run<M extends keyof Modules, S extends keyof Modules[M] & string>(
    module: M,
    scenario: S,
    params: Params<Modules[M][S]>,
  ): Promise<Result<Modules[M][S]>> {
    const runner = (this.#runner ??= this.#startRunner([]));
    try {
      return await runIn(runner, module, scenario, params);
    } catch (error) {
      // What a scenario left behind that failed must not fail the next one.
      this.#runner = undefined;
      await runner.stop();
      throw new Error(`${(error as Error).message}\n${this.#dropped()}`, { cause: error });
    }
  }

  /** What the receiver's kernel says of datagrams that it did not deliver. */
  #dropped(): string {
    const files = ['snmp', 'snmp6', 'sockstat', 'sockstat6', 'dev'].map(
      (file) => `/proc/net/${file}`,
    );
    const [file = '', ...rest] = this.rig?.command('receiver', ['cat', ...files]) ?? [
      'cat',
      ...files,
    ];
    return execFileSync(file, rest, { encoding: 'utf8' })
      .split('\n')
      .filter((line) => /Reasm|Err|^(Ip|Udp): |FRAG|drop|veth|zcr/.test(line))
      .join('\n');
  }

  /** The same in a program of its own, which begins with `prefix`, such as prlimit. */
  async runAlone<M extends keyof Modules, S extends keyof Modules[M] & string>(
    module: M,
    scenario: S,
    params: Params<Modules[M][S]>,
    prefix: readonly string[] = [],
  ): Promise<Result<Modules[M][S]>> {
    const runner = this.#startRunner(prefix);
    try {
      return await runIn(runner, module, scenario, params);
    } finally {
      await runner.stop();
    }
  }

  // Sets a value under /proc/sys for one end of the rig; none of it reaches the machine.
  #set(side: RigSideName, name: string, value: string): void {
    if (this.rig === undefined) return;
    const script = 'printf %s "$2" > "/proc/sys/$1"';
    const argv = ['sh', '-euc', script, 'sh', name, value];
    const [file = '', ...rest] = this.rig.command(side, argv);
    execFileSync(file, rest);
  }

  #startRunner(prefix: readonly string[]): Runner {
    const { rig } = this;
    const start: Starter =
      rig === undefined ? startHere : (argv, options) => rig.spawn('sender', argv, options);
    const runner = new Runner(under(prefix, start));
    this.#ends.push(() => runner.stop());
    return runner;
  }
}

async function runIn<M extends keyof Modules, S extends keyof Modules[M] & string>(
  runner: Runner,
  module: M,
  scenario: S,
  params: Params<Modules[M][S]>,
): Promise<Result<Modules[M][S]>> {
  const run = runner.run.bind(runner) as unknown as Run;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    const hung = new Error(`${module}/${scenario} hangs`);
    timer = setTimeout(() => reject(hung), SCENARIO_DEADLINE_MS);
  });
  try {
    const ran = run(module, scenario, params) as Promise<Result<Modules[M][S]>>;
    return await Promise.race([ran, late]);
  } finally {
    clearTimeout(timer);
  }
}

function withPlace(getRig: () => Rig | undefined, body: (getPlace: () => UdpPlace) => void): void {
  let place: UdpPlace | undefined;
  before(async () => {
    place = new UdpPlace(getRig());
    await place.open();
  });
  after(() => place?.close());
  body(() => place as UdpPlace);
}

export function udpLoopbackSuite(title: string, body: (getPlace: () => UdpPlace) => void): void {
  describe(`${title}, over loopback`, () => withPlace(() => undefined, body));
}

/** A place with a rig. */
export type UdpRigPlace = UdpPlace & { readonly rig: Rig };

/** A suite over the rig; pending with the reason where there can be none. */
export function udpRigSuite(
  title: string,
  body: (getPlace: () => UdpRigPlace) => void,
  options: RigOptions = {},
): void {
  const inRig = (getRig: () => Rig): void =>
    withPlace(getRig, (getPlace) => body(() => getPlace() as UdpRigPlace));
  rigSuite(`${title}, over the rig`, inRig, options);
}

/** The same suite over loopback and over the rig. */
export function udpEverywhere(title: string, body: (getPlace: () => UdpPlace) => void): void {
  udpLoopbackSuite(title, body);
  udpRigSuite(title, body);
}

/** One test for each scenario of a module and each family of addresses. */
export function udpScenarios<M extends keyof Modules>(
  getPlace: () => UdpPlace,
  module: M,
  titles: Partial<Record<keyof Modules[M] & string, string>>,
): void {
  for (const type of UDP_FAMILIES) {
    describe(type, () => {
      for (const [name, title] of Object.entries(titles)) {
        it(title as string, async () => {
          const scenario = name as keyof Modules[M] & string;
          const params = getPlace().params(type) as Params<Modules[M][typeof scenario]>;
          await getPlace().run(module, scenario, params);
        });
      }
    });
  }
}
