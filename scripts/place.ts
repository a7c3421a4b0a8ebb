// Where two programs talk to each other, for tests, bench, soak, self-test and demo: loopback, where the kernel
// always copies; a veth pair, with devices and routes of its own, where it copies, too; the rig, where it
// really sends from the program's memory; or this machine and another host.
import { type ChildProcess, spawn, type SpawnOptions } from 'node:child_process';
import { readFileSync } from 'node:fs';
import os from 'node:os';
import { Rig, type RigOptions, type RigSide, type RigSideName } from './rig';
import { listNamespaces, runCommand } from './rig/commands';
import { vethUp } from './rig/veth';

export const PLACES = ['loopback', 'veth', 'rig'] as const;
export type PlaceName = (typeof PLACES)[number];
export type Side = RigSideName;

const ETHERNET_MTU = 1500;
/** The most an IPv4 packet can have: whole messages, not fragments. */
const MOST_MTU = 65_535;

/** Two namespaces, and how to run a command in one of them. */
interface Ends {
  readonly sender: RigSide;
  readonly receiver: RigSide;
  command(side: Side, argv: readonly string[]): string[];
  down(): void;
}

export class Place {
  readonly #children = new Set<ChildProcess>();

  private constructor(
    readonly name: PlaceName | 'remote',
    /** Of the device that the sender's packets leave by. */
    readonly mtu: number,
    readonly ends?: Ends,
    readonly host?: string,
  ) {}

  /**
   * @param options of a rig
   * @param mtu of a veth pair, in bytes
   * Throws: Unavailable, where there is no such place.
   */
  static open(name: PlaceName, options: RigOptions = {}, mtu = MOST_MTU): Place {
    if (name === 'rig') return Place.over(Rig.up(options));
    if (name === 'veth') return new Place(name, mtu, vethUp(mtu));
    return new Place(name, loopbackMtu());
  }

  /** A rig that stands already. */
  static over(rig: Rig): Place {
    return new Place('rig', ETHERNET_MTU, rig);
  }

  /** The sender is here, the receiver on another host: nothing is known of what is between them. */
  static remote(host: string): Place {
    return new Place('remote', ETHERNET_MTU, undefined, host);
  }

  /** Where what is sent without copying is copied on its way all the same, as a phrase; absent: nowhere. */
  get copies(): string | undefined {
    if (this.name === 'loopback') return 'over loopback';
    if (this.name === 'veth') return 'over a plain veth pair';
    return this.host !== undefined && isOwn(this.host)
      ? 'to an address of this machine'
      : undefined;
  }

  /** What only a rig can be told: to lose, to delay, to capture. */
  get rig(): Rig | undefined {
    return this.ends instanceof Rig ? this.ends : undefined;
  }

  /** The sender's device. */
  get device(): string {
    return this.ends?.sender.device ?? 'lo';
  }

  address(side: Side, family: 4 | 6 = 4): string {
    const end = this.ends?.[side];
    if (end === undefined) return this.host ?? (family === 6 ? '::1' : '127.0.0.1');
    return family === 6 ? end.address6 : end.address4;
  }

  addresses(side: Side): { readonly 4: string; readonly 6: string } {
    return { 4: this.address(side, 4), 6: this.address(side, 6) };
  }

  /** `argv` as it must be started to run on that side. */
  command(side: Side, argv: readonly string[]): readonly string[] {
    return this.ends?.command(side, argv) ?? argv;
  }

  /** Starts a program on that side; `close` kills it if it still runs. */
  start(side: Side, argv: readonly string[], options: SpawnOptions = {}): ChildProcess {
    const [file = '', ...rest] = this.command(side, argv);
    const child = spawn(file, rest, options);
    this.#children.add(child);
    child.once('exit', () => this.#children.delete(child));
    return child;
  }

  /** Runs a program on that side to its end. Answers its output; throws: when it fails. */
  run(side: Side, argv: readonly string[]): string {
    return runCommand(this.command(side, argv));
  }

  /** Sets a value under /proc/sys for one side's namespace: nothing on loopback, which is the machine's. */
  set(side: Side, name: string, value: string): void {
    if (this.ends === undefined) return;
    this.run(side, ['sh', '-euc', 'printf %s "$2" > "/proc/sys/$1"', 'sh', name, value]);
  }

  /**
   * Lets megabytes be in flight behind a reader that never read. Send buffers grow with the congestion window;
   * over loopback, with its large segments, the first one is that large by itself.
   */
  growSendBuffers(): void {
    this.set('sender', 'net/ipv4/tcp_wmem', '4096 4194304 8388608');
  }

  /** Ends what still runs here, and removes the namespaces. Answers those that are there nevertheless. */
  close(): string[] {
    for (const child of this.#children) child.kill('SIGKILL');
    if (this.ends === undefined) return [];
    this.ends.down();
    const names = [this.ends.sender.netns, this.ends.receiver.netns];
    return listNamespaces().filter((name) => names.includes(name));
  }
}

function isOwn(address: string): boolean {
  const devices = Object.values(os.networkInterfaces());
  return devices.some((device) => device?.some((own) => own.address === address));
}

function loopbackMtu(): number {
  try {
    return Number(readFileSync('/sys/class/net/lo/mtu', 'utf8'));
  } catch {
    return ETHERNET_MTU; // not Linux: less than any loopback device has
  }
}
