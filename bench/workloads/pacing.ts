// One socket that writes without pause over a long path with a slower hop in it, which has a bucket and no queue: how
// much arrives, and how much is lost, without a pacing rate and with one.
import type { Contestant, BenchOptions } from '../options';
import { nodeOnly } from '../options';
import type { HopPlace, Places } from '../place';
import { costOf, trialOf } from '../cost';
import { runCase, type Case, type Measured, type Plan, type Report } from '../trials';
import { defaultFootprint, streamResult } from './stream';

const defaultRate = '1gbit';
const defaultRoundTrips = [10, 50];
const bucketBytes = 256 * 1024;
const bytes = 256 * 1024;
/** The rest is headers, and room for what the kernel's clock is late. */
const pacedShare = 0.9;

export async function pacing(options: BenchOptions, places: Places): Promise<Report> {
  const rate = options.rate ?? defaultRate;
  const bytesPerSecond = bytesOf(rate);
  // The window has to grow first.
  const warmup = options.warmup ?? 2;
  const contestants = nodeOnly(options.contestants).flatMap((one) => [
    one,
    ...(one.kind === 'upgraded' ? [paced(one, bytesPerSecond)] : []),
  ]);
  const plan: Plan = {
    workload: 'pacing',
    title: 'Gbit/s of one socket through a slower hop without a queue',
    facts: { rate, bucket: '256K', paced: `${pacedShare} of it`, warmup },
    figures: [
      { key: 'gbit', heading: 'Gbit/s', digits: 3 },
      { key: 'lost', heading: 'sent again %', digits: 2 },
      { key: 'proc', heading: 'proc s/GB', digits: 3 },
      { key: 'sys', heading: 'sys s/GB', digits: 3 },
    ],
    main: 'gbit',
    alsoCompared: [],
    compare: 'ratio',
    contestants,
    rounds: options.rounds,
  };
  const cases = [];
  for (const roundTripMs of options.roundTrips ?? defaultRoundTrips) {
    const place = places.hop({ roundTripMs, bytesPerSecond, bucketBytes });
    const one: Case = { label: `${roundTripMs} ms`, bytes };
    cases.push(
      await runCase(plan, one, (contestant) => runTrial(place, options, warmup, contestant)),
    );
  }
  return { plan, cases };
}

function paced(one: Contestant, bytesPerSecond: number): Contestant {
  const maxPacingRate = Math.floor(bytesPerSecond * pacedShare);
  return { ...one, name: `${one.name}, paced`, settings: { ...one.settings, maxPacingRate } };
}

function bytesOf(rate: string): number {
  const [, number = '', unit = ''] = /^(\d+)([kmg])bit$/.exec(rate) ?? [];
  return (Number(number) * { k: 1e3, m: 1e6, g: 1e9 }[unit as 'k' | 'm' | 'g']) / 8;
}

async function runTrial(
  place: HopPlace,
  options: BenchOptions,
  warmup: number,
  contestant: Contestant,
): Promise<Measured> {
  const before = place.segments();
  const { seconds, footprint = defaultFootprint } = options;
  const order = { contestant, size: bytes, footprint, pattern: 'burst', warmup, seconds } as const;
  const result = await streamResult(place, 'discards', order);
  const after = place.segments();
  const cost = costOf(result);
  const gigabytes = cost.bytes / 1e9;
  return trialOf(result, {
    gbit: (cost.bytes * 8) / 1e9 / cost.seconds,
    lost: (100 * (after.retransmitted - before.retransmitted)) / (after.sent - before.sent),
    proc: cost.proc / gigabytes,
    sys: (cost.proc + cost.softirq) / gigabytes,
  });
}
