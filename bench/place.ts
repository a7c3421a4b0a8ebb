// Where a measurement runs: on the rig (two network namespaces, real zero copy) or on loopback. Both
// sides are pinned to a CPU of their own.
import type { SpawnOptions } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

import { Place as Ends, type Side } from '../scripts/place';
import { type Policer, Rig, type RigOptions, rigUnavailable } from '../scripts/rig';
import { Sink, sinkUnavailable, type SinkKind } from '../scripts/rig/sink';
import { Child } from './child';
import type { BenchOptions } from './options';

export interface Place {
  readonly name: 'rig' | 'loopback' | SinkKind;
  readonly device: string;
  address(side: Side): string;
  start(side: Side, name: string, argv: readonly string[]): Child;
  /** Starts a capture on the sender's device, which makes the kernel copy; absent where it would not. */
  capture?(): Promise<{ stop(): Promise<void> }>;
  /** Schedstat files of the kernel threads on the sender's CPU that work for the sender. */
  readonly kernelThreads: string[];
  close(): void;
}

/** Has a sender's side only. */
export interface SinkPlace extends Place {
  /** Bytes that left through the device so far. */
  sentBytes(): number;
}

/** A slower hop in the way to the receiver, and how long the way is. */
export interface Hop extends Policer {
  readonly roundTripMs: number;
}

/** The rig with such a hop. */
export interface HopPlace extends Place {
  /** Of TCP, sent so far. */
  segments(): ReturnType<Rig['tcpSegments']>;
}

const childOptions: SpawnOptions = { stdio: ['pipe', 'pipe', 'pipe'] };

/** Opens the rig and loopback when first asked for, and closes what was opened. */
export class Places {
  readonly #options: BenchOptions;
  readonly #open = new Map<string, Place>();
  readonly #sinks = new Map<string, SinkPlace>();
  readonly #hops: HopPlace[] = [];

  constructor(options: BenchOptions) {
    this.#options = options;
  }

  /** The rig where it can be had, or what --place says. */
  preferred(): Place {
    if (this.#options.place === 'loopback') return this.loopback();
    const missing = rigUnavailable();
    if (!missing) return this.#get('rig', () => openRig(this.#options));
    if (this.#options.place === 'rig') {
      throw new Error(`no rig: ${missing.reason}; ${missing.remedy}`);
    }
    console.error(`no rig (${missing.reason}; ${missing.remedy}): loopback cannot show a win`);
    return this.loopback();
  }

  loopback(): Place {
    return this.#get('loopback', () => openLoopback(this.#options.family));
  }

  /** Where datagrams vanish; there is no other place for their senders. */
  sink(mtu: number): SinkPlace {
    const { sink: kind, family } = this.#options;
    const name = `${kind} ${mtu}`;
    const place = this.#sinks.get(name) ?? openSink(kind, mtu, family);
    this.#sinks.set(name, place);
    return place;
  }

  /** There is no other place that loses what comes too fast. */
  hop(hop: Hop): HopPlace {
    const missing = rigUnavailable();
    if (missing) throw new Error(`no rig: ${missing.reason}; ${missing.remedy}`);
    const place = openHop(hop, this.#options.family);
    this.#hops.push(place);
    return place;
  }

  close(): void {
    const all = [...this.#open.values(), ...this.#sinks.values(), ...this.#hops.splice(0)];
    for (const place of all) place.close();
    this.#open.clear();
    this.#sinks.clear();
  }

  #get(name: string, open: () => Place): Place {
    const place = this.#open.get(name) ?? open();
    this.#open.set(name, place);
    return place;
  }
}

/** The command with as many descriptors as the hard limit allows. */
export function withDescriptors(argv: readonly string[]): string[] {
  const limits = readFileSync('/proc/self/limits', 'utf8');
  const limit = /^Max open files\s+\S+\s+(\S+)/m.exec(limits)?.[1] ?? '4096';
  return ['prlimit', `--nofile=${limit}:${limit}`, ...argv];
}

function openRig({ rate, family }: BenchOptions): Place {
  return placeOver(rate === undefined ? {} : { rate }, family)[1];
}

function openHop({ roundTripMs, ...policer }: Hop, family: 4 | 6): HopPlace {
  const [rig, place] = placeOver({ roundTripMs }, family);
  rig.setPolicer(policer);
  return { ...place, segments: () => rig.tcpSegments() };
}

function placeOver(path: RigOptions, family: 4 | 6): [Rig, Place] {
  const rig = Rig.up(path);
  const ends = Ends.over(rig);
  const place: Place = {
    name: 'rig',
    device: ends.device,
    address: (side) => ends.address(side, family),
    start: (side, name, argv) => new Child(name, ends.start(side, argv, childOptions)),
    capture: () => rig.capture('sender'),
    kernelThreads: kernelThreadsOf(ends.device, rig.sender.cpu),
    close: () => void ends.close(),
  };
  return [rig, place];
}

function openSink(kind: SinkKind, mtu: number, family: 4 | 6): SinkPlace {
  const missing = sinkUnavailable(kind);
  if (missing) throw new Error(`no sink: ${missing.reason}; ${missing.remedy}`);
  const sink = Sink.up({ kind, mtu });
  const [own, target] =
    family === 6 ? [sink.address6, sink.target6] : [sink.address4, sink.target4];
  return {
    name: kind,
    device: sink.device,
    address: (side) => (side === 'sender' ? own : target),
    start: (side, name, argv) => {
      if (side === 'receiver') throw new Error('a sink has no receiver');
      return new Child(name, sink.spawn(argv, childOptions));
    },
    kernelThreads: kernelThreadsOf(sink.device, sink.cpu),
    sentBytes: () => sink.sent().bytes,
    close: () => sink.down(),
  };
}

function openLoopback(family: 4 | 6): Place {
  const ends = Ends.open('loopback');
  const [first = 0, second = first] = allowedCpus();
  const cpuOf = { sender: first, receiver: second };
  return {
    name: 'loopback',
    device: ends.device,
    address: (side) => ends.address(side, family),
    start: (side, name, argv) => {
      const pinned = ['taskset', '-c', String(cpuOf[side]), ...argv];
      return new Child(name, ends.start(side, pinned, childOptions));
    },
    kernelThreads: kernelThreadsOf(ends.device, first),
    close: () => void ends.close(),
  };
}

function allowedCpus(): number[] {
  const list = /^Cpus_allowed_list:\s*(\S+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
  return (list ?? '0').split(',').flatMap((range) => {
    const [first = 0, last = first] = range.split('-').map(Number);
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });
}

// ACKs of the rig are handled by the device's own NAPI thread; what spills over from an interrupt's
// budget goes to ksoftirqd.
function kernelThreadsOf(device: string, cpu: number): string[] {
  const wanted = (name: string): boolean =>
    name.startsWith(`napi/${device}-`) || name === `ksoftirqd/${cpu}`;
  return readdirSync('/proc')
    .filter((pid) => /^\d+$/.test(pid) && wanted(nameOf(pid)))
    .map((pid) => `/proc/${pid}/schedstat`);
}

function nameOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
  } catch {
    return '';
  }
}
