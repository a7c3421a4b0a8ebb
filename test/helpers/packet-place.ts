// Where packet tests run: a plain veth pair between two namespaces, and the rig. The process of the
// tests stays outside; a program in the near namespace holds the sockets under test, and starts the
// receiver in the far one by itself (see packet-sender-program.ts).
import assert from 'node:assert';
import path from 'node:path';
import { Rig, rigUnavailable } from '../../scripts/rig';
import { runCommand } from '../../scripts/rig/commands';
import { generateSides, PREFIX4, PREFIX6, type RigSide } from '../../scripts/rig/names';
import { inNamespace } from '../../scripts/rig/setup';
import { cancelTearDownOnExit, removeNamespaces, tearDownOnExit } from '../../scripts/rig/teardown';
import { type End, ip, linkState, tc, type Wire } from './packet-wire';
import type { Answer, Scenarios, SenderArgument } from '../scenarios/packet-sender-program';
import { type Ending, Program } from './program';

const PROGRAM = path.join(__dirname, '../scenarios/packet-sender-program.js');
const MTU = 1500;

type Params<F> = F extends (...args: infer A) => unknown
  ? A extends [unknown, infer P]
    ? P
    : undefined
  : undefined;
type Result<F> = F extends (...args: never[]) => infer R ? Awaited<R> : never;

/** A program in the near namespace. */
export class Sender {
  readonly #program: Program;

  constructor(wire: Wire, prefix: readonly string[], env: Readonly<Record<string, string>>) {
    const given: SenderArgument = { wire };
    const node = [process.execPath, '--expose-gc', PROGRAM, JSON.stringify(given)];
    const pinned = ['taskset', '-c', String(wire.near.cpu), ...prefix, ...node];
    this.#program = new Program(['ip', 'netns', 'exec', wire.near.netns, ...pinned], env);
  }

  /** Runs one scenario to its end. Throws: what it threw, or that the program ended. */
  async run<M extends keyof Scenarios, S extends keyof Scenarios[M] & string>(
    module: M,
    scenario: S,
    ...params: Params<Scenarios[M][S]> extends undefined ? [] : [Params<Scenarios[M][S]>]
  ): Promise<Result<Scenarios[M][S]>> {
    this.#program.tell({ module, scenario, params: params[0] ?? null });
    const answer = await this.#program.next<Answer>();
    if ('failure' in answer) {
      if (answer.last === true) await this.#program.ended();
      throw new Error(`${module}/${scenario}: ${answer.failure}`);
    }
    return answer.result as Result<Scenarios[M][S]>;
  }

  /** Starts a scenario that ends its process. */
  async runToEnd<M extends keyof Scenarios>(
    module: M,
    scenario: keyof Scenarios[M] & string,
    params: unknown = null,
  ): Promise<Ending> {
    this.#program.tell({ module, scenario, params });
    return this.#program.ended();
  }

  get alive(): boolean {
    return this.#program.alive;
  }

  async stop(): Promise<void> {
    if (this.#program.alive) this.#program.kill('SIGKILL');
    await this.#program.ended();
  }
}

export class PacketPlace {
  readonly #senders: Sender[] = [];
  #shared: Sender | undefined;

  constructor(readonly wire: Wire) {}

  /** The program that the tests of a suite share. */
  get sender(): Sender {
    if (this.#shared?.alive !== true) this.#shared = this.startSender();
    return this.#shared;
  }

  /** @param prefix a command to start it with, such as setpriv */
  startSender(prefix: readonly string[] = [], env: Readonly<Record<string, string>> = {}): Sender {
    const sender = new Sender(this.wire, prefix, env);
    this.#senders.push(sender);
    return sender;
  }

  async close(): Promise<void> {
    await Promise.all(this.#senders.map((sender) => sender.stop()));
  }
}

// One queue, whose packets all go to the receiver's CPU: their order is kept whoever sends them.
function buildPair(near: RigSide, far: RigSide): void {
  for (const { netns } of [near, far]) {
    runCommand(['ip', 'netns', 'add', netns]);
    runCommand(['ip', '-n', netns, 'link', 'set', 'lo', 'up']);
  }
  const shape = ['mtu', String(MTU), 'numtxqueues', '1', 'numrxqueues', '1'];
  const peer = ['peer', 'name', far.device, ...shape, 'netns', far.netns];
  ip(near, 'link', 'add', 'name', near.device, ...shape, 'type', 'veth', ...peer);
  for (const side of [near, far]) {
    ip(side, 'link', 'set', side.device, 'up');
    ip(side, 'addr', 'add', `${side.address4}/${PREFIX4}`, 'dev', side.device);
    ip(side, 'addr', 'add', `${side.address6}/${PREFIX6}`, 'dev', side.device, 'nodad');
    const file = `/sys/class/net/${side.device}/queues/rx-0/rps_cpus`;
    const script = 'printf %s "$2" > "$1"';
    const mask = (2 ** side.cpu).toString(16);
    runCommand(inNamespace(side, ['sh', '-euc', script, 'sh', file, mask]));
  }
  tc(near, 'qdisc', 'replace', 'dev', near.device, 'root', 'pfifo', 'limit', '10000');
}

// Frames are sent to known neighbours: nothing but what a test sends is on the wire for its sake.
function makeWire(near: RigSide, far: RigSide): Wire {
  const sink = `k${near.device}`.slice(0, 15);
  ip(near, 'link', 'add', 'name', sink, 'type', 'ifb');
  ip(near, 'link', 'set', sink, 'up');
  const end = (side: RigSide): End => ({
    ...side,
    mac: linkState(side, side.device).address,
  });
  const wire: Wire = { near: end(near), far: end(far), sink, mtu: MTU };
  const neighbours = [
    [wire.near, wire.far],
    [wire.far, wire.near],
  ] as const;
  for (const [here, there] of neighbours) {
    for (const address of [there.address4, there.address6]) {
      const entry = [address, 'lladdr', there.mac, 'dev', here.device, 'nud', 'permanent'];
      ip(here, 'neigh', 'replace', ...entry);
    }
  }
  return wire;
}

interface Built {
  readonly wire: Wire;
  down(): void;
}

function plainPair(): Built {
  const { sender, receiver } = generateSides('process');
  const remove = (): void => removeNamespaces([sender.netns, receiver.netns]);
  tearDownOnExit(remove);
  const down = (): void => {
    remove();
    cancelTearDownOnExit(remove);
  };
  try {
    buildPair(sender, receiver);
    return { wire: makeWire(sender, receiver), down };
  } catch (error) {
    down();
    throw error;
  }
}

function overTheRig(): Built {
  const rig = Rig.up();
  return { wire: makeWire(rig.sender, rig.receiver), down: () => rig.down() };
}

function placeSuite(title: string, build: () => Built, body: (get: () => PacketPlace) => void) {
  describe(title, () => {
    const unavailable = rigUnavailable();
    if (unavailable !== undefined) {
      const problem = `${unavailable.reason} (remedy: ${unavailable.remedy})`;
      if (process.env['CI'] && process.geteuid?.() === 0) {
        it('has namespaces of its own', () => assert.fail(problem));
      } else {
        it(`skipped: ${problem}`);
      }
      return;
    }
    let built: Built | undefined;
    let place: PacketPlace | undefined;
    before(() => {
      built = build();
      place = new PacketPlace(built.wire);
    });
    after(async () => {
      await place?.close();
      built?.down();
    });
    body(() => place as PacketPlace);
  });
}

/** A suite over a veth pair without anything else. */
export function plainPacketSuite(title: string, body: (get: () => PacketPlace) => void): void {
  placeSuite(`${title}, over a veth pair`, plainPair, body);
}

/** The same suite over the veth pair and over the rig. */
export function packetSuites(title: string, body: (get: () => PacketPlace) => void): void {
  plainPacketSuite(title, body);
  placeSuite(`${title}, over the rig`, overTheRig, body);
}
