// Where a test's connections run: over loopback, which always copies, and over the rig, which does
// not. One receiver and one runner of scenarios for each suite.
import { type ChildProcess, execFileSync } from 'node:child_process';
import path from 'node:path';
import type { Rig } from '../../scripts/rig';
import type { Address } from './receiver-client';
import { lineReader, rigSuite } from './rig';
import { Runner, startHere, type Starter, under } from './runner';

const RECEIVER = path.join(__dirname, '../scenarios/receiver-program.js');

export const FAMILIES = ['IPv4', 'IPv6', 'v4-mapped'] as const;
export type Family = (typeof FAMILIES)[number];

export class Place {
  readonly #children: (() => Promise<void>)[] = [];
  #runner: Runner | undefined;
  #port = 0;

  constructor(readonly rig: Rig | undefined) {}

  async open(): Promise<void> {
    // So that megabytes are in flight behind a reader that never read: over loopback, with its large
    // segments, the first send buffer is that large by itself.
    this.set('net/ipv4/tcp_wmem', '4096 4194304 8388608');
    const argv = [process.execPath, RECEIVER];
    const options = { stdio: ['ignore', 'pipe', 'inherit'] as ('ignore' | 'pipe' | 'inherit')[] };
    const child = this.rig?.spawn('receiver', argv, options) ?? startHere(argv, options);
    this.#children.push(() => endOf(child));
    this.#port = (JSON.parse(await lineReader(child)()) as Address).port;
  }

  /** Sets a value under /proc/sys for the sender's end of the rig; none of it reaches the machine. */
  set(name: string, value: string): void {
    if (this.rig === undefined) return;
    const script = 'printf %s "$2" > "/proc/sys/$1"';
    const [file = '', ...argv] = this.rig.command('sender', [
      'sh',
      '-euc',
      script,
      'sh',
      name,
      value,
    ]);
    execFileSync(file, argv);
  }

  async close(): Promise<void> {
    await Promise.all(this.#children.map((end) => end()));
  }

  /** The receiver's address as the sender dials it. */
  to(family: Family = 'IPv4'): Address {
    const four = this.rig?.receiver.address4 ?? '127.0.0.1';
    const six = this.rig?.receiver.address6 ?? '::1';
    const host = family === 'IPv4' ? four : family === 'IPv6' ? six : `::ffff:${four}`;
    return { host, port: this.#port };
  }

  /** An address of the sender's, for the receiver to dial. */
  get senderHost(): string {
    return this.rig?.sender.address4 ?? '127.0.0.1';
  }

  /** The runner that the tests of a suite share. */
  get runner(): Runner {
    return (this.#runner ??= this.startRunner());
  }

  /**
   * A runner of its own.
   * @param prefix a command to start it with, such as prlimit
   */
  startRunner(prefix: readonly string[] = [], environment: Record<string, string> = {}): Runner {
    const { rig } = this;
    const start: Starter =
      rig === undefined ? startHere : (argv, options) => rig.spawn('sender', argv, options);
    const runner = new Runner(under(prefix, start), environment);
    this.#children.push(() => runner.stop());
    return runner;
  }
}

async function endOf(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await gone;
}

function withPlace(getRig: () => Rig | undefined, body: (getPlace: () => Place) => void): void {
  let place: Place | undefined;
  before(async () => {
    place = new Place(getRig());
    await place.open();
  });
  after(() => place?.close());
  body(() => place as Place);
}

/** A suite over loopback. */
export function loopbackSuite(title: string, body: (getPlace: () => Place) => void): void {
  describe(`${title}, over loopback`, () => withPlace(() => undefined, body));
}

/** A suite over the rig; pending with the reason where there can be none. */
export function rigPlaceSuite(
  title: string,
  body: (getPlace: () => Place & { readonly rig: Rig }) => void,
): void {
  rigSuite(`${title}, over the rig`, (getRig) => {
    withPlace(getRig, (getPlace) => body(() => getPlace() as Place & { readonly rig: Rig }));
  });
}

/** The same suite over both. */
export function everywhere(title: string, body: (getPlace: () => Place) => void): void {
  loopbackSuite(title, body);
  rigPlaceSuite(title, body);
}
