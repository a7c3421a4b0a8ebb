// What a soak consists of, by the names that `--only` takes, and how the data of each is numbered.

/** What one process does, each many times, beside the others. */
export const ACTORS = ['tcp', 'http', 'udp', 'raw', 'packet', 'ring', 'worker', 'files'] as const;
export type ActorName = (typeof ACTORS)[number];

/** Processes that do some of it under a limit, or end in the middle of it. */
export const CHILDREN = [
  'exit',
  'kill',
  'memlock',
  'descriptors',
  'failing',
  'no-io-uring',
] as const;
export type ChildName = (typeof CHILDREN)[number];

/** What happens to the network meanwhile. */
export const FAULTS = ['loss', 'optmem', 'capture', 'features'] as const;
export type FaultName = (typeof FAULTS)[number];

export const NAMES = [...ACTORS, ...CHILDREN, ...FAULTS] as const;
export type Name = (typeof NAMES)[number];

// A token numbers what one episode of one actor sends: 8 bits of process, 4 of actor, 20 of episode.
const ACTOR_STEP = 2 ** 20;
const PROCESS_STEP = 2 ** 24;
export const PROCESSES = 256;

export function tokenOf(processNumber: number, actor: ActorName, episode: number): number {
  return (
    (processNumber % PROCESSES) * PROCESS_STEP +
    ACTORS.indexOf(actor) * ACTOR_STEP +
    (episode % ACTOR_STEP)
  );
}

export function episodeOf(token: number): number {
  return token % ACTOR_STEP;
}

export function processOf(token: number): number {
  return Math.floor(token / PROCESS_STEP);
}

/** Whose data it is, for people. */
export function describeToken(token: number): string {
  const processNumber = processOf(token);
  const actor = ACTORS[Math.floor((token % PROCESS_STEP) / ACTOR_STEP)] ?? 'nobody';
  const where = processNumber === 0 ? 'the sender' : `child ${processNumber}`;
  return `${actor} of ${where}, episode ${token % ACTOR_STEP}`;
}
