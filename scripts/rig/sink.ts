// A sink: one network namespace with a device through which datagrams leave and vanish, so that a
// program's sends can be measured, or let go, without anybody to receive them.
//
//   ifb        program -> UDP, raw or packet socket -> ifb, which frees what it gets at once.
//              The pure cost of sending: segments of a GSO send stay in one packet, as with a NIC
//              that cuts by itself, and ring frames of a packet socket are not copied.
//   xdp-drop   program -> … -> veth == veth with a native XDP program that drops everything.
//              A native program takes segmentation offload from its peer, so GSO is cut in software.
//              Ring frames are copied, as on every veth. What the far end does is done on the same
//              CPU, in softirq.
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';

import { namespacesUnavailable, type Obstacle, Unavailable } from './availability';
import { runCommand, tryCommand } from './commands';
import { rigHelper } from './helper-program';
import { PREFIX4, PREFIX6, type RigSide, generateSides } from './names';
import { inNamespace } from './setup';
import {
  cancelTearDownOnExit,
  removeNamespaces,
  removeStaleRigs,
  tearDownOnExit,
} from './teardown';

export const sinkKinds = ['ifb', 'xdp-drop'] as const;
export type SinkKind = (typeof sinkKinds)[number];

export interface SinkOptions {
  readonly kind: SinkKind;
  /** Of the sending device. Default 1500. */
  readonly mtu?: number;
}

/** What left through the device. A GSO send is one packet of `ifb`, whose bytes count headers once. */
export interface SinkTraffic {
  readonly packets: number;
  readonly bytes: number;
}

const DEFAULT_MTU = 1500;
const MOST_MTU = 65_535;
/** Unused; a neighbour entry needs one all the same. */
const FAR_MAC = '02:00:00:00:00:02';
/** Without these a device would make the kernel copy, or cut, what it is sent. */
const NEEDED_FEATURES = ['sg', 'tx', 'gso', 'tso'] as const;

/** What stands in the way of such a sink, or undefined. Builds a namespace and removes it. */
export function sinkUnavailable(kind: SinkKind): Obstacle | undefined {
  const unavailable = namespacesUnavailable();
  if (unavailable !== undefined || kind === 'xdp-drop') return unavailable;
  const { netns, device } = generateSides('process').sender;
  runCommand(['ip', 'netns', 'add', netns]);
  try {
    const attempt = tryCommand(['ip', '-n', netns, 'link', 'add', device, 'type', 'ifb']);
    if (attempt.problem === undefined) return undefined;
    return { reason: `no ifb device: ${attempt.problem}`, remedy: 'load the kernel module ifb' };
  } finally {
    removeNamespaces([netns]);
  }
}

/**
 * A namespace whose network ends in nothing.
 * Kernel: root (CAP_NET_ADMIN, CAP_SYS_ADMIN); see sinkUnavailable.
 */
export class Sink {
  readonly kind: SinkKind;
  readonly netns: string;
  /** The sending device, for packet sockets. */
  readonly device: string;
  readonly mtu: number;
  /** The namespace's own addresses: what sends carry as source. */
  readonly address4: string;
  readonly address6: string;
  /** Sends to these, on any port, leave through `device` and vanish. Nothing is ever answered. */
  readonly target4: string;
  readonly target6: string;
  /** Where programs run. */
  readonly cpu = 0;

  readonly #children = new Set<ChildProcess>();
  readonly #onExit = () => this.down();

  private constructor(kind: SinkKind, mtu: number, near: RigSide, far: RigSide) {
    this.kind = kind;
    this.mtu = mtu;
    this.netns = near.netns;
    this.device = near.device;
    this.address4 = near.address4;
    this.address6 = near.address6;
    this.target4 = far.address4;
    this.target6 = far.address6;
  }

  /**
   * Builds a sink, after removing what dead owners left. It ends with this process, however it ends.
   * Throws: when there can be none here (see sinkUnavailable) or a step of building it fails;
   * nothing is left behind then.
   */
  static up(options: SinkOptions): Sink {
    const unavailable = namespacesUnavailable();
    if (unavailable !== undefined) {
      throw new Unavailable(unavailable.reason, unavailable.remedy);
    }
    const { kind, mtu = DEFAULT_MTU } = options;
    if (!Number.isInteger(mtu) || mtu < DEFAULT_MTU || mtu > MOST_MTU) {
      throw new RangeError(`mtu must be a whole number, ${DEFAULT_MTU} to ${MOST_MTU}, not ${mtu}`);
    }
    removeStaleRigs();
    const { sender, receiver } = generateSides('process');
    const sink = new Sink(kind, mtu, sender, receiver);
    tearDownOnExit(sink.#onExit);
    try {
      setUp(kind, mtu, sender, receiver);
      return sink;
    } catch (error) {
      sink.down();
      throw error;
    }
  }

  /** `argv` as it must be started to run in the namespace and on its CPU. */
  command(argv: readonly string[]): string[] {
    const pinned = ['taskset', '-c', String(this.cpu), ...argv];
    return ['ip', 'netns', 'exec', this.netns, ...pinned];
  }

  /** Starts a program in the namespace and on CPU 0; `down` kills it if it still runs. */
  spawn(argv: readonly string[], options: SpawnOptions = {}): ChildProcess {
    const [file = '', ...rest] = this.command(argv);
    const child = spawn(file, rest, options);
    this.#children.add(child);
    child.once('exit', () => this.#children.delete(child));
    return child;
  }

  /** Everything that left so far, the kernel's own announcements of addresses included. */
  sent(): SinkTraffic {
    const text = runCommand(['ip', '-n', this.netns, '-s', '-j', 'link', 'show', this.device]);
    const [link] = JSON.parse(text) as [{ stats64: Record<'rx' | 'tx', SinkTraffic> }];
    // An ifb counts what a namespace's own programs send as received (drivers/net/ifb.c:ifb_xmit).
    const { packets, bytes } = link.stats64[this.kind === 'ifb' ? 'rx' : 'tx'];
    return { packets, bytes };
  }

  /** Takes the sink down, with every program that still runs in it. A second call does nothing. */
  down(): void {
    for (const child of this.#children) child.kill('SIGKILL');
    removeNamespaces([this.netns]);
    cancelTearDownOnExit(this.#onExit);
  }
}

function setUp(kind: SinkKind, mtu: number, near: RigSide, far: RigSide): void {
  const ip = (...words: string[]) => runCommand(['ip', '-n', near.netns, ...words]);
  runCommand(['ip', 'netns', 'add', near.netns]);
  // Machines that switch IPv6 off for new namespaces keep it off for the devices made in them.
  const settings =
    'for f in all default; do echo 0 > /proc/sys/net/ipv6/conf/$f/disable_ipv6; done';
  runCommand(inNamespace(near, ['sh', '-euc', settings]));
  ip('link', 'set', 'lo', 'up');
  const add = ['link', 'add', 'name', near.device, 'mtu', String(mtu)];
  const queues = ['numtxqueues', '1', 'numrxqueues', '1'];
  if (kind === 'ifb') {
    ip(...add, ...queues, 'type', 'ifb');
  } else {
    const peer = ['peer', 'name', far.device, 'mtu', String(mtu), ...queues];
    ip(...add, ...queues, 'type', 'veth', ...peer);
  }
  if (kind === 'ifb') requireFeatures(near);
  else attachDrop(near, far);
  ip('link', 'set', near.device, 'up');
  ip('addr', 'add', `${near.address4}/${PREFIX4}`, 'dev', near.device);
  ip('addr', 'add', `${near.address6}/${PREFIX6}`, 'dev', near.device, 'nodad');
  // No host answers for the target; an ifb asks for no neighbour, a veth would.
  for (const address of [far.address4, far.address6]) {
    ip('neigh', 'replace', address, 'lladdr', FAR_MAC, 'dev', near.device, 'nud', 'permanent');
  }
}

function requireFeatures(near: RigSide): void {
  for (const feature of NEEDED_FEATURES) {
    runCommand(inNamespace(near, [rigHelper(), 'feature', near.device, feature, 'on']));
  }
}

// Both ends stand in the one namespace: nothing gets past the program, so the far end needs neither
// addresses nor a stack of its own.
function attachDrop(near: RigSide, far: RigSide): void {
  runCommand(['ip', '-n', near.netns, 'link', 'set', far.device, 'up']);
  runCommand(inNamespace(near, [rigHelper(), 'xdp-drop-native', far.device]));
}
