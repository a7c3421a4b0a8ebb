// A C program floods a receiver with GSO sends on loopback. There the kernel does all of the work up
// to the socket's queue on the sender's CPU, cutting the sends into datagrams included where the
// receiver has not asked for UDP_GRO; what the receiver's process spends is the cost of receiving.
import { nativeProgram } from '../native';
import { costOf, trialOf } from '../cost';
import type { BenchOptions, Contestant } from '../options';
import type { Place, Places } from '../place';
import type { ReceiveOrder, Result } from '../protocol';
import { runCase, type Plan, type Report, type Target, type Measured } from '../trials';
import { chosenRows, defaultWarmup, nodeCommand, sourceBuffers, type Row } from './datagram';

const payload = 1400;
const segments = 46;
const startMs = 15_000;
const slackMs = 20_000;
const endMs = 5_000;
/** The flood outlasts the receiver's window, which starts with its first datagram. */
const floodSlackSeconds = 30;

const rows: readonly Row[] = [
  { name: 'plain', kind: 'plain' },
  { name: 'receive', kind: 'upgraded' },
  { name: 'gro', kind: 'upgraded' },
];

const targets: Record<string, Target> = { receive: { least: 2 }, gro: { least: 3 } };

export async function udpReceive(options: BenchOptions, places: Places): Promise<Report> {
  const place = places.loopback();
  const plan: Plan = {
    workload: 'udp-receive',
    title: `${payload}-byte datagrams received per CPU second of the receiving process`,
    facts: {
      place: place.name,
      warmup: options.warmup ?? defaultWarmup,
      flood: `gso-${segments}x${payload}`,
    },
    figures: [
      { key: 'rate', heading: 'k/CPU-s', digits: 0 },
      { key: 'ns', heading: 'ns/datagram', digits: 0 },
      { key: 'user', heading: 'user ns', digits: 0 },
      { key: 'received', heading: 'k/s', digits: 0 },
      { key: 'runnable', heading: 'runnable %', digits: 0 },
    ],
    main: 'rate',
    alsoCompared: [],
    compare: 'ratio',
    contestants: chosenRows(options, rows),
    rounds: options.rounds,
  };
  const one = { label: `${payload} B`, bytes: payload };
  const comparable = plan.contestants[0]?.name === 'plain';
  const report = await runCase(
    plan,
    comparable ? { ...one, targets } : one,
    (contestant: Contestant) => runTrial(place, options, contestant),
  );
  return { plan, cases: [report] };
}

async function runTrial(
  place: Place,
  { seconds, warmup = defaultWarmup }: BenchOptions,
  contestant: Contestant,
): Promise<Measured> {
  const address = place.address('receiver');
  const order: ReceiveOrder = {
    contestant,
    address,
    segment: payload,
    warmup,
    seconds,
    kernelThreads: [],
  };
  const name = `receiver ${contestant.name}`;
  const receiver = place.start('receiver', name, nodeCommand('udp-receiver', order));
  try {
    const port = Number((await receiver.next('ready', startMs))['port']);
    const flood = [segments * payload, payload, sourceBuffers, 0, floodSlackSeconds].map(String);
    const program = [nativeProgram('cdatagram'), 'udp-flood', address, String(port), ...flood];
    const sender = place.start('sender', 'flood', program);
    try {
      const patience = (warmup + seconds) * 1000 + slackMs;
      const result = (await receiver.next('result', patience)) as unknown as Result;
      if (!(await receiver.endedWithin(endMs))) {
        console.error(`${contestant.name}: the receiver did not end by itself`);
      }
      return trialOf(result, figuresOf(result));
    } finally {
      await sender.end();
    }
  } finally {
    await receiver.end();
  }
}

function figuresOf(result: Result): Record<string, number> {
  const cost = costOf(result);
  return {
    rate: cost.writes / cost.proc / 1000,
    ns: (cost.proc / cost.writes) * 1e9,
    user: (cost.user / cost.writes) * 1e9,
    received: cost.writes / cost.seconds / 1000,
    // Ran or wanted to. Near 100 the receiver is the bottleneck; below it waits, and pays for
    // wake-ups; the main figure is CPU per datagram either way.
    runnable: (cost.proc / cost.seconds + cost.disturbed) * 100,
  };
}
