// detectMutation: finds buffers that were changed, or detached, between their send and their release. A
// hash is taken when an engine gets the buffer, and compared once the kernel has released all of it, just before
// the callback runs.
import path from 'node:path';
import { nextTick } from '../node/clock.js';
import type { Native } from '../native/binding.js';
import type { Counters } from '../observe/counters.js';
import { isDetached } from './detached.js';
import { channels, publish } from '../observe/diagnostics.js';
import { bufferMutated, type ZeroCopyError } from '../errors.js';
import { pinPieces, unpinPieces, type PoolPiece } from './pool-pins.js';
import type { Reactor } from '../native/reactor.js';

/** What a finding causes, besides the counter and the message. */
export type MutationVerdict = 'warn' | 'throw';

/** The socket whose buffers are watched. */
export interface MutationSubject {
  readonly socket: object;
  readonly counting: Counters;
  /** Fails the socket. False: it is closed already, so no listener would notice. */
  fail(error: ZeroCopyError): boolean;
}

/** Deep enough for the frames of http, streams and a framework above those of the program. */
const STACK_FRAMES = 30;

// --- who sent it ------------------------------------------------------------------------------------

type Stack = { readonly stack: string };

/** The calls that passed buffers that are sent in a later turn. */
const callers = new WeakMap<object, Stack>();

/** Remembers the call that passes these buffers. */
export function rememberCaller(buffers: readonly object[]): void {
  const stack = capture();
  for (const buffer of buffers) callers.set(buffer, stack);
}

function capture(): Stack {
  const holder = {};
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = STACK_FRAMES;
  // Stack frames are captured here and formatted only when they are read.
  Error.captureStackTrace(holder, capture);
  Error.stackTraceLimit = stackTraceLimit;
  return holder as Stack;
}

/**
 * Where the frames of this package are, compiled and by source maps. In an ES module made by a bundler they
 * cannot be distinguished from the program's.
 */
const OURS =
  typeof __dirname === 'string' ? foldersOf(__dirname).map((folder) => folder + path.sep) : [];

// A bundle has its one file elsewhere.
function foldersOf(here: string): string[] {
  if (!here.endsWith(path.join('dist', 'lib', 'memory'))) return [here];
  return [path.resolve(here, '..'), path.resolve(here, '../../../lib')];
}

// The frames of the caller.
function framesOf({ stack }: Stack): readonly string[] {
  const frames = String(stack).split('\n').slice(1);
  const theirs = frames.filter((frame) => !OURS.some((folder) => frame.includes(folder)));
  return theirs.length === 0 ? frames : theirs;
}

// The line of the program that sends: one warning for each.
function siteOf(frames: readonly string[]): string {
  const isPlace = (frame: string): boolean =>
    /:\d+:\d+\)?$/.test(frame) && !frame.includes('node:');
  return frames.find(isPlace) ?? frames.join('\n');
}

// --- what was sent ----------------------------------------------------------------------------------

interface Watched {
  readonly piece: Uint8Array;
  readonly bytes: number;
  readonly hash: bigint;
  readonly caller: Stack;
}

/**
 * Watches the chunks of a write that go zero-copy, without what was encoded into memory of our own.
 * @param verdict undefined: nothing is watched
 */
export function watchChunks(
  verdict: MutationVerdict | undefined,
  chunks: readonly Uint8Array[],
  subject: MutationSubject,
  { native }: Reactor,
): MutationWatch | undefined {
  if (verdict === undefined || chunks.length === 0) return undefined;
  return new MutationWatch(chunks, subject, verdict, native);
}

/** The same for those datagrams of a send that have at least `threshold` bytes. */
export function watchPayloads(
  verdict: MutationVerdict,
  job: {
    readonly callback: unknown;
    readonly bytes: number;
    readonly gathered: boolean;
    readonly payloads: readonly Uint8Array[];
  },
  threshold: number,
  subject: MutationSubject,
  { native }: Reactor,
): MutationWatch | undefined {
  // Without a callback nothing is sent by reference.
  if (job.callback === undefined || job.bytes < threshold) return undefined;
  const { gathered, payloads } = job;
  const large = gathered ? payloads : payloads.filter(({ length }) => length >= threshold);
  return large.length === 0 ? undefined : new MutationWatch(large, subject, verdict, native);
}

/** The program's buffers of one send, from the moment an engine gets it until they are released. */
export class MutationWatch {
  readonly #watched: Watched[] = [];
  /** A piece that was freed early is not handed out again before it is compared. */
  readonly #pinned: readonly PoolPiece[] | undefined;
  /** The job itself, and its sends that the kernel has not released. */
  #holders = 1;

  constructor(
    pieces: readonly Uint8Array[],
    readonly subject: MutationSubject,
    readonly verdict: MutationVerdict,
    readonly native: Pick<Native, 'hashBytes'>,
  ) {
    this.#pinned = pinPieces(pieces);
    let here: Stack | undefined;
    for (const piece of pieces) {
      const caller = callers.get(piece) ?? (here ??= capture());
      this.#watched.push({ piece, bytes: piece.length, hash: native.hashBytes(piece), caller });
    }
  }

  /** One more send of it is in flight. */
  retain(): void {
    this.#holders++;
  }

  /** A send was released, or the job ended; behind the last of them it is due to be compared. */
  release(): void {
    if (--this.#holders > 0) return;
    if (dueWatches.push(this) === 1) nextTick(compareReleased);
  }

  /** Compares, and counts what changed. Runs no user code. */
  compare(): void {
    for (const watched of this.#watched.splice(0)) {
      const kind = this.#compare(watched);
      if (kind === undefined) continue;
      this.subject.counting.mutatedBuffers++;
      // Reporting runs user code: subscribers, 'error' listeners, a program's Error.prepareStackTrace.
      nextTick(() => this.#tell(watched, kind));
    }
    if (this.#pinned !== undefined) unpinPieces(this.#pinned);
  }

  #compare({ piece, bytes, hash }: Watched): 'changed' | 'detached' | undefined {
    if (piece.length === bytes)
      return this.native.hashBytes(piece) === hash ? undefined : 'changed';
    return isDetached(piece) ? 'detached' : 'changed';
  }

  #tell({ bytes, caller }: Watched, kind: 'changed' | 'detached'): void {
    const frames = framesOf(caller);
    const stack = frames.join('\n');
    const { socket } = this.subject;
    if (channels.mutation.hasSubscribers) {
      publish(channels.mutation, { socket, stack, bytes, kind });
    }
    const error = bufferMutated(kind, bytes, stack);
    if (this.verdict === 'throw' && this.subject.fail(error)) return;
    warnOncePerSite(siteOf(frames), error.message, stack);
  }
}

/**
 * Memory that the kernel has released, perhaps within the call that sent it (loopback), whose callback has not run
 * yet: the program must still not change it.
 */
export const dueWatches: MutationWatch[] = [];

/** Compares what was released so far. Call it before a callback returns memory. Runs no user code. */
export function compareReleased(): void {
  if (dueWatches.length > 0) for (const watch of dueWatches.splice(0)) watch.compare();
}

/** Sites that a warning was emitted for. A program has few, but one that generates code may have any number. */
const MOST_SITES = 1_000;
const warnedSites = new Set<string>();

function warnOncePerSite(site: string, message: string, stack: string): void {
  if (warnedSites.has(site) || warnedSites.size >= MOST_SITES) return;
  warnedSites.add(site);
  const code = 'ZC_BUFFER_MUTATED';
  process.emitWarning(message, { type: 'MsgZeroCopyWarning', code, detail: stack });
}
