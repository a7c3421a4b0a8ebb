// A keep-alive http server under low load: how long a request takes when no other is in its way. The
// loop is open: requests are due at fixed times, and what delays one is not taken off the next.
import { costOf, trialOf } from '../cost';
import { formatSize, nodeOnly, type BenchOptions, type Contestant } from '../options';
import type { Places } from '../place';
import { runCase, type Case, type Measured, type Plan, type Report } from '../trials';
import { bodiesFact, oneSize, serveLoad, type LoadSetting } from './http-load';

const kib = 1024;
const defaultSizes = [1 * kib, 64 * kib];
const mostRatio = 1.1;
/** A server that copies large answers keeps small ones waiting meanwhile. */
const slow = { readers: 10, bytes: 10 * kib * kib };
const slowTarget = { most: 1 };
// A 99th percentile of fewer is decided by two or three requests.
const enoughRequests = 1000;

export async function httpLatency(options: BenchOptions, places: Places): Promise<Report> {
  const place = places.preferred();
  const { requestRate, seconds } = options;
  // At full speed at first, so that the code that is measured has been compiled.
  const warmup = options.warmup ?? 2;
  const plan: Plan = {
    workload: 'http-latency',
    title: `99th percentile of latency at ${requestRate} requests/s`,
    facts: { place: place.name, warmup, bodies: bodiesFact(options), loop: 'open' },
    figures: [
      { key: 'p99', heading: 'p99 µs', digits: 0 },
      { key: 'p50', heading: 'p50 µs', digits: 0 },
      { key: 'loop', heading: 'loop %', digits: 2 },
      { key: 'proc', heading: 'proc µs/request', digits: 1 },
      { key: 'sys', heading: 'sys', digits: 1 },
      { key: 'rate', heading: 'requests/s', digits: 0 },
    ],
    main: 'p99',
    alsoCompared: ['p50', 'loop', 'proc'],
    compare: 'ratio',
    contestants: nodeOnly(options.contestants),
    rounds: options.rounds,
  };
  const cases = [];
  for (const connections of options.connections ?? [8]) {
    for (const bytes of options.sizes ?? defaultSizes) {
      const one: Case = {
        label: formatSize(bytes),
        panel: `${connections} connections`,
        bytes,
        target: { most: mostRatio },
      };
      const parts = oneSize(options, bytes);
      const setting = { place, label: one.label, parts, connections, requestRate, warmup, seconds };
      cases.push(await runCase(plan, one, (contestant) => runTrial(setting, contestant)));
    }
  }
  if (options.sizes === undefined) {
    const label = formatSize(kib);
    const one: Case = {
      label,
      panel: `beside ${slow.readers} slow readers of ${formatSize(slow.bytes)}`,
      bytes: kib,
      target: slowTarget,
    };
    const common = { place, label, connections: 8, requestRate, warmup, seconds };
    const setting = { ...common, parts: oneSize(options, kib), slow };
    cases.push(await runCase(plan, one, (contestant) => runTrial(setting, contestant)));
  }
  return { plan, cases };
}

async function runTrial(setting: LoadSetting, contestant: Contestant): Promise<Measured> {
  const { result, load } = await serveLoad(setting, contestant);
  const cost = costOf(result);
  const each = (seconds: number): number => (seconds / cost.writes) * 1e6;
  const trial = trialOf(result, {
    p99: load.p99,
    p50: load.p50,
    loop: (result.loopUtilization ?? NaN) * 100,
    proc: each(cost.proc),
    sys: each(cost.proc + cost.softirq),
    rate: cost.writes / cost.seconds,
  });
  return load.requests < enoughRequests ? { ...trial, remark: 'few requests' } : trial;
}
