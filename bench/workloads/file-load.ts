// File servers that take turns under load.
import { costOf, trialOf } from '../cost';
import type { Contestant } from '../options';
import type { Place } from '../place';
import type { FileServerOrder } from '../protocol';
import type { Measured } from '../trials';
import { perRequest } from './http';
import { roundOfTurns, Turns, type Asked } from './turns';

/** What lies in the buffers of both ends of a connection whose reader is stopped, at most. */
const mostBuffered = 10 * 1_048_576;
/** More of it makes the kernel short of memory for TCP, which slows all of them. */
const mostStopped = 1024 * 1_048_576;

export interface FileSetting {
  place: Place;
  /** What the answers are. */
  file: string;
  /** Of an answer. */
  bytes: number;
  /** So many answers make up the file, and each request gets the next; absent: the file is the answer. */
  slices?: number;
  connections: number;
  warmup: number;
  seconds: number;
}

function askedOf(setting: FileSetting, contestant: Contestant): Asked {
  const { place, file, bytes, slices, connections } = setting;
  const order: FileServerOrder & { address: string } = {
    ...{ contestant, address: place.address('sender'), file, bytes },
    ...{ kernelThreads: place.kernelThreads },
    ...(slices !== undefined && { slices }),
  };
  const program = contestant.file === 'nginx' ? 'nginx-server' : 'file-server';
  // As a client does, it reads the bodies: unread pages cost no copy.
  return { place, program, order, connections, receiver: 'reads' };
}

/** One round, with a process for each contestant: medians of its turns, where they can take turns. */
export async function fileRound(
  setting: FileSetting,
  contestants: readonly Contestant[],
): Promise<Measured[]> {
  const buffered = Math.min(setting.bytes, mostBuffered) * setting.connections;
  if (buffered * contestants.length > mostStopped) {
    const measured: Measured[] = [];
    for (const contestant of contestants) measured.push(await fileTrial(setting, contestant));
    return measured;
  }
  const asked = contestants.map((contestant) => askedOf(setting, contestant));
  return roundOfTurns(asked, setting);
}

/** One contestant, all the time. */
export async function fileTrial(setting: FileSetting, contestant: Contestant): Promise<Measured> {
  const turns = await Turns.start(askedOf(setting, contestant));
  try {
    await turns.take(setting.warmup);
    const { start, end } = await turns.take(setting.seconds);
    const result = { event: 'result' as const, start, end };
    const measured = trialOf(result, perRequest(costOf(result)));
    const isRepeated = setting.slices !== undefined && end.writes > setting.slices;
    return isRepeated ? { ...measured, remark: 'parts were in memory' } : measured;
  } finally {
    await turns.end();
  }
}
