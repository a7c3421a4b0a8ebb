// Brings upgraded sockets into a state and counts what the event loop does in it.
// Writes {ready} when the state is reached, is told {go} by the test, and writes {measured}.
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { performance } from 'node:perf_hooks';
import { connect, type ZeroCopySocket } from '../../lib/index';
import { argument, print } from '../helpers/program-side';
import { until } from '../../scripts/until';

export interface LoopArgument {
  readonly port: number;
  readonly address: string;
  readonly sockets: number;
  /**
   * 'idle': all was sent and released. 'stalled': the peer does not read, part of a write waits.
   * 'pinned': the peer does not read, and every write was accepted.
   */
  readonly state: 'idle' | 'stalled' | 'pinned';
  readonly reading: 'reading' | 'paused';
  /** Whether callbacks wait for the release: ranges are then reported at once. */
  readonly callbacks: 'waited for' | 'none';
  /** A number of milliseconds, or until every callback has fired. */
  readonly measure: number | 'until released';
}

export interface Measured {
  readonly measured: {
    readonly turns: number;
    readonly cpuMs: number;
    /** Released during the measurement. */
    readonly notifications: number;
    readonly released: number;
  };
}

interface NodeTiming {
  readonly uvMetricsInfo: { readonly loopCount: number };
}

const given = argument<LoopArgument>();
const WRITES: Record<LoopArgument['state'], number> = { idle: 16, stalled: 128, pinned: 16 };
const CHUNK = Buffer.alloc(64 * 1024, 1);

const WRITTEN = given.sockets * WRITES[given.state];

let released = 0;
let onAll: () => void = () => undefined;
const allReleased = new Promise<void>((resolve) => (onAll = resolve));

async function open(): Promise<ZeroCopySocket> {
  const { port, address: host } = given;
  const socket = connect({ port, host, zeroCopy: { engine: 'msg_zerocopy' } });
  // Before the connection stands: core starts to read then, unless it is paused.
  if (given.reading === 'paused') socket.pause();
  await once(socket, 'connect');
  for (let i = 0; i < WRITES[given.state]; i++) {
    if (given.callbacks === 'none') socket.write(CHUNK);
    else socket.write(CHUNK, () => ++released === WRITTEN && onAll());
  }
  return socket;
}

function inState({ zeroCopy, writableLength }: ZeroCopySocket): boolean {
  if (given.state === 'idle') return zeroCopy.pendingSends === 0 && writableLength === 0;
  return zeroCopy.pendingBytes > 256 * 1024 && writableLength > 0 === (given.state === 'stalled');
}

function notifications(sockets: readonly ZeroCopySocket[]): number {
  return sockets.reduce((sum, { zeroCopy }) => sum + zeroCopy.stats.notifications, 0);
}

function turns(): number {
  return (performance.nodeTiming as unknown as NodeTiming).uvMetricsInfo.loopCount;
}

async function measuring(): Promise<void> {
  const { measure } = given;
  // Nothing looks every now and then: its turns would be counted.
  if (measure === 'until released') await allReleased;
  // Not to wait for anything: this is the time over which is counted.
  else await new Promise((resolve) => setTimeout(resolve, measure));
}

async function main(): Promise<void> {
  const sockets = await Promise.all(Array.from({ length: given.sockets }, open));
  await until('the state is reached', () => sockets.every(inState));
  const commands = createInterface({ input: process.stdin });
  print({ ready: true });
  await once(commands, 'line');
  const before = { turns: turns(), cpu: process.cpuUsage(), notes: notifications(sockets) };
  await measuring();
  const cpu = process.cpuUsage(before.cpu);
  print({
    measured: {
      turns: turns() - before.turns,
      cpuMs: (cpu.user + cpu.system) / 1000,
      notifications: notifications(sockets) - before.notes,
      released,
    },
  } satisfies Measured);
  process.exit();
}

void main();
