// What a request costs servers that take turns under load: shares of plain Node vary less than between whole trials.
import { formatSize, nodeOnly, type BenchOptions, type Contestant } from '../options';
import type { Place, Places } from '../place';
import type { ServerOrder } from '../protocol';
import { runRounds, type CaseReport, type Plan, type Report } from '../trials';
import { httpTargets } from './floor';
import { underLoadFigures } from './http';
import { oneSize } from './http-load';
import { burstSeconds, roundOfTurns, type Asked } from './turns';

const kib = 1024;
/** Of each server under load, before it is measured. */
const defaultWarmup = 1;
const figures = ['proc', 'user', 'rate'];

export async function httpInTurn(options: BenchOptions, places: Places): Promise<Report> {
  const place = places.preferred();
  const [receiver = 'reads'] = options.receivers;
  const warmup = options.warmup ?? defaultWarmup;
  const plan: Plan = {
    workload: 'http-in-turn',
    title: 'CPU of the server process per request, servers loaded in turn',
    facts: { place: place.name, receiver, warmup, turns: burstSeconds },
    figures: underLoadFigures.filter(({ key }) => figures.includes(key)),
    main: 'proc',
    alsoCompared: ['user', 'rate'],
    compare: 'ratio',
    contestants: nodeOnly(options.contestants),
    rounds: options.rounds,
  };
  const cases: CaseReport[] = [];
  for (const connections of options.connections ?? [8, 100]) {
    for (const bytes of options.sizes ?? [1, 4, 16, 64, 256, 1024].map((size) => size * kib)) {
      const targets =
        place.name === 'rig' ? httpTargets('early', connections, bytes, plan.contestants) : {};
      const one = { label: formatSize(bytes), panel: `${connections} connections`, bytes, targets };
      const askedOf = (contestant: Contestant): Asked => {
        const order = orderOf(options, place, contestant, bytes);
        return { place, program: 'http-server', order, connections, receiver };
      };
      const { seconds } = options;
      cases.push(
        await runRounds(plan, one, (taking) =>
          roundOfTurns(taking.map(askedOf), { warmup, seconds }),
        ),
      );
    }
  }
  return { plan, cases };
}

function orderOf(
  options: BenchOptions,
  place: Place,
  contestant: Contestant,
  bytes: number,
): ServerOrder {
  const window = { warmup: 0, seconds: 0, kernelThreads: place.kernelThreads };
  const parts = oneSize(options, bytes);
  return { ...window, contestant, address: place.address('sender'), parts, answersSnapshots: true };
}
