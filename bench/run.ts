// npm run bench: reads the command line, runs the workloads one after another, writes what came out.
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { chartOf } from './chart';
import { endAll } from './child';
import { formatFacts, hostFacts, optionFacts, type Facts } from './host';
import { takeLock } from './lock';
import { packageRoot } from './native';
import { datagramWorkloads, parseOptions, type BenchOptions, type WorkloadName } from './options';
import { Places, type Place } from './place';
import { formatReport } from './table';
import { timelineChart } from './timeline-chart';
import { missedTargets, type Report } from './trials';
import { usage } from './usage';
import { UsageError } from '../scripts/command-line';
import { broadcast } from './workloads/broadcast';
import { floorHttp, floorStream } from './workloads/floor';
import { memoryGrowth } from './workloads/growth';
import { files } from './workloads/files';
import { http } from './workloads/http';
import { httpInTurn } from './workloads/http-in-turn';
import { httpLatency } from './workloads/http-latency';
import { memory } from './workloads/memory';
import { mix } from './workloads/mix';
import { pacing } from './workloads/pacing';
import { packet } from './workloads/packet';
import { raw } from './workloads/raw';
import { tcpLoopback, tcpSmall, tcpStream } from './workloads/tcp';
import { tuning } from './workloads/tuning';
import { udpReceive } from './workloads/udp-receive';
import { udpSend } from './workloads/udp-send';

type Workload = (options: BenchOptions, places: Places) => Promise<Report>;

const workloads: Record<WorkloadName, Workload> = {
  'tcp-stream': tcpStream,
  'tcp-small': tcpSmall,
  'tcp-loopback': tcpLoopback,
  http,
  'http-latency': httpLatency,
  'http-in-turn': httpInTurn,
  files,
  mix,
  tuning,
  broadcast,
  pacing,
  'floor-stream': floorStream,
  'floor-http': floorHttp,
  memory,
  'memory-growth': memoryGrowth,
  'udp-send': udpSend,
  'udp-receive': udpReceive,
  raw,
  packet,
};

/** A rig is not built for these alone. */
const onLoopback = new Set<WorkloadName>(['tcp-small', 'tcp-loopback', 'memory', 'udp-receive']);
const ordinaryMtu = 1500;

async function main(): Promise<number> {
  const options = parseOptions(process.argv.slice(2));
  if (!options) {
    console.log(usage);
    return 0;
  }
  await takeLock();
  const places = new Places(options);
  // Children first: a namespace is only free when no process is in it.
  const leave = (code: number): void => {
    endAll();
    places.close();
    process.exit(code);
  };
  process.once('SIGINT', () => leave(130));
  process.once('SIGTERM', () => leave(143));
  try {
    const reports = await runAll(options, places);
    return options.check ? checked(reports) : 0;
  } finally {
    endAll();
    places.close();
  }
}

async function runAll(options: BenchOptions, places: Places): Promise<Report[]> {
  const host = await hostFacts(placeOf(options, places));
  const facts = { ...host, ...optionFacts(options) };
  console.log(formatFacts(facts));
  const reports: Report[] = [];
  for (const name of options.workloads) {
    const report = await workloads[name](options, places);
    reports.push(report);
    console.log(formatReport(report));
    // After every workload: a later failure must not take the earlier results with it.
    await save(options, facts, reports);
  }
  return reports;
}

// Says which targets are missed, noise left aside.
function checked(reports: readonly Report[]): number {
  const missed = reports.flatMap(({ plan, cases }) =>
    missedTargets(plan, cases).map((line) => `${plan.workload}: ${line}`),
  );
  for (const line of missed) console.error(line);
  return missed.length > 0 ? 1 : 0;
}

/** What the header speaks of. */
function placeOf({ workloads }: BenchOptions, places: Places): Place {
  if (workloads.every((name) => onLoopback.has(name))) return places.loopback();
  if (workloads.every((name) => datagramWorkloads.has(name))) return places.sink(ordinaryMtu);
  return places.preferred();
}

async function save(
  options: BenchOptions,
  facts: Facts,
  reports: readonly Report[],
): Promise<void> {
  const date = new Date().toISOString();
  const last = reports.at(-1);
  if (!last) return;
  const file = options.json ?? path.join(packageRoot, `bench/results/${last.plan.workload}.json`);
  const content = options.json === undefined ? [last] : reports;
  write(file, `${JSON.stringify({ date, host: facts, reports: content }, undefined, 2)}\n`);
  if (options.svg === undefined) return;
  if (!last.timelines) {
    write(path.join(options.svg, `${last.plan.workload}.svg`), await chartOf(last, facts));
  }
  for (const one of last.timelines ?? []) {
    const name = `${last.plan.workload}-${one.label}-${one.contestant}`.replace(
      /[^a-z0-9_+]+/gi,
      '-',
    );
    write(path.join(options.svg, `${name}.svg`), await timelineChart(one, facts));
  }
}

function write(file: string, content: string): void {
  mkdirSync(path.dirname(path.resolve(file)), { recursive: true });
  writeFileSync(file, content);
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    if (error instanceof UsageError) {
      console.error(`bench: ${error.message}; see 'npm run bench -- --help'`);
      process.exit(2);
    }
    console.error(error instanceof Error ? error.message : error);
    process.exit(1);
  },
);
