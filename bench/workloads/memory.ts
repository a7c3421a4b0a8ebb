// What an idle connection weighs in the server's resident memory, plain and upgraded.
import path from 'node:path';

import type { Child } from '../child';
import { nodeOnly, type BenchOptions, type Contestant } from '../options';
import { withDescriptors, type Place, type Places } from '../place';
import type { IdleClientsOrder, IdleServerOrder, MemoryFigures } from '../protocol';
import { runCase, type Case, type Measured, type Plan, type Report } from '../trials';

const kib = 1024;
const startMs = 15_000;
const connectMs = 120_000;
// A connection that sent something large may keep a descriptor for some seconds.
const settleSeconds = { fresh: 1, used: 13 };

export async function memory(options: BenchOptions, places: Places): Promise<Report> {
  const place = places.loopback();
  const connections = options.connections?.[0] ?? 10_000;
  const plan: Plan = {
    workload: 'memory',
    title: 'memory of the server per idle connection',
    facts: { place: place.name, connections },
    figures: [
      { key: 'rss', heading: 'rss KiB', digits: 2 },
      { key: 'heap', heading: 'heap KiB', digits: 2 },
      { key: 'external', heading: 'external KiB', digits: 2 },
      { key: 'descriptors', heading: 'descriptors', digits: 2 },
    ],
    main: 'rss',
    alsoCompared: ['heap'],
    compare: 'difference',
    contestants: nodeOnly(options.contestants),
    rounds: options.rounds,
  };
  const cases: Case[] = [
    { label: 'never written to', bytes: 0, target: { most: 1 } },
    { label: 'after 64K each', bytes: 64 * kib },
  ];
  const reports = [];
  for (const one of cases) {
    reports.push(
      await runCase(plan, one, (contestant) => runTrial(place, one, contestant, connections)),
    );
  }
  return { plan, cases: reports };
}

async function runTrial(
  place: Place,
  one: Case,
  contestant: Contestant,
  connections: number,
): Promise<Measured> {
  const address = place.address('sender');
  const order: IdleServerOrder = {
    contestant,
    address,
    connections,
    greeting: one.bytes,
    settleSeconds: one.bytes > 0 ? settleSeconds.used : settleSeconds.fresh,
  };
  const server = startNode(place, 'sender', 'idle-server', order);
  try {
    const port = Number((await server.next('ready', startMs))['port']);
    const clientsOrder: IdleClientsOrder = { address, port, connections, greeting: one.bytes };
    const clients = startNode(place, 'receiver', 'idle-clients', clientsOrder);
    try {
      await clients.next('connected', connectMs);
      const weighed = await server.next('weighed', order.settleSeconds * 1000 + startMs);
      const { before, after } = weighed as unknown as Record<'before' | 'after', MemoryFigures>;
      return { figures: perConnection(before, after, connections) };
    } finally {
      await clients.end();
    }
  } finally {
    await server.end();
  }
}

function perConnection(
  before: MemoryFigures,
  after: MemoryFigures,
  connections: number,
): Record<string, number> {
  const each = (key: keyof MemoryFigures): number => (after[key] - before[key]) / connections;
  return {
    rss: each('rss') / kib,
    heap: each('heap') / kib,
    external: each('external') / kib,
    descriptors: each('descriptors'),
  };
}

function startNode(place: Place, side: 'sender' | 'receiver', name: string, order: object): Child {
  const script = path.join(__dirname, `../children/${name}.js`);
  // Empty pages that V8 keeps for new objects, up to 48 MiB by chance of when it collected last, weigh no connection.
  const flags = ['--expose-gc', '--max-semi-space-size=1'];
  const command = [process.execPath, ...flags, script, JSON.stringify(order)];
  return place.start(side, name, withDescriptors(command));
}
