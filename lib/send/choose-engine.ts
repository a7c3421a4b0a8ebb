// The ladder of engines of a TCP socket: the best that is to be had.
import type { Reason } from '../names.js';
import type { ResolvedOptions } from './options.js';
import { getReactor, Reactor } from '../native/reactor.js';
import { getSubmitRing, seenSubmitRing, SubmitRing } from '../native/submit-ring.js';

/** What the choice depends on beside the option. */
export interface Standing {
  /**
   * The connection answers its peer, or its memory is registered. One that only writes costs less by
   * MSG_ZEROCOPY (docs/performance.md).
   */
  readonly answersOrRegistered: boolean;
  /** The kernel does not send this connection's bytes by the ring. */
  readonly ringRefused: boolean;
}

const NO_RING = { why: 'not wanted' } as const;

/** What to send by: the ring, the reactor for MSG_ZEROCOPY; or why to copy. Makes what is not there yet. */
export function firstOfLadder(
  engine: ResolvedOptions['engine'],
  standing: Standing,
): SubmitRing | Reactor | Reason {
  return climb(engine, standing, getSubmitRing) as SubmitRing | Reactor | Reason;
}

/** The same for those who only look. Undefined: a ring that nobody has used yet, which will be tried. */
export function lookAtLadder(
  engine: ResolvedOptions['engine'],
  standing: Standing,
): SubmitRing | Reactor | Reason | undefined {
  return climb(engine, standing, seenSubmitRing);
}

function climb(
  engine: ResolvedOptions['engine'],
  { answersOrRegistered, ringRefused }: Standing,
  findRing: () => SubmitRing | { readonly why: string } | undefined,
): SubmitRing | Reactor | Reason | undefined {
  if (engine === 'copy') return 'disabled';
  const ringWanted = engine === 'io_uring' || (engine === 'auto' && answersOrRegistered);
  const ring = ringWanted && !ringRefused ? findRing() : NO_RING;
  if (ring instanceof SubmitRing) return ring;
  const reactor = getReactor();
  if (!(reactor instanceof Reactor)) return reactor.reason;
  if (ring === undefined) return undefined;
  if (engine === 'io_uring') return ringRefused ? 'kernel-unsupported' : 'io_uring-refused';
  return reactor;
}
