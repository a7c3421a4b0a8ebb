// What the command line may say, and what it means. Knows every option; measures nothing.
import { readCommandLine, UsageError } from '../scripts/command-line';
import { sinkKinds, type SinkKind } from '../scripts/rig/sink';

export const workloadNames = [
  'tcp-stream',
  'tcp-small',
  'tcp-loopback',
  'http',
  'http-latency',
  'http-in-turn',
  'files',
  'mix',
  'tuning',
  'floor-stream',
  'floor-http',
  'broadcast',
  'pacing',
  'memory',
  'memory-growth',
  'udp-send',
  'udp-receive',
  'raw',
  'packet',
] as const;
export type WorkloadName = (typeof workloadNames)[number];

const groups: Record<string, readonly WorkloadName[]> = {
  tcp: ['tcp-stream', 'tcp-small', 'tcp-loopback'],
  udp: ['udp-send', 'udp-receive'],
  floor: ['floor-stream', 'floor-http'],
};

/** Those with rows of their own; `--contestants` names some of them. */
export const datagramWorkloads: ReadonlySet<WorkloadName> = new Set<WorkloadName>([
  'udp-send',
  'udp-receive',
  'raw',
  'packet',
]);

export const contestantKinds = ['plain', 'upgraded', 'floor', 'c-copy', 'c-zerocopy'] as const;
export type ContestantKind = (typeof contestantKinds)[number];

const engines = ['auto', 'msg_zerocopy', 'io_uring', 'copy'] as const;
export type EngineName = (typeof engines)[number];

/** How a server answers with a file. */
export type FileWay = 'pipe' | 'sendFile' | 'express' | 'fastify' | 'nginx';

/** Who is measured. `settings` goes to the library as it is; absent means its defaults. */
export interface Contestant {
  name: string;
  kind: ContestantKind;
  settings?: { engine?: EngineName; threshold?: number; maxPacingRate?: number };
  /** How a floor sends. */
  floor?: 'msg_zerocopy' | 'io_uring';
  /** It answers with a file. */
  file?: FileWay;
  /** Its memory comes from a BufferPool, which the library is given as well. */
  pool?: true;
  /** Why it cannot take part here, and what would change that: shown in its row. */
  missing?: string;
}

/** Rows of the datagram workloads, each of which has a list of its own. */
export const datagramRows = [
  'plain',
  'raw-socket',
  'send',
  'send-many',
  'gso',
  'gso-zerocopy',
  'ring',
  'receive',
  'gro',
  'c-send',
  'c-sendto',
  'c-sendmmsg',
  'c-gso',
  'c-gso-zerocopy',
  'c-ring',
] as const;
export type DatagramRow = (typeof datagramRows)[number];

/** When, in the life of the process that is measured. */
export const phases = ['cold', 'early', 'warm'] as const;
export type Phase = (typeof phases)[number];

/** What the other end does with the bytes: copies them into its memory, as a client does, or not. */
export const receivers = ['reads', 'discards'] as const;
export type Receiver = (typeof receivers)[number];

export const patterns = ['burst', 'corked'] as const;
export type Pattern = (typeof patterns)[number];

/** What a packet sender writes before it sends: headers and a counter per frame, or all of it. */
export const produces = ['counter', 'whole'] as const;
export type Produce = (typeof produces)[number];

export interface BenchOptions {
  workloads: WorkloadName[];
  rounds: number;
  /** Measured seconds of one trial, after the warm-up. */
  seconds: number;
  /** Seconds before the measurement; each workload has its own default. */
  warmup?: number;
  sizes?: number[];
  /** Memory the sources cover together; each workload has its own default. */
  footprint?: number;
  contestants: Contestant[];
  /** Of the datagram workloads; absent: all. */
  rows?: DatagramRow[];
  sink: SinkKind;
  produce: Produce;
  place: 'auto' | 'rig' | 'loopback';
  family: 4 | 6;
  rate?: string;
  /** Of the path, in milliseconds; absent: the workload has its own default. */
  roundTrips?: number[];
  patterns: Pattern[];
  phases: Phase[];
  receivers: Receiver[];
  /** Ends with 1 when a target is missed by more than a tenth and nothing disturbed the trials. */
  check: boolean;
  /** Absent: each workload has its own default. */
  connections?: number[];
  /** Requests a second of an open loop. */
  requestRate: number;
  minutes: number;
  json?: string;
  svg?: string;
}

const flags = {
  rounds: { type: 'string' },
  seconds: { type: 'string' },
  warmup: { type: 'string' },
  size: { type: 'string' },
  footprint: { type: 'string' },
  contestants: { type: 'string' },
  engine: { type: 'string' },
  threshold: { type: 'string' },
  pattern: { type: 'string' },
  phase: { type: 'string' },
  receiver: { type: 'string' },
  check: { type: 'boolean' },
  connections: { type: 'string' },
  'request-rate': { type: 'string' },
  minutes: { type: 'string' },
  sink: { type: 'string' },
  produce: { type: 'string' },
  place: { type: 'string' },
  rate: { type: 'string' },
  'round-trip': { type: 'string' },
  family: { type: 'string' },
  json: { type: 'string' },
  svg: { type: 'string' },
  help: { type: 'boolean' },
} as const;

/** Where all workloads that run compare the same. */
const ownContestants: Partial<Record<WorkloadName, string>> = {
  mix: 'plain,auto,msg_zerocopy,io_uring',
  tuning: 'auto',
  'floor-stream': 'floor,plain,c-zerocopy,auto,msg_zerocopy,io_uring+pool',
  'floor-http': 'plain,floor,floor:io_uring,auto,msg_zerocopy,io_uring,io_uring+pool',
  'http-in-turn': 'plain,floor:io_uring,auto',
  broadcast: 'plain,floor:io_uring,auto',
};

function defaultContestantsOf([first, ...others]: readonly WorkloadName[]): string {
  const own = first !== undefined && others.length === 0 ? ownContestants[first] : undefined;
  return own ?? 'plain,upgraded';
}

type Values = { [K in keyof typeof flags]?: string | boolean };

/** Returns undefined when only help was asked for. Throws UsageError. */
export function parseOptions(argv: readonly string[]): BenchOptions | undefined {
  const { values, positionals } = readCommandLine({
    args: [...argv],
    options: flags,
    allowPositionals: true,
  });
  if (values.help) return undefined;
  const workloads = expandWorkloads(positionals.length > 0 ? positionals : ['tcp', 'http']);
  const options: BenchOptions = {
    workloads,
    rounds: integer(values, 'rounds', 5, 1000),
    seconds: decimal(values, 'seconds', 1.5, 3600),
    contestants: parseContestants(values, defaultContestantsOf(workloads)),
    sink: oneOf('sink', (values.sink as string | undefined) ?? 'ifb', sinkKinds),
    produce: oneOf('produce', (values.produce as string | undefined) ?? 'counter', produces),
    place: oneOf('place', (values.place as string | undefined) ?? 'auto', [
      'auto',
      'rig',
      'loopback',
    ]),
    family:
      oneOf('family', (values.family as string | undefined) ?? '4', ['4', '6']) === '6' ? 6 : 4,
    patterns: text(values, 'pattern', (list) =>
      split(list).map((name) => oneOf('pattern', name, patterns)),
    ) ?? [...patterns],
    phases: text(values, 'phase', (list) =>
      split(list).map((name) => oneOf('phase', name, phases)),
    ) ?? [...phases],
    receivers: text(values, 'receiver', (list) =>
      split(list).map((name) => oneOf('receiver', name, receivers)),
    ) ?? [...receivers],
    check: values.check === true,
    requestRate: integer(values, 'request-rate', 200, 100_000),
    minutes: decimal(values, 'minutes', 3, 10_000),
  };
  const footprint = text(values, 'footprint', parseSize);
  if (footprint !== undefined) options.footprint = footprint;
  if (values.warmup !== undefined) options.warmup = decimal(values, 'warmup', 0, 3600);
  const connections = text(values, 'connections', (list) => split(list).map(parseConnections));
  if (connections) options.connections = [...new Set(connections)];
  const roundTrips = text(values, 'round-trip', (list) => split(list).map(parseRoundTrip));
  if (roundTrips) options.roundTrips = roundTrips;
  const rows = parseRows(values);
  if (rows) options.rows = rows;
  const sizes = text(values, 'size', (list) => split(list).map(parseSize));
  if (sizes) options.sizes = sizes;
  if (values.rate !== undefined && !/^\d+[kmg]bit$/.test(String(values.rate))) {
    throw new UsageError(`'${values.rate}' is not a rate such as 10gbit`);
  }
  for (const name of ['rate', 'json', 'svg'] as const) {
    const value = text(values, name, (value) => value);
    if (value !== undefined) options[name] = value;
  }
  return options;
}

function expandWorkloads(names: readonly string[]): WorkloadName[] {
  const expanded = names.flatMap(
    (name) => groups[name] ?? [oneOf('workload', name, workloadNames)],
  );
  return [...new Set(expanded)];
}

/** '64K' is 65,536 bytes. */
export function parseSize(value: string): number {
  const match = /^(\d+)([KM]?)$/i.exec(value);
  const unit = match?.[2]?.toUpperCase() ?? '';
  const bytes = Number(match?.[1]) * (unit === 'M' ? 1_048_576 : unit === 'K' ? 1024 : 1);
  if (!(bytes >= 1 && bytes <= 1_073_741_824)) {
    throw new UsageError(`'${value}' is not a size between 1 and 1024M`);
  }
  return bytes;
}

export function formatSize(bytes: number): string {
  if (bytes >= 1_048_576 && bytes % 1_048_576 === 0) return `${bytes / 1_048_576}M`;
  if (bytes >= 1024 && bytes % 1024 === 0) return `${bytes / 1024}K`;
  return String(bytes);
}

function isDatagramRow(name: string): name is DatagramRow {
  return datagramRows.some((row) => row === name);
}

function parseRows(values: Values): DatagramRow[] | undefined {
  const names = text(values, 'contestants', split)?.filter(isDatagramRow) ?? [];
  return names.length > 0 ? names : undefined;
}

function parseContestants(values: Values, otherwise: string): Contestant[] {
  const engine = text(values, 'engine', (name) => oneOf('engine', name, engines));
  const threshold = text(values, 'threshold', parseSize);
  const all = split((values.contestants as string | undefined) ?? otherwise);
  const others = all.filter((name) => name === 'plain' || !isDatagramRow(name));
  // Only rows of datagram workloads: whatever else is measured is measured as always.
  const names = others.length > 0 ? others : split(otherwise);
  return [...new Set(names)].map((name) => contestantOf(name, engine, threshold));
}

function contestantOf(
  name: string,
  engine: EngineName | undefined,
  threshold: number | undefined,
): Contestant {
  const base = name.replace(/\+pool$/, '');
  if (base === 'floor:io_uring' && base === name) return { name, kind: 'floor', floor: 'io_uring' };
  const own = engines.find((known) => base === known || base === `upgraded:${known}`);
  const kind = own ? 'upgraded' : oneOf('contestant', base, contestantKinds);
  if (kind !== 'upgraded') {
    if (base !== name) throw new UsageError(`only upgraded contestants take a pool, not '${name}'`);
    return { name, kind };
  }
  return {
    name,
    kind,
    settings: { engine: own ?? engine ?? 'auto', ...(threshold !== undefined && { threshold }) },
    ...(base !== name && { pool: true }),
  };
}

function parseConnections(value: string): number {
  const count = Number(value);
  if (!(Number.isInteger(count) && count >= 1 && count <= 20_000)) {
    throw new UsageError(`'${value}' is not a number of connections between 1 and 20000`);
  }
  return count;
}

function parseRoundTrip(value: string): number {
  if (/^[1-9]\d{0,3}$/.test(value)) return Number(value);
  throw new UsageError(`'${value}' is not a round trip of 1 to 9999 milliseconds`);
}

/** The C programs exist for streams of one socket only. */
export function nodeOnly(contestants: readonly Contestant[]): Contestant[] {
  return contestants.filter(({ kind }) => !kind.startsWith('c-'));
}

function split(list: string): string[] {
  const parts = list.split(',').map((part) => part.trim());
  if (parts.some((part) => part === '')) throw new UsageError(`empty entry in '${list}'`);
  return parts;
}

function oneOf<T extends string>(what: string, value: string, allowed: readonly T[]): T {
  const found = allowed.find((name) => name === value);
  if (found === undefined) {
    throw new UsageError(`unknown ${what} '${value}', expected ${allowed.join(', ')}`);
  }
  return found;
}

function text<T>(values: Values, name: keyof Values, read: (value: string) => T): T | undefined {
  const value = values[name];
  if (value === undefined) return undefined;
  if (value === '') throw new UsageError(`--${name} must not be empty`);
  return read(value as string);
}

function decimal(values: Values, name: keyof Values, otherwise: number, most: number): number {
  const value = text(values, name, Number) ?? otherwise;
  if (!(value >= 0 && value <= most) || (value === 0 && name !== 'warmup')) {
    throw new UsageError(`--${name} must be a number above 0 and at most ${most}`);
  }
  return value;
}

function integer(values: Values, name: keyof Values, otherwise: number, most: number): number {
  const value = decimal(values, name, otherwise, most);
  if (!Number.isInteger(value)) throw new UsageError(`--${name} must be a whole number`);
  return value;
}
