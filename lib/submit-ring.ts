// This environment's io_uring: who wants to send in this turn of the event loop, and the one submit
// at its end. No pointer is kept from write to submit: memory is looked up in between, when the
// request is made.
import { constants as osConstants } from 'node:os';
import { nextTick } from './clock.js';
import { channels, publish, warnOnce } from './diagnostics.js';
import { errnoName } from './errors.js';
import { rethrowLater } from './handbacks.js';
import { isExiting } from './node-private.js';
import { getReactor, Reactor, RECORDS, type Calls, type PortOwner } from './reactor.js';
import { RegisteredMemory } from './registered-memory.js';

const { EACCES, EBUSY, ENOMEM, ENOSYS, EPERM } = osConstants.errno;

interface Entries {
  /** Requests for one submit. */
  readonly submissions: number;
  /** Completions that the ring holds without the kernel's help. */
  readonly completions: number;
}

const DEFAULT_ENTRIES: Entries = { submissions: 256, completions: 4096 };
/** Fits into an RLIMIT_MEMLOCK of 64 KiB, the default of many systems before 2022. */
const FEWER_ENTRIES: Entries = { submissions: 64, completions: 1024 };

/** What a sender did when it was asked for its next request. */
export type Prepared =
  | 'prepared'
  | 'nothing' // nothing to send, or it failed: onResultsDone() says so
  | 'full'; // no room for a request: submit, and ask again

/** Who sends by the ring. */
export interface RingSender extends PortOwner {
  /** A write waits for the end of the turn, or for what came of it. */
  readonly queued: boolean;
  prepare(): Prepared;
  /** The ring may not be used any more: send by other means. Runs no user code. */
  sendWithoutRing(): void;
  onResultsDone(): void;
  /** The same, but callbacks of users run in a later tick. */
  onResultsDoneQuietly(): void;
}

const RING_LOST_WARNING =
  'The process changed its user after its io_uring was made, which is not used any more: connections go on ' +
  'with MSG_ZEROCOPY. Remedy: change the user before the first large write';

/** Writes of one socket that are sent one by one because it, or the process, ends. */
const WRITES_AT_END = 10_000;

export class SubmitRing {
  #queue: RingSender[] = [];
  /** Why the ring is not used any more. */
  #lost: string | undefined;
  /** Memory of the program's that sends need not pin. */
  readonly memory: RegisteredMemory;
  /** Zero-copy bytes that are asked for in the present submit. */
  askedBytes = 0;
  /** Senders of the last turn. */
  #batch = 0;

  constructor(readonly reactor: Reactor) {
    this.memory = new RegisteredMemory(reactor.native, reactor);
    // process.exit() must not lose what plain Node hands to the kernel in write().
    process.on('exit', () => this.#flushAtExit());
  }

  get lost(): string | undefined {
    return this.#lost;
  }

  /**
   * Whether a send need not wait for others: the turn has come to its end and nobody else sends (a
   * stream that writes on when its last write was accepted), or no other turn follows.
   */
  get sendsAtOnce(): boolean {
    if (isExiting()) return true;
    return this.#batch <= 1 && this.#queue.length === 0 && this.reactor.turnEnds;
  }

  /** Sends for `sender`, whose onResultsDone() is the caller's to call. Runs no user code. */
  sendNow(sender: RingSender): void {
    const calls: Calls = [];
    this.#send([sender], calls);
    const { RECORD_RESULT } = this.reactor.constants;
    for (const call of calls) if (call[0] === sender) call[1] &= ~RECORD_RESULT;
    this.#runLater(calls.filter(([, flags]) => flags !== 0));
  }

  /** Sends for `sender` at the end of this turn. */
  enqueue(sender: RingSender): void {
    if (this.#queue.push(sender) === 1) this.reactor.native.requestTurnEnd();
  }

  /** The end of a turn: everything that waits goes in one submit. Runs user code. */
  flush(): void {
    const calls: Calls = [];
    const queue = this.#queue;
    this.#queue = [];
    this.#batch = queue.length;
    if (this.#lost === undefined && !this.reactor.native.ringUsable()) {
      this.#lost = 'the process changed its user';
      warnOnce('ZC_RING_LOST', RING_LOST_WARNING);
    }
    this.#send(queue, calls);
    this.reactor.run(calls);
  }

  /**
   * Sends what one sender has queued, now, and what follows when that is accepted. Runs no user code.
   */
  flushNow(sender: RingSender): void {
    for (let writes = 0; writes < WRITES_AT_END; writes++) {
      const at = this.#queue.indexOf(sender);
      if (at >= 0) {
        this.#queue.splice(at, 1);
        this.sendNow(sender);
      } else if (!sender.queued) {
        return;
      }
      sender.onResultsDoneQuietly();
    }
  }

  // Callbacks would not run in plain Node either.
  #flushAtExit(): void {
    for (const sender of [...this.#queue]) this.flushNow(sender);
  }

  /** Reads what completed so far. Runs no user code now; others hear of theirs in the next tick. */
  reap(): void {
    const calls: Calls = [];
    this.#submit(calls);
    this.#runLater(calls);
  }

  #runLater(calls: Calls): void {
    if (calls.length > 0) nextTick(() => this.reactor.run(calls));
  }

  #send(queue: readonly RingSender[], calls: Calls): void {
    if (queue.length === 0) return;
    for (const sender of queue) {
      try {
        if (this.#lost !== undefined) sender.sendWithoutRing();
        else if (this.#prepare(sender, calls) === 'prepared') continue;
        calls.push([sender, this.reactor.constants.RECORD_RESULT]);
      } catch (thrown) {
        rethrowLater(thrown);
      }
    }
    if (this.#lost === undefined) this.#submit(calls);
  }

  #prepare(sender: RingSender, calls: Calls): Prepared {
    const prepared = sender.prepare();
    if (prepared !== 'full') return prepared;
    this.#submit(calls);
    return sender.prepare();
  }

  #submit(calls: Calls): void {
    let count: number;
    do {
      count = this.reactor.native.submitRing();
      this.reactor.read(count, calls);
    } while (count === RECORDS);
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

/** The same for those who only look: undefined while nobody has used one. */
export function seenSubmitRing(): SubmitRing | { readonly why: string } | undefined {
  return ring === undefined && refusal === undefined ? undefined : getSubmitRing();
}

function openRing(reactor: Reactor): SubmitRing | string {
  const { native } = reactor;
  const trial = native.tryIoUring();
  if (trial.error < 0) return describeRefusal(trial.error, trial.step);
  const onTurnEnd = (): void => ring?.flush();
  const open = ({ submissions, completions }: Entries): number =>
    native.openSubmitRing(submissions, completions, trial.vectoredSlots, onTurnEnd);
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

// For tests: a small ring is full soon.
function ringEntries(): Entries {
  const given = /^(\d+),(\d+)$/.exec(process.env['MSG_ZEROCOPY_RING_ENTRIES'] ?? '');
  if (given === null) return DEFAULT_ENTRIES;
  return { submissions: Number(given[1]), completions: Number(given[2]) };
}

/**
 * Why nobody may try a ring who was not told to: the environment names another engine. Undefined: it does not.
 */
export function whyUntried(): string | undefined {
  const engine = process.env['MSG_ZEROCOPY_ENGINE'];
  if (engine !== 'msg_zerocopy' && engine !== 'copy') return undefined;
  return `not tried: MSG_ZEROCOPY_ENGINE=${engine}`;
}

/** Why a ring cannot be had, in words. @param errno negative, as the native layer answers it */
export function describeRefusal(errno: number, step: string): string {
  if (step === 'filter')
    return 'io_uring kills who tries it (a child process did): a seccomp filter';
  const failed = `io_uring ${step} failed with ${errnoName(errno)}`;
  if (step === 'child') return `${failed}: under a seccomp filter a child process tries it`;
  if (errno === -EPERM || errno === -EACCES) {
    return `${failed}: kernel.io_uring_disabled, or a seccomp filter (containers have one)`;
  }
  if (errno === -ENOSYS) return `${failed}: not in this kernel, or hidden by a seccomp filter`;
  if (errno === -ENOMEM)
    return `${failed}: RLIMIT_MEMLOCK, or memory, ran out (ulimit -l, LimitMEMLOCK=)`;
  if (step === 'opcode' || step === 'setup') return `${failed}: Linux 6.1 is needed`;
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
  if (error === -ENOMEM)
    return 'RLIMIT_MEMLOCK is too low: memory stays unregistered (ulimit -l, LimitMEMLOCK=)';
  if (error === -EBUSY) return 'the ring takes no more memory';
  return `registering memory failed with ${errnoName(error)}`;
}
