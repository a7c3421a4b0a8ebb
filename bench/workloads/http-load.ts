// One trial of the http server under the load generator: what both http workloads have in common.
import path from 'node:path';

import { nativeProgram } from '../native';
import { formatSize, type BenchOptions, type Contestant, type Receiver } from '../options';
import type { Child } from '../child';
import type { Place } from '../place';
import type { BodyPart, LoadResult, Result, ServerOrder, SlowReadersOrder } from '../protocol';

const startMs = 15_000;
const slackMs = 20_000;
const endMs = 7_000;
// The generator's own window begins a little before the server's, and must not end before it.
const slackSeconds = 0.2;

export interface LoadSetting {
  place: Place;
  /** What the answers are. */
  label: string;
  parts: readonly BodyPart[];
  connections: number;
  /** Requests a second, whether or not earlier ones were answered; 0: as soon as they were. */
  requestRate: number;
  warmup: number;
  seconds: number;
  /** Absent: discards. */
  receiver?: Receiver;
  /** Clients beside the load that are slow to read an answer of so many bytes each. */
  slow?: { readers: number; bytes: number };
}

/** One body, unless --footprint asks for more. */
export function oneSize({ footprint }: BenchOptions, bytes: number): BodyPart[] {
  const bodies = footprint === undefined ? 1 : Math.max(1, Math.floor(footprint / bytes));
  return [{ bytes, bodies, weight: 1 }];
}

export function bodiesFact({ footprint }: BenchOptions): string {
  return footprint === undefined ? 'one' : formatSize(footprint);
}

function startSlowReaders(
  place: Place,
  address: string,
  port: number,
  readers: number,
): Child | undefined {
  if (readers === 0) return undefined;
  const order: SlowReadersOrder = { address, port, readers };
  const script = path.join(__dirname, '../children/slow-readers.js');
  return place.start('receiver', 'slow readers', [process.execPath, script, JSON.stringify(order)]);
}

export async function serveLoad(
  setting: LoadSetting,
  contestant: Contestant,
): Promise<{ result: Result; load: LoadResult }> {
  const { place, label, parts, warmup, seconds } = setting;
  const address = place.address('sender');
  const window = { contestant, address, warmup, seconds, kernelThreads: place.kernelThreads };
  const order: ServerOrder = {
    ...{ ...window, parts },
    ...(setting.slow && { slowBytes: setting.slow.bytes }),
  };
  const script = path.join(__dirname, '../children/http-server.js');
  const argv = [process.execPath, script, JSON.stringify(order)];
  const what = `http server ${contestant.name}`;
  const server = place.start('sender', what, argv);
  try {
    const port = Number((await server.next('ready', startMs))['port']);
    const { connections, requestRate } = setting;
    const numbers = [port, connections, requestRate, warmup, seconds + slackSeconds].map(String);
    const slow = startSlowReaders(place, address, port, setting.slow?.readers ?? 0);
    const command = [nativeProgram('load'), address, ...numbers, setting.receiver ?? 'discards'];
    const generator = place.start('receiver', 'load', command);
    try {
      const patience = (warmup + seconds) * 1000 + slackMs;
      const said = await generator.next('load', patience).catch(async (error: unknown) => {
        // A server that died tells more than a generator whose connections broke.
        if (await server.endedWithin(500)) await server.next('result', 0);
        throw error;
      });
      const load = said as unknown as LoadResult;
      await slow?.end();
      const result = (await server.next('result', slackMs)) as unknown as Result;
      if (!(await server.endedWithin(endMs))) {
        console.error(`${what} ${label}: the server did not end by itself`);
      }
      return { result, load };
    } finally {
      await generator.end();
      await slow?.end();
    }
  } finally {
    await server.end();
  }
}
