// Senders that come and go beside the long-lived one: under small limits, with system calls that fail,
// and ended in the middle of sending.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { compiledFrom } from '../compiled';
import { canStart } from '../rig/commands';
import type { Chance } from './chance';
import { type ActorName, type ChildName, CHILDREN, type Name, PROCESSES } from './names';
import type { Place } from '../place';
import { describeEnd, SoakProcess } from './processes';
import type { Counts, FromSender, SenderOrder, ToSender } from './protocol';

const BARE = ['setpriv', '--bounding-set=-all', '--inh-caps=-all'];
const EXIT_CODE = 9;
const FINISHES_WITHIN_MS = 120_000;

type Given = Pick<SenderOrder, 'target' | 'address' | 'seed' | 'folder'>;

interface Plan {
  readonly prefix: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly order: Pick<SenderOrder, 'actors' | 'ending' | 'descriptorHog' | 'callsFail'>;
}

export interface ChildEvents {
  onMessage(message: FromSender): void;
  fail(reason: string): void;
  begins(processNumber: number): void;
}

export class Children {
  readonly counts: Counts = {};
  readonly #place: Place;
  readonly #chance: Chance;
  readonly #actors: readonly ActorName[];
  readonly #kinds: readonly ChildName[];
  readonly #events: ChildEvents;
  readonly #folder = mkdtempSync(path.join(os.tmpdir(), 'msg-zerocopy-soak-'));
  #isOver = false;
  #running: Promise<void> = Promise.resolve();
  #present: SoakProcess<FromSender, ToSender> | undefined;
  #number = 0;

  constructor(
    place: Place,
    chance: Chance,
    names: ReadonlySet<Name>,
    actors: readonly ActorName[],
    events: ChildEvents,
  ) {
    this.#place = place;
    this.#chance = chance;
    this.#actors = actors.filter((name) => name !== 'http');
    this.#events = events;
    this.#kinds = CHILDREN.filter((name) => names.has(name) && isPossible(name));
  }

  /** Those asked for that cannot be had here. */
  static absent(names: ReadonlySet<Name>): string[] {
    return CHILDREN.filter((name) => names.has(name) && !isPossible(name)).map(
      (name) => `${name} (needs root, prlimit, setpriv and cc)`,
    );
  }

  begin(given: Given): void {
    if (this.#kinds.length === 0) return;
    this.#running = this.#keepGoing(given);
  }

  async end(): Promise<void> {
    this.#isOver = true;
    this.#present?.tell({ stop: true });
    await this.#running;
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #keepGoing(given: Given): Promise<void> {
    // Each once before any comes again, in an order of its own.
    let left: ChildName[] = [];
    while (!this.#isOver) {
      if (left.length === 0) left = [...this.#kinds];
      const kind = this.#chance.pick(left);
      left = left.filter((name) => name !== kind);
      await this.#run(kind, given);
    }
  }

  async #run(kind: ChildName, given: Given): Promise<void> {
    const { prefix, environment, order } = this.#plan(kind);
    const processNumber = 1 + (this.#number++ % (PROCESSES - 1));
    this.#events.begins(processNumber);
    const child = new SoakProcess<FromSender, ToSender>(
      this.#place,
      'sender',
      'sender',
      (message) => this.#events.onMessage(message),
      prefix,
      environment,
    );
    this.#present = child;
    const seconds = this.#chance.between(10, 30) / 10;
    child.tell({ order: { ...given, ...order, processNumber, seconds } });
    this.#add(`children: ${kind}`);
    if (order.ending === 'wait') await this.#kill(child, seconds);
    else if (order.ending === 'exit') await this.#awaitExit(kind, child);
    else await this.#awaitResult(kind, child);
    if (kind === 'failing') this.#countFailures();
    this.#present = undefined;
  }

  async #kill(child: SoakProcess<FromSender, ToSender>, seconds: number): Promise<void> {
    await child.next('ready', FINISHES_WITHIN_MS);
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    child.kill();
    await child.ended;
  }

  async #awaitExit(kind: ChildName, child: SoakProcess<FromSender, ToSender>): Promise<void> {
    const timer = setTimeout(() => child.kill(), FINISHES_WITHIN_MS);
    const { code, signal } = await child.ended;
    clearTimeout(timer);
    if (code !== EXIT_CODE) this.#events.fail(`child ${kind} ended with ${code}, ${signal}`);
  }

  async #awaitResult(kind: ChildName, child: SoakProcess<FromSender, ToSender>): Promise<void> {
    const answer = await child.next('result', FINISHES_WITHIN_MS);
    if (answer === undefined) {
      child.kill();
      const { code, signal } = await child.ended;
      this.#events.fail(`child ${kind} gave no result: it ended with ${code}, ${signal}`);
      return;
    }
    const end = await child.end();
    if (end?.code !== 0) {
      this.#events.fail(`child ${kind} had closed everything, and ${describeEnd(end)}`);
    }
  }

  #add(what: string, count = 1): void {
    this.counts[what] = (this.counts[what] ?? 0) + count;
  }

  // --- how each is started -------------------------------------------------------------------------

  #only(...names: readonly ActorName[]): readonly ActorName[] {
    const some = this.#actors.filter((name) => names.includes(name));
    return some.length === 0 ? names : some;
  }

  #plan(kind: ChildName): Plan {
    const plain = { prefix: [], environment: {} };
    const streams = this.#only('tcp', 'udp', 'files');
    const finish = { actors: streams, ending: 'finish' } as const;
    switch (kind) {
      case 'exit':
        return { ...plain, order: { actors: this.#actors, ending: 'exit' } };
      case 'kill':
        return { ...plain, order: { actors: this.#actors, ending: 'wait' } };
      case 'memlock': {
        const bytes = this.#chance.size(65_536, 4 * 1024 * 1024);
        return { ...plain, prefix: ['prlimit', `--memlock=${bytes}`, ...BARE], order: finish };
      }
      case 'descriptors': {
        const limit = this.#chance.between(48, 256);
        const order = { ...finish, descriptorHog: limit };
        return { ...plain, prefix: ['prlimit', `--nofile=${limit}`], order };
      }
      case 'no-io-uring': {
        const refuse = compiledFrom('test/scenarios/refuse-io-uring.c');
        return {
          ...plain,
          prefix: [refuse, this.#chance.pick(['EPERM', 'ENOSYS'])],
          order: finish,
        };
      }
      case 'failing':
        return { ...this.#failing(), order: { ...finish, actors: this.#actors, callsFail: true } };
    }
  }

  get #countFile(): string {
    return path.join(this.#folder, 'failures');
  }

  #failing(): Pick<Plan, 'prefix' | 'environment'> {
    writeFileSync(this.#countFile, Buffer.alloc(8));
    const environment = {
      LD_PRELOAD: compiledFrom('scripts/soak/fail-addon.c', ['-shared', '-fPIC', '-ldl']),
      MSG_ZEROCOPY_FAIL: `${this.#chance.between(1, 2 ** 30)} ${this.#chance.size(5, 300)}`,
      MSG_ZEROCOPY_FAIL_COUNT: this.#countFile,
    };
    return { prefix: [], environment };
  }

  #countFailures(): void {
    const failures = Number(readFileSync(this.#countFile).readBigUInt64LE());
    this.#add('system calls made to fail', failures);
  }
}

function isPossible(name: ChildName): boolean {
  switch (name) {
    case 'exit':
    case 'kill':
      return true;
    case 'memlock':
      return process.geteuid?.() === 0 && ['prlimit', 'setpriv'].every((p) => canStart([p, '-V']));
    case 'descriptors':
      return canStart(['prlimit', '-V']);
    case 'failing':
    case 'no-io-uring':
      return canStart(['cc', '--version']);
  }
}
