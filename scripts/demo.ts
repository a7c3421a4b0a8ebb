// `npm run demo`: an http server with 1 MiB responses, plain and upgraded by one line, and an ordinary
// client that compares every byte. As root on the rig, where zero copy is real, else on loopback.
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import type { ClientTask, ClientTotals } from './demo/client.js';
import { explain, type Pair, rows, type Trial } from './demo/report.js';
import type { ServerRequest, ServerTotals } from './demo/server.js';
import { Place } from './place.js';
import { Progress } from './progress.js';
import { rigUnavailable } from './rig.js';
import { linesOf } from './table.js';

const CONNECTIONS = 4;
/** Before anything counts, each server runs so long and answers so often: its code is compiled then. */
const WARM_UP = { milliseconds: 3000, responses: 1000 };
const PERIOD = { milliseconds: 1200, responses: 100 };
const PAIRS = 9;

type Kind = keyof Pair;

function choosePlace(): Place {
  const obstacle = rigUnavailable();
  if (obstacle === undefined) return Place.open('rig');
  console.log(`Over loopback, because ${obstacle.reason} (remedy: ${obstacle.remedy}).`);
  return Place.open('loopback');
}

function whereOf(place: Place): string {
  if (place.rig === undefined) return 'over loopback';
  return 'over a virtual link between\ntwo network namespaces, where the kernel really sends without copying (the rig)';
}

/** One program of the demo: every message to it has one answer. */
class Child {
  readonly #name: string;
  readonly #process: ChildProcess;

  constructor(place: Place, side: 'sender' | 'receiver', name: string, args: readonly string[]) {
    const file = path.join(__dirname, 'demo', `${name}.js`);
    this.#name = name;
    this.#process = place.start(side, [process.execPath, file, ...args], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
  }

  /** Throws: when the program ends without an answer. */
  async answer<T>(): Promise<T> {
    const settled = new AbortController();
    const { signal } = settled;
    const ended = once(this.#process, 'exit', { signal }).then(([code]) => {
      throw new Error(`the ${this.#name} ended with exit status ${code}`);
    });
    try {
      const [message] = (await Promise.race([
        once(this.#process, 'message', { signal }),
        ended,
      ])) as [T];
      return message;
    } finally {
      settled.abort();
      ended.catch(() => undefined);
    }
  }

  ask<T>(message: ServerRequest | ClientTask): Promise<T> {
    const answered = this.answer<T>();
    this.#process.send(message);
    return answered;
  }

  end(): void {
    if (this.#process.connected) this.#process.disconnect();
  }
}

class Demo {
  readonly #place: Place;
  readonly #client: Child;
  readonly #servers: Readonly<Record<Kind, Child>>;
  readonly #ports: Record<Kind, number> = { plain: 0, upgraded: 0 };

  constructor(place: Place) {
    const address = place.address('sender');
    this.#place = place;
    this.#client = new Child(place, 'receiver', 'client', [address, String(CONNECTIONS)]);
    this.#servers = {
      plain: new Child(place, 'sender', 'server', ['plain', address]),
      upgraded: new Child(place, 'sender', 'server', ['upgraded', address]),
    };
  }

  async run(progress: Progress): Promise<Pair[]> {
    let done = 0;
    for (const kind of ['plain', 'upgraded'] as const) {
      this.#ports[kind] = (await this.#servers[kind].answer<{ port: number }>()).port;
    }
    for (const kind of ['plain', 'upgraded'] as const) {
      progress.at(done++, `warming up: the ${kind} server answers until it is up to speed`);
      await this.#client.ask<ClientTotals>({ ...WARM_UP, port: this.#ports[kind] });
    }
    const pairs: Pair[] = [];
    while (pairs.length < PAIRS) {
      progress.at(done++, 'measuring: first one server, then the other');
      pairs.push(await this.#pair(pairs.length % 2 === 0));
    }
    return pairs;
  }

  async #pair(plainFirst: boolean): Promise<Pair> {
    const first = plainFirst ? await this.#trial('plain') : undefined;
    const upgraded = await this.#trial('upgraded');
    return { plain: first ?? (await this.#trial('plain')), upgraded };
  }

  async #trial(kind: Kind): Promise<Trial> {
    const server = this.#servers[kind];
    await server.ask('start');
    const client = await this.#client.ask<ClientTotals>({ ...PERIOD, port: this.#ports[kind] });
    return { ...(await server.ask<ServerTotals>('stop')), ...client };
  }

  close(): void {
    for (const child of [this.#client, ...Object.values(this.#servers)]) child.end();
    this.#place.close();
  }
}

async function main(): Promise<void> {
  const place = choosePlace();
  console.log(
    `Two http servers send 1 MiB responses over ${CONNECTIONS} connections, ${whereOf(place)}:\n` +
      'one is plain Node, the other is the same with `enableZeroCopy(server)`. About half a minute.\n',
  );
  const demo = new Demo(place);
  const progress = new Progress(2 + PAIRS, process.stdout);
  let pairs: Pair[];
  try {
    pairs = await demo.run(progress);
  } finally {
    progress.stop();
    demo.close();
  }
  console.log(linesOf([['', 'plain Node', 'upgraded'], ...rows(pairs)], 1).join('\n'));
  console.log(`\n${explain(place, pairs)}`);
  const wrong = pairs.some(({ plain, upgraded }) => plain.wrong + upgraded.wrong > 0);
  if (wrong) process.exitCode = 1;
}

const [argument] = process.argv.slice(2);
if (argument === undefined) {
  main().catch((error: unknown) => {
    console.error(error);
    process.exitCode = 1;
  });
} else {
  console.error(
    `demo: takes no arguments, not '${argument}'. Other sizes and sockets: npm run bench -- --help`,
  );
  process.exitCode = 2;
}
