// The near end of a soak: runs actors beside each other, and looks at what they leave behind. Run as
// the long-lived sender, and as children that end earlier, under limits or in the middle of it.
import { closeSync, openSync } from 'node:fs';
import { metrics } from '../../lib/index';
import { until } from '../until';
import { filesEpisode } from './actors/files';
import { HttpActor } from './actors/http';
import { packetEpisode } from './actors/packet';
import { rawEpisode } from './actors/raw';
import { ringEpisode } from './actors/ring';
import { tcpEpisode } from './actors/tcp';
import { udpEpisode } from './actors/udp';
import { workerEpisode } from './actors/worker';
import { Chance } from './chance';
import { Ledger } from './ledger';
import { Memory } from './memory';
import { ACTORS, type ActorName, tokenOf } from './names';
import type { FromSender, Sample, SenderOrder, Sent, ToSender } from './protocol';
import { collectGarbage, namedSockets, ringMappings, takeSample } from './samples';
import { afterMs, codeOf, type Episode, isWant, type World } from './world';

const EPISODES: Readonly<Record<Exclude<ActorName, 'http'>, Episode>> = {
  tcp: tcpEpisode,
  udp: udpEpisode,
  raw: rawEpisode,
  packet: packetEpisode,
  ring: ringEpisode,
  worker: workerEpisode,
  files: filesEpisode,
};
/** How many of one run beside each other. */
const BESIDE: Partial<Record<ActorName, number>> = { tcp: 6, udp: 2, files: 4 };
const EPISODE_MS = 90_000;
const CLOSED_WITHIN_MS = 20_000;
const SAMPLE_EVERY_MS = 5000;
/** What the engine may keep of the last sends. */
const RETAINED_BUFFERS = 2;
/** Two of each ring of this package: the one for large sends, and the one by which small responses share a call. */
const RING_MAPPINGS = 4;
const EXIT_CODE = 9;
const NAMED_AFTER_MS = 4000;

function tell(message: FromSender): void {
  if (process.connected) process.send?.(message);
}

class Sender implements World {
  /** It has rings of its own from Node 22 on. First of all: a pool may make one of ours. */
  readonly #ringsOfLibuv = ringMappings();
  readonly ledger = new Ledger((reason) => tell({ event: 'failed', reason }));
  readonly memory = new Memory();
  readonly order: SenderOrder;
  stopping = false;
  readonly #samples: Sample[] = [];
  readonly #startedMs = performance.now();
  readonly #episodes = new Map<ActorName, number>();
  #wake: () => void = () => undefined;

  constructor(order: SenderOrder) {
    this.order = order;
  }

  sent(sent: Sent): void {
    tell({ event: 'sent', sent });
  }

  stop(): void {
    this.stopping = true;
    this.#wake();
  }

  async run(): Promise<void> {
    const { order } = this;
    // The reactor is made once; it is no leak.
    await Promise.all([this.#episode('tcp', 0), this.#episode('udp', 0)]);
    await this.#sample();
    const http = order.actors.includes('http') ? await this.#openHttp() : undefined;
    tell({ event: 'ready', absent: [], ...(http && { httpPort: http.port }) });
    const loops = order.actors
      .filter((name) => name !== 'http')
      .flatMap((name) => this.#loops(name));
    if (order.descriptorHog !== undefined) loops.push(this.#hog(order.descriptorHog));
    const sampling = this.#keepSampling();
    await this.#stopped();
    if (order.ending === 'exit') process.exit(EXIT_CODE);
    if (order.ending === 'wait') await new Promise(() => setInterval(() => undefined, 60_000));
    await Promise.all([...loops, sampling]);
    await http?.actor.close();
    await this.#checkRemains();
    this.#report();
  }

  #stopped(): Promise<void> {
    return new Promise<void>((resolve) => {
      const { seconds } = this.order;
      const timer = seconds === undefined ? undefined : setTimeout(resolve, seconds * 1000);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
      if (this.stopping) this.#wake();
    }).then(() => {
      // One that ends in the middle goes on until then.
      if (this.order.ending === 'finish') this.stopping = true;
    });
  }

  async #openHttp(): Promise<{ actor: HttpActor; port: number }> {
    const actor = new HttpActor(this, Chance.for(this.order.seed, ACTORS.indexOf('http')));
    return { actor, port: await actor.listen() };
  }

  #loops(name: ActorName): Promise<void>[] {
    const loop = async (): Promise<void> => {
      while (!this.stopping) {
        const number = (this.#episodes.get(name) ?? 0) + 1;
        this.#episodes.set(name, number);
        await this.#episode(name, number);
      }
    };
    return Array.from({ length: BESIDE[name] ?? 1 }, loop);
  }

  async #episode(name: ActorName, number: number): Promise<void> {
    const { seed, processNumber } = this.order;
    const token = tokenOf(processNumber, name, number);
    const chance = Chance.for(seed, processNumber, ACTORS.indexOf(name), number);
    const run = EPISODES[name as keyof typeof EPISODES];
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(() => {
        this.ledger.fail(`${name}, token ${token}: not over after ${EPISODE_MS} ms`);
        resolve();
      }, EPISODE_MS);
    });
    try {
      await Promise.race([run(this, chance, token), late]);
    } catch (error) {
      this.ledger.add(`${name} refused: ${codeOf(error)}`);
      if (!isWant(this, error)) {
        this.ledger.fail(`${name}, token ${token}: ${(error as Error).stack}`);
      }
      // What is wanting comes back when others end.
      await afterMs(10);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Leaves the process without descriptors now and then. */
  async #hog(most: number): Promise<void> {
    const chance = Chance.for(this.order.seed, most);
    while (!this.stopping) {
      const held: number[] = [];
      try {
        while (held.length < most) held.push(openSync('/dev/null', 'r'));
      } catch {
        this.ledger.add('times without descriptors');
      }
      await afterMs(chance.between(10, 200));
      held.forEach((fd) => closeSync(fd));
      await afterMs(chance.between(10, 200));
    }
  }

  async #sample(): Promise<Sample> {
    await collectGarbage();
    const sample = takeSample(this.#startedMs, this.memory);
    this.#samples.push(sample);
    return sample;
  }

  async #keepSampling(): Promise<void> {
    for (let next = 0; !this.stopping;) {
      await afterMs(200);
      next += 200;
      if (next < SAMPLE_EVERY_MS) continue;
      next = 0;
      await this.#sample();
    }
  }

  async #checkRemains(): Promise<void> {
    const { ledger } = this;
    const open = (): string[] => {
      const { pinnedBytes, pendingBytes, pendingSends, openPorts, openSockets } = metrics();
      const all = { pinnedBytes, pendingBytes, pendingSends, openPorts, openSockets };
      const left = Object.entries(all).filter(([, value]) => value !== 0);
      return [...left.map(([name, value]) => `${name} ${value}`), ...this.memory.remains()];
    };
    await until('everything is closed', () => open().length === 0, CLOSED_WITHIN_MS).catch(() =>
      ledger.fail(`when all was closed: ${open().join(', ')}`),
    );
    if (ledger.waiting > 0) ledger.fail(ledger.missing());
    const [before] = this.#samples;
    const after = await this.#sample();
    const most = { ...(before as Sample), ringMappings: this.#ringsOfLibuv + RING_MAPPINGS };
    for (const name of ['sockets', 'packetRings', 'ringMappings'] as const) {
      const allowed = most[name];
      const which = name === 'sockets' ? `: ${namedSockets().join('; ')}` : '';
      if (after[name] > allowed)
        ledger.fail(`${name}: ${after[name]}, more than ${allowed}${which}`);
    }
    if (after.retainedBuffers > RETAINED_BUFFERS) {
      ledger.fail(`${after.retainedBuffers} buffers are retained`);
    }
  }

  #report(): void {
    const { totals, fallbacks, aborts, files, sharedCopies } = metrics();
    this.ledger.add('small responses that shared a call', sharedCopies);
    for (const [reason, count] of Object.entries(files.left))
      this.ledger.add(`files left: ${reason}`, count);
    for (const [name, value] of Object.entries(totals)) this.ledger.add(`stats ${name}`, value);
    for (const [name, value] of Object.entries(fallbacks))
      this.ledger.add(`paused: ${name}`, value);
    for (const [name, value] of Object.entries(aborts)) this.ledger.add(`aborted: ${name}`, value);
    const { counts, failures } = this.ledger;
    const result: FromSender = {
      event: 'result',
      result: { counts, failures, samples: this.#samples },
    };
    // Nothing is to keep the process now. What does all the same is named; a timer that is not
    // referenced does not.
    setTimeout(nameWhatKeeps, NAMED_AFTER_MS).unref();
    process.send?.(result, () => process.disconnect());
  }
}

function nameWhatKeeps(): void {
  const { libuv } = process.report.getReport() as { libuv: Record<string, unknown>[] };
  const kept = libuv.filter((handle) => handle['is_active'] && handle['is_referenced']);
  console.error(`soak: process ${process.pid} is kept by ${JSON.stringify(kept)}`);
}

let sender: Sender | undefined;

process.on('message', (message: ToSender) => {
  if ('stop' in message) {
    sender?.stop();
    return;
  }
  sender = new Sender(message.order);
  sender.run().catch((error: Error) => {
    tell({ event: 'failed', reason: `sender: ${error.stack}` });
    process.exitCode = 1;
  });
});
// A terminal's Ctrl-C reaches this process, too; the soak ends it.
process.on('SIGINT', () => undefined);
process.on('disconnect', () => {
  // Behind its report the process ends by itself; without one the soak is gone.
  if (sender?.stopping !== true) process.exit(1);
});
