// How a write of a connection goes. Pure: facts in, one answer out. What is below every threshold (`options.floor`) never
// comes here: tcp/writes.ts copies it.
import type { EngineName, Reason } from '../names.js';
import { RESPONSE_THRESHOLD_BYTES } from '../policy/threshold.js';
import type { EngineOption } from './options.js';

/** What may send without copying. */
export type StreamEngineName = EngineName & ('io_uring' | 'msg_zerocopy');

/** Whether it is an engine, not the reason why there is none. */
export function sends(engine: StreamEngineName | Reason): engine is StreamEngineName {
  return engine === 'io_uring' || engine === 'msg_zerocopy';
}

/** What is known of a connection beside its options. */
interface Standing {
  /** The peer has sent something: the connection answers it. */
  readonly hears: boolean;
  /** Its headers are staged in a pool, whose memory is registered with the ring. */
  readonly pooled: boolean;
  /** The kernel does not send its bytes by the ring. */
  readonly ringRefused: boolean;
}

/**
 * Which engine a connection would be sent by, if all can be had. One that only writes costs less by
 * MSG_ZEROCOPY (docs/performance.md).
 */
export function wantedEngine(
  option: EngineOption,
  { hears, pooled, ringRefused }: Standing,
): StreamEngineName | 'copy' {
  if (option === 'copy') return 'copy';
  const wantsRing = option === 'io_uring' || (option === 'auto' && (hears || pooled));
  return wantsRing && !ringRefused ? 'io_uring' : 'msg_zerocopy';
}

/** Bytes from which a response goes zero-copy by a call of its own, the first write after data of the peer. */
export function leastAnswerBytes({
  threshold,
  fixed,
}: {
  readonly threshold: number;
  readonly fixed: boolean;
}): number {
  return fixed ? threshold : Math.max(threshold, RESPONSE_THRESHOLD_BYTES);
}

/** Whether a write would go by a call of its own. */
export type Company = 'own-call' | 'shared-call';

/** What a write is to its connection: it goes on, it answers data of the peer, or it does so in a shared call. */
export type WriteKind = 'stream' | 'answer' | 'shared-answer';

/**
 * Whether a write is too small.
 * @param bytes of its chunks that are large enough by themselves
 */
export function isTooSmall(
  bytes: number,
  kind: WriteKind,
  options: { readonly threshold: number; readonly fixed: boolean },
): boolean {
  return bytes < (kind === 'answer' ? leastAnswerBytes(options) : options.threshold);
}
