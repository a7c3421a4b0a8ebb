// This environment's io_uring, made on first use, and why there is none, or none any more.
import { constants as osConstants } from 'node:os';
import { channels, publish, warnOnce } from '../observe/diagnostics.js';
import { errnoName } from '../errors.js';
import { refusedRegistrations } from '../observe/aggregate.js';
import { getReactor, Reactor } from './reactor.js';

const { EACCES, EBUSY, ENOMEM, ENOSYS, EPERM } = osConstants.errno;

interface Entries {
  /** Requests that the ring has room for; one is made at a time. */
  readonly submissions: number;
  /** Completions that the ring holds without the kernel's help. */
  readonly completions: number;
}

const DEFAULT_ENTRIES: Entries = { submissions: 8, completions: 4096 };
/** Fits into an RLIMIT_MEMLOCK of 64 KiB, the default of many systems before 2022. */
const FEWER_ENTRIES: Entries = { submissions: 8, completions: 1024 };

const RING_LOST_WARNING =
  'The process changed its user after it had set up io_uring, so its ring is no longer used: connections ' +
  'continue with MSG_ZEROCOPY. Remedy: change the user before the first large write';

export class SubmitRing {
  /** Why the ring is no longer used. */
  #lost: string | undefined;

  constructor(readonly reactor: Reactor) {}

  get lost(): string | undefined {
    return this.#lost;
  }

  /** The process changed its user, but the ring keeps the privileges of the first. */
  lose(): void {
    this.#lost = 'the process changed its user';
    warnOnce('ZC_RING_LOST', RING_LOST_WARNING);
  }
}

let ring: SubmitRing | undefined;
let refusal: string | undefined;

/** This environment's ring, made on first use, or why there is none. */
export function getSubmitRing(): SubmitRing | { readonly why: string } {
  if (ring !== undefined) return ring.lost === undefined ? ring : { why: ring.lost };
  if (refusal !== undefined) return { why: refusal };
  const reactor = getReactor();
  const made = reactor instanceof Reactor ? openRing(reactor) : reactor.why;
  if (typeof made === 'string') {
    refusal = made;
    return { why: made };
  }
  ring = made;
  return made;
}

/** The process has another user than the one that made the ring, so the ring is no longer used. */
export function loseRing(): void {
  ring?.lose();
}

/** The same without making one: undefined while none was used. */
export function seenSubmitRing(): SubmitRing | { readonly why: string } | undefined {
  return ring === undefined && refusal === undefined ? undefined : getSubmitRing();
}

function openRing(reactor: Reactor): SubmitRing | string {
  const { native } = reactor;
  const trial = native.tryIoUring();
  if (trial.error < 0) return describeRefusal(trial.error, trial.step);
  const open = ({ submissions, completions }: Entries): number =>
    native.openSubmitRing(submissions, completions, trial.vectoredSlots);
  let entries = ringEntries();
  let error = open(entries);
  if (error === -ENOMEM) {
    entries = FEWER_ENTRIES;
    error = open(entries);
  }
  if (error < 0) return describeRefusal(error, 'setup');
  const opened = new SubmitRing(reactor);
  const { submissions, completions } = entries;
  if (channels.ring.hasSubscribers) {
    publish(channels.ring, { submissionEntries: submissions, completionEntries: completions });
  }
  return opened;
}

// For tests: a small ring fills up quickly.
function ringEntries(): Entries {
  const given = /^(\d+),(\d+)$/.exec(process.env['MSG_ZEROCOPY_RING_ENTRIES'] ?? '');
  if (given === null) return DEFAULT_ENTRIES;
  return { submissions: Number(given[1]), completions: Number(given[2]) };
}

/**
 * Why a ring must not even be tried: the environment names another engine. Undefined: it does not.
 */
export function whyUntried(): string | undefined {
  const engine = process.env['MSG_ZEROCOPY_ENGINE'];
  if (engine !== 'msg_zerocopy' && engine !== 'copy') return undefined;
  return `not tried: MSG_ZEROCOPY_ENGINE=${engine}`;
}

/** Why there is no ring, in words. @param errno negative, as the native layer returns it */
export function describeRefusal(errno: number, step: string): string {
  if (step === 'filter')
    return 'a seccomp filter kills processes that use io_uring (tried in a child process)';
  const failed = `io_uring ${step} failed with ${errnoName(errno)}`;
  if (step === 'child')
    return `io_uring was not tried: under a seccomp filter a child process tries it, which failed with ${errnoName(errno)}`;
  if (errno === -EPERM || errno === -EACCES) {
    return `${failed}: kernel.io_uring_disabled or a seccomp filter forbids it (most containers have one)`;
  }
  if (errno === -ENOSYS) return `${failed}: this kernel lacks it, or a seccomp filter hides it`;
  if (errno === -ENOMEM)
    return `${failed}: out of memory, or RLIMIT_MEMLOCK is too low (ulimit -l, LimitMEMLOCK=)`;
  if (step === 'opcode' || step === 'setup') return `${failed}: it needs Linux 6.1`;
  return failed;
}

/**
 * Registers the memory of a pool with the ring of this environment.
 * @returns why it could not; undefined when it could
 */
export function registerPool(slab: ArrayBuffer): string | undefined {
  const untried = whyUntried();
  if (untried !== undefined) return untried;
  const found = getSubmitRing();
  if (!(found instanceof SubmitRing)) return found.why;
  const error = found.reactor.native.registerSlab(slab);
  if (error === 0) return undefined;
  refusedRegistrations.add(errnoName(error));
  if (error === -ENOMEM)
    return 'RLIMIT_MEMLOCK is too low: memory stays unregistered (ulimit -l, LimitMEMLOCK=)';
  if (error === -EBUSY) return 'the ring has no room for another pool';
  return `registering memory failed with ${errnoName(error)}`;
}
