// The rig: real zero copy on one machine, without a NIC. Two network namespaces joined by a veth
// pair whose receiving end runs a generic XDP program that passes everything: the sender's pages
// are let go uncopied, and the receiving end's copy, on another CPU, plays the part of a NIC's DMA.
// It proves correctness and the sender's CPU cost; it does not stand for a NIC's throughput.
// This file is the library, and the command line when it is run: `npm run rig -- up|run|down`.
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { once } from 'node:events';

import { rigUnavailable, Unavailable } from './rig/availability';
import { runCommand } from './rig/commands';
import { rigHelper, rigPolicer } from './rig/helper-program';
import { type RigLifetime, type RigSide, type RigSideName, generateSides } from './rig/names';
import { checkRate, checkRoundTrip, inNamespace, type RigPath, setUp } from './rig/setup';
import {
  cancelTearDownOnExit,
  removeNamespaces,
  removeStaleRigs,
  tearDownOnExit,
} from './rig/teardown';

export { type Obstacle, rigUnavailable, Unavailable } from './rig/availability';
export { rigHelper } from './rig/helper-program';
export type { RigLifetime, RigSide, RigSideName } from './rig/names';
export { patternHash } from './rig/pattern';
export type { ReceiverReport } from './rig/receiver';

/** How a rig is built. */
export interface RigOptions extends RigPath {
  /**
   * 'process' (default): the rig ends with this process, however it ends; after SIGKILL the next
   * `Rig.up` on the machine removes it. 'persistent': it stays until `down`.
   */
  readonly lifetime?: RigLifetime;
}

/** Names under which a rig can be found again; what `JSON.stringify(rig)` yields. */
export interface RigDescription {
  readonly sender: RigSide;
  readonly receiver: RigSide;
  readonly ackThread: number | undefined;
}

/** Device features that can be switched. `sg` or `tx` off makes the kernel copy every send. */
export type RigFeature = 'tso' | 'gso' | 'gro' | 'sg' | 'tx';

/** What a policer lets through. */
export interface Policer {
  readonly bytesPerSecond: number;
  /** What may come at once, after a pause. 70,000 at least: a packet of the sender's holds up to 64 KiB. */
  readonly bucketBytes: number;
}

/** A packet capture that is running. */
export interface RigCapture {
  /** Settles: when the capture is gone and sends are not copied on its account any more. */
  stop(): Promise<void>;
}

const CERTAIN_PER_MILLE = 1000;
const LEAST_RATE = 1_000_000;
const LEAST_BUCKET = 70_000;

/**
 * Two ends with a zero-copy path from `sender` to `receiver`.
 * Kernel: root (CAP_NET_ADMIN, CAP_SYS_ADMIN); see rigUnavailable.
 */
export class Rig implements RigDescription {
  readonly sender: RigSide;
  readonly receiver: RigSide;
  /**
   * Pid of the kernel thread that handles the sender's incoming packets, that is its ACKs, on the
   * sender's CPU: its time in /proc/PID/schedstat belongs to the cost of sending. Undefined inside
   * a pid namespace, where kernel threads cannot be seen.
   */
  readonly ackThread: number | undefined;

  readonly #children = new Set<ChildProcess>();
  readonly #onExit = () => this.down();

  private constructor(description: RigDescription) {
    this.sender = description.sender;
    this.receiver = description.receiver;
    this.ackThread = description.ackThread;
  }

  /**
   * Builds a rig, which takes about a tenth of a second, after removing those whose owner is dead.
   * Throws: when there can be none here (see rigUnavailable) or a step of building it fails;
   * nothing is left behind then.
   */
  static up(options: RigOptions = {}): Rig {
    const unavailable = rigUnavailable();
    if (unavailable !== undefined) {
      throw new Unavailable(unavailable.reason, unavailable.remedy);
    }
    if (options.rate !== undefined) checkRate(options.rate);
    if (options.roundTripMs !== undefined) checkRoundTrip(options.roundTripMs);
    removeStaleRigs();
    const lifetime = options.lifetime ?? 'process';
    const sides = generateSides(lifetime);
    const names = [sides.sender.netns, sides.receiver.netns];
    const abandon = () => removeNamespaces(names);
    // While it is being built, a persistent rig ends with the process as well.
    tearDownOnExit(abandon);
    try {
      const rig = new Rig({ ...sides, ackThread: setUp(sides, options) });
      if (lifetime === 'process') tearDownOnExit(rig.#onExit);
      return rig;
    } catch (error) {
      abandon();
      throw error;
    } finally {
      cancelTearDownOnExit(abandon);
    }
  }

  /** A rig that stands already; it is not taken down when this process ends. */
  static find(description: RigDescription): Rig {
    return new Rig(description);
  }

  /** `argv` as it must be started to run in the side's namespace and on its CPU. */
  command(side: RigSideName, argv: readonly string[]): string[] {
    return inNamespace(this[side], ['taskset', '-c', String(this[side].cpu), ...argv]);
  }

  /** Starts a program in the side's namespace and on its CPU; `down` kills it if it still runs. */
  spawn(side: RigSideName, argv: readonly string[], options: SpawnOptions = {}): ChildProcess {
    const [file = '', ...rest] = this.command(side, argv);
    const child = spawn(file, rest, options);
    this.#children.add(child);
    child.once('exit', () => this.#children.delete(child));
    return child;
  }

  /**
   * Loses packets on their way to the receiver.
   * @param perMille 0 (none) to 1000 (all). A packet of the sender's holds up to 64 KiB here,
   *   because it is cut into segments only at the receiving end: few packets, great losses.
   */
  setLoss(perMille: number): void {
    if (!Number.isInteger(perMille) || perMille < 0 || perMille > CERTAIN_PER_MILLE) {
      throw new RangeError(`perMille must be a whole number, 0 to 1000, not ${perMille}`);
    }
    this.#helper('receiver', ['xdp-drop-random', this.receiver.device, String(perMille)]);
  }

  /**
   * Loses packets that come to the receiver faster than a rate: a slower hop, without room for what waits. One packet
   * of the sender's is lost as a whole (see setLoss).
   * @param policer undefined: no longer. Replaces setLoss, and is replaced by it.
   */
  setPolicer(policer: Policer | undefined): void {
    if (policer === undefined) {
      this.setLoss(0);
      return;
    }
    const { bytesPerSecond, bucketBytes } = policer;
    if (!(bytesPerSecond >= LEAST_RATE && bucketBytes >= LEAST_BUCKET)) {
      throw new RangeError(
        `a policer needs ${LEAST_RATE} bytes a second and a bucket of ${LEAST_BUCKET} at least, ` +
          `not ${bytesPerSecond} and ${bucketBytes}`,
      );
    }
    const { device } = this.receiver;
    const limits = [String(bytesPerSecond), String(bucketBytes)];
    runCommand(inNamespace(this.receiver, [rigPolicer(), rigHelper(), device, ...limits]));
  }

  /** TCP segments that the sender has sent so far, and of them those that it sent again. */
  tcpSegments(): { readonly sent: number; readonly retransmitted: number } {
    const text = runCommand(inNamespace(this.sender, ['cat', '/proc/net/snmp']));
    const [names = [], values = []] = text
      .split('\n')
      .filter((line) => line.startsWith('Tcp: '))
      .map((line) => line.split(' '));
    const valueOf = (name: string): number => Number(values[names.indexOf(name)]);
    const retransmitted = valueOf('RetransSegs');
    // OutSegs leaves those out.
    return { sent: valueOf('OutSegs') + retransmitted, retransmitted };
  }

  /** Switches a feature of the side's device. */
  setFeature(side: RigSideName, feature: RigFeature, state: 'on' | 'off'): void {
    this.#helper(side, ['feature', this[side].device, feature, state]);
  }

  /**
   * Starts a capture on the side's device. On the sender's it makes the kernel copy every send; on
   * the receiver's it does not, because XDP has copied the packet before the capture sees it.
   * Settles: when every further packet passes it.
   */
  async capture(side: RigSideName): Promise<RigCapture> {
    const argv = [rigHelper(), 'tap', this[side].device];
    const tap = this.spawn(side, argv, { stdio: ['pipe', 'pipe', 'inherit'] });
    const ended = once(tap, 'exit');
    const ready = tap.stdout === null ? ended : once(tap.stdout, 'data');
    await Promise.race([ready, ended]);
    if (tap.exitCode !== null || tap.signalCode !== null) {
      throw new Error(`the capture on ${this[side].device} did not start`);
    }
    const stop = async () => {
      tap.stdin?.end();
      await ended;
    };
    return { stop };
  }

  /** Takes the rig down, with every program that still runs in it. A second call does nothing. */
  down(): void {
    for (const child of this.#children) child.kill('SIGKILL');
    removeNamespaces([this.sender.netns, this.receiver.netns]);
    cancelTearDownOnExit(this.#onExit);
  }

  #helper(side: RigSideName, argv: readonly string[]): void {
    runCommand(inNamespace(this[side], [rigHelper(), ...argv]));
  }
}

if (require.main === module) {
  // Only now: the command line is built on this library.
  void import('./rig/cli.js').then(({ main }) => main(process.argv.slice(2)));
}
