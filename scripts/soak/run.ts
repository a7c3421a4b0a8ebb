// One soak: starts everything, waits, ends everything in the order in which it can be checked.
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { canStart } from '../rig/commands';
import type { Arguments } from './arguments';
import { Chance } from './chance';
import { Children } from './children';
import { Deliveries } from './deliveries';
import { ACTORS, type ActorName, describeToken } from './names';
import { Place } from '../place';
import { Progress } from '../progress';
import { describeEnd, SoakProcess } from './processes';
import type {
  Counts,
  FarOrder,
  FromFar,
  FromSender,
  SenderOrder,
  SenderResult,
  ToFar,
  ToSender,
  Wrong,
} from './protocol';
import { judgeGrowth, type Report } from './report';
import { Weather } from './weather';

const STARTS_WITHIN_MS = 30_000;
const ENDS_WITHIN_MS = 150_000;
const HTTP_CLIENTS = 4;
const MOST_FAILURES = 50;
// What the choices of each are numbered with, so that one does not depend on another's.
const WEATHER = 1001;
const CHILDREN = 1002;

export class Soak {
  readonly #arguments: Arguments;
  readonly #place: Place;
  readonly #actors: readonly ActorName[];
  readonly #absent: string[];
  readonly #failures: string[] = [];
  readonly #counts: Counts = {};
  readonly #deliveries = new Deliveries((reason) => this.#fail(reason));
  readonly #far: SoakProcess<FromFar, ToFar>;
  readonly #sender: SoakProcess<FromSender, ToSender>;
  readonly #weather: Weather;
  readonly #children: Children;
  readonly #folder = mkdtempSync(path.join(os.tmpdir(), 'msg-zerocopy-soak-'));
  readonly #startedMs = performance.now();
  readonly #progress: Progress;
  #wrong: Wrong | undefined;
  #isSenderOver = false;
  #isFarOver = false;
  #stop: () => void = () => undefined;
  readonly #stopped = new Promise<void>((resolve) => (this.#stop = resolve));

  /** Throws: Unavailable. */
  constructor(given: Arguments) {
    this.#arguments = given;
    const { names, seed } = given;
    const asked = ACTORS.filter((name) => names.has(name));
    const rootless = process.geteuid?.() !== 0 || !canStart(['ip', '-V']);
    const needsRoot = (name: ActorName): boolean => ['raw', 'packet', 'ring'].includes(name);
    const impossible = asked.filter((name) => rootless && needsRoot(name));
    this.#actors = asked.filter((name) => !impossible.includes(name));
    this.#absent = impossible.map((name) => `${name} (needs root, and the program ip)`);
    this.#absent.push(...Children.absent(names));
    if (given.place === 'loopback') this.#absent.push('faults of the network (need the rig)');
    this.#progress = new Progress(Math.ceil(given.minutes * 60));
    process.once('exit', () => rmSync(this.#folder, { recursive: true, force: true }));
    this.#place = Place.open(given.place);
    this.#place.growSendBuffers();
    this.#far = new SoakProcess(this.#place, 'receiver', 'receiver', (m) => this.#onFar(m));
    this.#sender = new SoakProcess(this.#place, 'sender', 'sender', (m) => this.#onSender(m));
    const fail = (reason: string): void => this.#fail(reason);
    this.#weather = new Weather(this.#place, Chance.for(seed, WEATHER), names, fail);
    const chance = Chance.for(seed, CHILDREN);
    this.#children = new Children(this.#place, chance, names, this.#actors, {
      onMessage: (message) => this.#onSender(message),
      fail: (reason) => this.#fail(reason),
      begins: (processNumber) => this.#deliveries.forget(processNumber),
    });
    void this.#sender.ended.then(() => this.#isSenderOver || this.#diedEarly('sender'));
    void this.#far.ended.then(() => this.#isFarOver || this.#diedEarly('receiver'));
  }

  /** Ends the run early. */
  stop(): void {
    this.#stop();
  }

  async run(): Promise<Report> {
    try {
      await this.#begin();
      const timer = setTimeout(() => this.#stop(), this.#arguments.minutes * 60_000);
      const clock = setInterval(() => this.#showProgress(), 1000);
      await this.#stopped;
      clearTimeout(timer);
      clearInterval(clock);
      const seconds = (performance.now() - this.#startedMs) / 1000;
      const result = this.#wrong === undefined ? await this.#end() : undefined;
      return this.#report(seconds, result);
    } finally {
      this.#progress.stop();
      this.#isSenderOver = true;
      this.#isFarOver = true;
      this.#sender.kill();
      this.#far.kill();
      await this.#children.end();
      for (const name of this.#place.close()) this.#fail(`the namespace ${name} is still there`);
    }
  }

  async #begin(): Promise<void> {
    const { seed } = this.#arguments;
    const raw = this.#actors.includes('raw');
    const address = this.#place.addresses('receiver');
    const order: FarOrder = { seed, address, raw };
    this.#far.tell({ order });
    const listening = await this.#far.next('listening', STARTS_WITHIN_MS);
    if (listening === undefined) throw new Error('the receiver did not start');
    const { target } = listening;
    const own = this.#place.addresses('sender');
    const given = { target, address: own, seed, folder: this.#folder };
    const actors = this.#actors;
    const all: SenderOrder = { ...given, processNumber: 0, actors, ending: 'finish' };
    this.#sender.tell({ order: all });
    const ready = await this.#sender.next('ready', STARTS_WITHIN_MS);
    if (ready === undefined) throw new Error('the sender did not start');
    if (ready.httpPort !== undefined) {
      this.#far.tell({ browse: { host: own[4], port: ready.httpPort, clients: HTTP_CLIENTS } });
    }
    this.#children.begin(given);
    this.#weather.begin();
  }

  async #end(): Promise<SenderResult | undefined> {
    await this.#weather.end();
    this.#addAll(this.#weather.counts);
    const quiet = this.#far.next('quiet', ENDS_WITHIN_MS);
    this.#far.tell({ stopBrowsing: true });
    if ((await quiet) === undefined) this.#fail('http requests were never answered');
    await this.#children.end();
    this.#addAll(this.#children.counts);
    this.#isSenderOver = true;
    const answer = this.#sender.next('result', ENDS_WITHIN_MS);
    this.#sender.tell({ stop: true });
    const result = (await answer)?.result;
    if (result === undefined) this.#fail('the sender gave no result');
    const end = await this.#sender.end();
    if (end?.code !== 0) this.#fail(`the sender had closed everything, and ${describeEnd(end)}`);
    this.#isFarOver = true;
    const arrived = this.#far.next('result', ENDS_WITHIN_MS);
    this.#far.tell({ finish: true });
    if ((await arrived) === undefined) this.#fail('the receiver gave no result');
    this.#deliveries.finish();
    this.#counts['connections compared'] = this.#deliveries.compared;
    return result;
  }

  // --- what the processes say ----------------------------------------------------------------------

  #onFar(message: FromFar): void {
    switch (message.event) {
      case 'arrived':
        this.#deliveries.arrived(message.arrived);
        break;
      case 'wrong':
        this.#onWrong(message.wrong);
        break;
      case 'failed':
        this.#fail(message.reason);
        break;
      case 'result':
        this.#addAll(message.counts, 'arrived: ');
        break;
      default:
        break;
    }
  }

  #onSender(message: FromSender): void {
    if (message.event === 'sent') this.#deliveries.sent(message.sent);
    else if (message.event === 'failed') this.#fail(message.reason);
    else if (message.event === 'result') this.#addAll(message.result.counts);
  }

  #onWrong(wrong: Wrong): void {
    if (this.#wrong !== undefined) return;
    this.#wrong = wrong;
    const { channel, token, sequence, offset, bytes, sample } = wrong;
    const whose = token === undefined ? 'unknown' : `${describeToken(token)}, message ${sequence}`;
    const after = Math.round((performance.now() - this.#startedMs) / 100) / 10;
    this.#fail(
      `WRONG BYTES after ${after} s: seed ${this.#arguments.seed}, ${channel}, actor ${whose}, ` +
        `offset ${offset}, ${bytes} bytes, from there: ${sample}`,
    );
    this.#stop();
  }

  #showProgress(): void {
    const seconds = (performance.now() - this.#startedMs) / 1000;
    const failures = this.#failures.length;
    const state = failures === 0 ? 'all right' : `${failures} failures`;
    this.#progress.at(Math.floor(seconds), `sending by ${this.#actors.join(', ')}: ${state}`);
  }

  #diedEarly(which: string): void {
    this.#fail(`the ${which} ended in the middle of the run`);
    this.#stop();
  }

  #fail(reason: string): void {
    if (this.#failures.length >= MOST_FAILURES) return;
    this.#failures.push(reason);
    this.#progress.say(`soak: ${reason}`);
  }

  #addAll(counts: Counts, prefix = ''): void {
    for (const [name, count] of Object.entries(counts)) {
      this.#counts[prefix + name] = (this.#counts[prefix + name] ?? 0) + count;
    }
  }

  #report(seconds: number, result: SenderResult | undefined): Report {
    const { seed, place } = this.#arguments;
    const samples = result?.samples ?? [];
    const { growth, problems } = judgeGrowth(samples);
    for (const problem of problems) this.#fail(problem);
    return {
      seed,
      place,
      seconds,
      // Filled until the namespaces are gone.
      failures: this.#failures,
      absent: this.#absent,
      counts: this.#counts,
      growth,
      samples,
    };
  }
}
