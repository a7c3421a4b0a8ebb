// How state, thresholds and cost move over time: what the library finds out, and how soon.
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { nativeProgram } from '../native';
import type { Child } from '../child';
import { nodeOnly, type BenchOptions, type Contestant } from '../options';
import type { Place, Places } from '../place';
import type { Moment, RecorderOrder } from '../protocol';
import { median } from '../stats';
import { costsOf, stretchesOf, type Mark, type Timeline } from '../timeline';
import { runCase, type Measured, type Plan, type Report } from '../trials';
import { evenByBytes } from './mix';

const seconds = 12;
const everyMs = 50;
const streamBytes = 256 * 1024;
const httpConnections = 8;
const captureFrom = 4;
const captureUntil = 8;

const startMs = 15_000;
const slackMs = 20_000;

interface Scene {
  label: string;
  place: Place;
  /** Records one contestant. */
  record: (place: Place, contestant: Contestant) => Promise<Pick<Timeline, 'moments' | 'marks'>>;
}

export async function tuning(options: BenchOptions, places: Places): Promise<Report> {
  const plan: Plan = {
    workload: 'tuning',
    title: 'state, thresholds and CPU per GB over time',
    facts: { place: places.preferred().name, seconds, 'every-ms': everyMs },
    figures: [
      { key: 'proc', heading: 'proc s/GB', digits: 3 },
      { key: 'first', heading: 'first s', digits: 3 },
      { key: 'last', heading: 'last s', digits: 3 },
      { key: 'changes', heading: 'changes', digits: 0 },
      { key: 'gigabytes', heading: 'GB', digits: 1 },
    ],
    main: 'proc',
    alsoCompared: [],
    compare: 'ratio',
    contestants: nodeOnly(options.contestants),
    // Every one is a story of its own.
    rounds: 1,
  };
  const timelines: Timeline[] = [];
  const cases = [];
  for (const { label, place, record } of scenesOf(places)) {
    const report = await runCase(plan, { label, bytes: 0 }, async (contestant) => {
      const recorded = await record(place, contestant);
      timelines.push({ label, contestant: contestant.name, ...recorded });
      return measuredOf(recorded.moments);
    });
    cases.push(report);
  }
  return { plan, cases, timelines };
}

function scenesOf(places: Places): Scene[] {
  const preferred = places.preferred();
  const loopback = places.loopback();
  const { capture } = preferred;
  const scenes: Scene[] = [
    { label: `stream on ${preferred.name}`, place: preferred, record: recordStream },
    { label: `mix on ${preferred.name}`, place: preferred, record: recordMix },
  ];
  if (preferred !== loopback) {
    scenes.push({ label: 'stream on loopback', place: loopback, record: recordStream });
  }
  if (capture) {
    scenes.push({
      label: 'stream beside a capture',
      place: preferred,
      record: (place, contestant) => recordStream(place, contestant, () => beside(capture)),
    });
  }
  return scenes;
}

async function recordStream(
  place: Place,
  contestant: Contestant,
  meanwhile: () => Promise<Mark[]> = () => Promise.resolve([]),
): Promise<Pick<Timeline, 'moments' | 'marks'>> {
  const address = place.address('receiver');
  const sink = place.start('receiver', 'sink', [nativeProgram('sink'), address, '1']);
  try {
    const port = Number((await sink.next('ready', startMs))['port']);
    const sender = startRecorder(place, contestant, address, {
      kind: 'stream',
      port,
      size: streamBytes,
    });
    try {
      await sender.next('began', startMs);
      const [moments, marks] = await Promise.all([recordedBy(sender), meanwhile()]);
      return { moments, marks };
    } finally {
      await sender.end();
    }
  } finally {
    await sink.end();
  }
}

async function recordMix(
  place: Place,
  contestant: Contestant,
): Promise<Pick<Timeline, 'moments' | 'marks'>> {
  const address = place.address('sender');
  const server = startRecorder(place, contestant, address, { kind: 'http', parts: evenByBytes() });
  try {
    const port = Number((await server.next('ready', startMs))['port']);
    // Nothing waits for the end of its window.
    const numbers = [port, httpConnections, 0, 0, seconds + 1].map(String);
    const load = place.start('receiver', 'load', [nativeProgram('load'), address, ...numbers]);
    try {
      return { moments: await recordedBy(server), marks: [] };
    } finally {
      await load.end();
    }
  } finally {
    await server.end();
  }
}

/** A capture on the sender's device, for a while. */
async function beside(capture: NonNullable<Place['capture']>): Promise<Mark[]> {
  const began = performance.now();
  const sinceThen = (): number => (performance.now() - began) / 1000;
  await sleep(captureFrom * 1000);
  const from = sinceThen();
  const running = await capture();
  try {
    await sleep(captureUntil * 1000 - sinceThen() * 1000);
  } finally {
    await running.stop();
  }
  return [
    { seconds: from, label: 'capture begins' },
    { seconds: sinceThen(), label: 'capture ends' },
  ];
}

function startRecorder(
  place: Place,
  contestant: Contestant,
  address: string,
  work: RecorderOrder['work'],
): Child {
  const script = path.join(__dirname, '../children/recorder.js');
  const order: RecorderOrder = { contestant, address, seconds, everyMs, work };
  const argv = [process.execPath, script, JSON.stringify(order)];
  return place.start('sender', `recorder ${contestant.name}`, argv);
}

async function recordedBy(recorder: Child): Promise<Moment[]> {
  const { moments } = await recorder.next('recorded', seconds * 1000 + slackMs);
  return moments as Moment[];
}

function measuredOf(moments: readonly Moment[]): Measured {
  const [first] = moments;
  const last = moments.at(-1);
  if (first === undefined || last === undefined) throw new Error('nothing was recorded');
  const gigabytes = (last.bytes - first.bytes) / 1e9;
  const costs = costsOf(moments);
  const medianOf = (from: number, to: number): number =>
    median(costs.filter(([at]) => at > from && at <= to).map(([, cost]) => cost));
  return {
    figures: {
      proc: (last.cpu - first.cpu) / 1e6 / gigabytes,
      first: medianOf(0, 1),
      last: medianOf(seconds - 1, Infinity),
      changes: stretchesOf(moments).length - 1,
      gigabytes,
    },
  };
}
