// Builds the two namespaces and the path between them. Each setting has its reason beside it; what
// they achieve together is that the sender's pages are never copied on the sender's account, and
// that all of the sender's work, ACK processing included, happens on the sender's CPU.
//
//   sender, CPU 0                                           receiver, CPU 1
//   program -> TCP -> pfifo | tbf -> veth ============ veth -> RPS -> generic XDP -> TCP -> program
//                     ACKs: GRO -> napi thread                        (copies: plays the NIC's DMA)
import { readFileSync, readdirSync } from 'node:fs';

import { runCommand, tryCommand } from './commands';
import { rigDelay, rigHelper } from './helper-program';
import { PREFIX4, PREFIX6, type RigSide, type RigSideName } from './names';

/** What the path is like. */
export interface RigPath {
  /** The link's rate as tc(8) spells it, such as '10gbit' (tbf). Default: unlimited (pfifo). */
  readonly rate?: string;
  /** The round trip in whole milliseconds, 1 to 10,000. Default: as short as it gets. */
  readonly roundTripMs?: number;
}

type Sides = Record<RigSideName, RigSide>;

const RATE = /^\d+(\.\d+)?[kmgt]?bit$/i;

/** A queue of packets, which with segmentation offload hold up to 64 KiB each: more than any send buffer. */
export const PFIFO = ['pfifo', 'limit', '10000'] as const;
const MTU = 1500;
/** Must hold a 64 KiB packet several times over, or tbf would cut it up. */
const TBF_BURST = '512kb';
const TBF_LIMIT = '64mb';
const MOST_ROUND_TRIP_MS = 10_000;

/** Read by programs in the namespace at path `/proc/sys/net/…`. */
const SYSCTLS: Readonly<Record<string, string>> = {
  // New namespaces inherit the machine's choice; a pacing one (bbr) would be what is measured.
  'ipv4/tcp_congestion_control': 'reno',
  // A connection must not start from what an earlier, perhaps lossy one has left behind.
  'ipv4/tcp_no_metrics_save': '1',
  // Large enough that neither end waits for the other's scheduling.
  'ipv4/tcp_rmem': '4096 131072 16777216',
  'ipv4/tcp_wmem': '4096 65536 8388608',
  'ipv6/conf/all/disable_ipv6': '0',
  'ipv6/conf/default/disable_ipv6': '0',
};

/** Throws: TypeError, when `rate` is not a rate as tc(8) spells them, such as '10gbit'. */
export function checkRate(rate: string): void {
  if (!RATE.test(rate)) throw new TypeError(`not a rate: '${rate}' (such as 10gbit, 500mbit)`);
}

/** Throws: RangeError, when `milliseconds` is no round trip that the rig can have. */
export function checkRoundTrip(milliseconds: number): void {
  if (Number.isInteger(milliseconds) && milliseconds >= 1 && milliseconds <= MOST_ROUND_TRIP_MS)
    return;
  throw new RangeError(
    `roundTripMs must be a whole number, 1 to ${MOST_ROUND_TRIP_MS}, not ${milliseconds}`,
  );
}

/**
 * Creates everything; the caller tears down what stands when this throws.
 * Returns the pid of the kernel thread that handles the sender's ACKs, where it can be seen.
 */
export function setUp(sides: Sides, { rate, roundTripMs }: RigPath): number | undefined {
  const { sender, receiver } = sides;
  const helper = rigHelper();
  for (const side of [sender, receiver]) {
    runCommand(['ip', 'netns', 'add', side.netns]);
    writeSettings(side, '/proc/sys/net/', SYSCTLS);
    runCommand(['ip', '-n', side.netns, 'link', 'set', 'lo', 'up']);
  }
  createLink(sender, receiver, MTU);
  // A queue that pushes back: a veth ring has 256 entries and drops what does not fit when there is
  // no qdisc to stop (measured: 115,000 retransmissions without, 79 with it, in 171 GB).
  const discipline =
    rate === undefined ? PFIFO : ['tbf', 'rate', rate, 'burst', TBF_BURST, 'limit', TBF_LIMIT];
  const device = ['dev', sender.device, 'root'];
  runCommand(['tc', '-n', sender.netns, 'qdisc', 'replace', ...device, ...discipline]);
  // ACKs: with GRO a veth has NAPI; "threaded" makes that a kernel thread whose CPU time can be
  // read exactly. Only packets that are eligible for GRO go there: see the receiver's tso below.
  setFeature(helper, sender, 'gro', 'on');
  setFeature(helper, receiver, 'tso', 'off');
  receiveOnOwnCpu(receiver);
  runCommand(inNamespace(receiver, [helper, 'xdp-pass', receiver.device]));
  for (const side of [sender, receiver]) addAddresses(side);
  // Only now: a veth has NAPI instances, and the file can be written, while it is up.
  writeSettings(sender, `/sys/class/net/${sender.device}/`, { threaded: '1' });
  if (roundTripMs !== undefined) delayWayBack(sides, roundTripMs);
  return pinAckThread(sender);
}

/** `argv` as it must be started to run in the side's namespace, on whichever CPU is free. */
export function inNamespace(side: RigSide, argv: readonly string[]): string[] {
  return ['ip', 'netns', 'exec', side.netns, ...argv];
}

function setFeature(helper: string, side: RigSide, feature: string, state: 'on' | 'off'): void {
  runCommand(inNamespace(side, [helper, 'feature', side.device, feature, state]));
}

// One queue at each end: with more, a connection's packets and ACKs would choose their CPUs.
export function createLink(sender: RigSide, receiver: RigSide, mtu: number): void {
  const shape = ['mtu', String(mtu), 'numtxqueues', '1', 'numrxqueues', '1'];
  const near = ['link', 'add', 'name', sender.device, ...shape, 'type', 'veth'];
  const far = ['peer', 'name', receiver.device, ...shape, 'netns', receiver.netns];
  runCommand(['ip', '-n', sender.netns, ...near, ...far]);
}

/** What arrives at the side's device is handled by its CPU. */
export function receiveOnOwnCpu(side: RigSide): void {
  const settings = { 'queues/rx-0/rps_cpus': (2 ** side.cpu).toString(16) };
  writeSettings(side, `/sys/class/net/${side.device}/`, settings);
}

// `nodad`: an address under duplicate detection cannot be bound for a second or so.
export function addAddresses(side: RigSide): void {
  const ip = ['ip', '-n', side.netns];
  const add = (address: string) => ['addr', 'add', address, 'dev', side.device];
  runCommand([...ip, 'link', 'set', side.device, 'up']);
  runCommand([...ip, ...add(`${side.address4}/${PREFIX4}`)]);
  runCommand([...ip, ...add(`${side.address6}/${PREFIX6}`), 'nodad']);
}

// Only what comes back waits, so that the way of the data stays the one that copies nothing.
function delayWayBack({ sender, receiver }: Sides, milliseconds: number): void {
  const [from, to] = [`d${receiver.device}`, `d${sender.device}`];
  const argv = [rigDelay(), from, `/run/netns/${sender.netns}`, to, String(milliseconds)];
  runCommand(inNamespace(receiver, argv));
  for (const [side, device] of [
    [receiver, from],
    [sender, to],
  ] as const) {
    runCommand(['ip', '-n', side.netns, 'link', 'set', device, 'up']);
    // Packets come by another device than the one that leads to where they are from.
    writeSettings(side, '/proc/sys/net/ipv4/conf/', {
      'all/rp_filter': '0',
      [`${device}/rp_filter`]: '0',
    });
  }
  const route = ['ip', '-n', receiver.netns, 'route', 'add'];
  const back = (bits: number, by: string, own: string) => [
    `${by}/${bits}`,
    'dev',
    from,
    'src',
    own,
  ];
  runCommand([...route, ...back(32, sender.address4, receiver.address4)]);
  runCommand([...route, ...back(128, sender.address6, receiver.address6)]);
}

// `ip netns exec` shows a program the namespace's own /proc/sys/net and /sys/class/net.
export function writeSettings(
  side: RigSide,
  folder: string,
  settings: Readonly<Record<string, string>>,
): void {
  const pairs = Object.entries(settings).flatMap(([name, value]) => [folder + name, value]);
  const script = 'while [ $# -gt 0 ]; do printf %s "$2" > "$1"; shift 2; done';
  runCommand(inNamespace(side, ['sh', '-euc', script, 'sh', ...pairs]));
}

// Not visible from inside a pid namespace: the rig then works, but the thread runs where it likes.
function pinAckThread(sender: RigSide): number | undefined {
  const prefix = `napi/${sender.device}-`;
  for (const entry of readdirSync('/proc')) {
    const pid = Number(entry);
    if (!Number.isInteger(pid) || !commandName(pid).startsWith(prefix)) continue;
    const pin = tryCommand(['taskset', '-pc', String(sender.cpu), String(pid)]);
    if (pin.problem !== undefined) throw new Error(pin.problem);
    return pid;
  }
  return undefined;
}

function commandName(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8');
  } catch {
    return ''; // ended meanwhile
  }
}
