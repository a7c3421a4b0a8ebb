// Whether the datagrams of one socket go zero-copy now, and if not, why.
import { asked } from '../memory/allowed-memory.js';
import { nowMs } from '../node/clock.js';
import type { Thresholds } from '../observe/control.js';
import type { DatagramCounters } from '../observe/counters.js';
import { bytesOf } from './arguments.js';
import type { DatagramJob, JobGroup } from './job.js';
import { warnDetachedInFlight } from '../memory/detached.js';
import { publishFallback, publishResume } from '../observe/diagnostics.js';
import type { EngineName, Reason, State } from '../names.js';
import type { SendKind } from '../policy/adaptive.js';
import { rememberCaller, watchPayloads, type MutationSubject } from '../memory/mutation.js';
import type { ResolvedDatagramOptions } from './options.js';
import type { ResolvedOptions } from '../send/options.js';
import { Adaptive } from '../policy/adaptive.js';
import type { Reactor } from '../native/reactor.js';
import { isUnpinnable } from '../memory/unpinnable.js';

export class DatagramZeroCopy {
  /** Bytes from which a datagram may go zero-copy. */
  readonly floor: number;
  readonly maxPendingBytes: number;
  /** handedOver() and expect() have something to do. */
  readonly looksAtChunks: boolean;
  readonly #options: ResolvedOptions;
  readonly #subject: MutationSubject;
  readonly #counters: DatagramCounters;
  readonly #engine: EngineName;
  readonly #adaptive = new Adaptive();
  #refused: Reason | undefined;
  /** Why a raw socket's ring did not send what was committed last. */
  #detour: Reason | undefined;
  /** A refusal of the kernel's that was not published yet. It is, once a send would have gone zero-copy. */
  #unannounced: Reason | undefined;

  /**
   * @param refused a fixed reason why this socket never goes zero-copy
   * @param engine the engine that sends where zero copy is possible
   */
  constructor(
    { zeroCopy: options }: ResolvedDatagramOptions,
    subject: MutationSubject,
    counters: DatagramCounters,
    refused: Reason | undefined,
    engine: EngineName,
  ) {
    this.#engine = engine;
    this.#options = options;
    // Beside a ring nothing else is zero-copy, however large.
    this.floor = engine === 'tx_ring' ? 0 : options.threshold;
    this.maxPendingBytes = options.maxPendingBytes;
    this.looksAtChunks = options.looksAtChunks;
    this.#subject = subject;
    this.#counters = counters;
    this.#refused = options.engine === 'copy' && engine !== 'tx_ring' ? 'disabled' : refused;
  }

  get engineName(): EngineName {
    return this.reason === undefined ? this.#engine : 'copy';
  }
  get state(): State {
    if (this.#refused !== undefined) return 'unsupported';
    return this.#detour === undefined ? this.#adaptive.state : 'paused';
  }
  get reason(): Reason | undefined {
    return this.#refused ?? this.#detour ?? this.#adaptive.reason;
  }
  /** Why this socket never goes zero-copy. */
  get refused(): Reason | undefined {
    return this.#refused;
  }
  thresholds(): Thresholds {
    const { threshold } = this.#options;
    return { stream: threshold, response: threshold };
  }

  /** The socket has a descriptor. @param enable switches SO_ZEROCOPY on; why not, where it cannot be */
  opened(enable: () => Reason | undefined): void {
    // A ring needs nothing switched on.
    if (this.#refused !== undefined || this.#engine === 'tx_ring') return;
    this.#refused = this.#unannounced = enable();
  }

  /**
   * A send with a callback or promise passes these payloads; an engine may get them in a later turn. Asks
   * options.source about large ones, and remembers the caller for options.detectMutation.
   * @param kind as of a job; `part`: of a corked datagram, whose size is not known yet
   * @returns the payloads to send instead
   * Throws: what options.source throws.
   */
  handedOver(
    payloads: readonly Uint8Array[],
    kind: 'gathered' | 'each' | 'part',
  ): readonly Uint8Array[] {
    if (!this.looksAtChunks) return payloads;
    const { ask, detectMutation } = this.#options;
    let views = payloads;
    // What a ring sends is never the program's memory.
    if (ask !== undefined && this.#engine !== 'tx_ring') {
      const isLarge = kind === 'part' || (kind === 'gathered' && bytesOf(payloads) >= this.floor);
      views = payloads.map((view) =>
        isLarge || (kind === 'each' && view.length >= this.floor) ? asked(ask, view) : view,
      );
    }
    if (detectMutation !== undefined) rememberCaller(views);
    return views;
  }

  /** The same for groups of datagrams. */
  allHandedOver(groups: readonly JobGroup[]): readonly JobGroup[] {
    if (!this.looksAtChunks) return groups;
    return groups.map((group) => {
      const kind = group.lengths === undefined ? 'gathered' : 'each';
      return { ...group, payloads: this.handedOver(group.payloads, kind) };
    });
  }

  /** A job is about to be submitted: watches its buffers for options.detectMutation. */
  expect(job: DatagramJob, reactor: Reactor): void {
    // Frames of a ring may move, and memory copied to it is free at once.
    if (this.#engine === 'tx_ring') return;
    const { detectMutation } = this.#options;
    if (detectMutation === undefined || this.#refused !== undefined) return;
    job.watch = watchPayloads(detectMutation, job, this.floor, this.#subject, reactor);
  }

  // --- for the engine ---------------------------------------------------------------------------

  /** @param bytes at least the floor */
  copyReason(payloads: readonly Uint8Array[], bytes: number): Reason | undefined {
    if (this.#engine === 'tx_ring') return this.#refused ?? 'not-reserved';
    const { source } = this.#options;
    if (source !== undefined && !payloads.every(source)) return 'source';
    if (this.#refused !== undefined) return this.#refusal(this.#refused);
    for (const payload of payloads) if (isUnpinnable(payload)) return 'unpinnable-memory';
    if (bytes < this.#options.threshold) return 'below-threshold';
    if (this.#adaptive.state === 'active') return undefined;
    return this.#adaptive.mayZeroCopy(nowMs()) ? undefined : this.#adaptive.reason;
  }

  /** Frames of a raw socket's ring go out: by itself, or, for a reason, by the kernel's IP layer. */
  detoured(reason: Reason | undefined): void {
    if (reason === this.#detour) return;
    this.#detour = reason;
    if (reason === undefined) publishResume(this.#subject.socket);
    else this.#announce(reason);
  }

  sent(): SendKind {
    if (this.#adaptive.state !== 'probing') return 'ordinary';
    this.#adaptive.sent(nowMs());
    return 'probe';
  }

  completed(copied: boolean, kind: SendKind): void {
    const counts = copied && !this.#options.insists;
    if (this.#adaptive.state === 'probing' && kind === 'ordinary') return;
    const changed = this.#adaptive.completed(counts, nowMs());
    if (changed === 'paused') this.#announce('kernel-copied');
    if (changed === 'active') publishResume(this.#subject.socket);
  }

  outOfBuffers(): void {
    // Other processes of the user may have pinned the memory, so this may pass.
    this.#adaptive.outOfBuffers('enobufs', nowMs());
    this.#announce('enobufs');
  }

  strayed(): void {
    if (this.#refused !== undefined) return;
    this.#refused = 'foreign-owner';
    this.#announce('foreign-owner');
  }

  detachedInFlight(): void {
    this.#counters.detachedBuffers++;
    warnDetachedInFlight();
  }

  #refusal(reason: Reason): Reason {
    if (this.#unannounced !== undefined) this.#announce(reason);
    this.#unannounced = undefined;
    return reason;
  }

  #announce(reason: Reason): void {
    publishFallback(this.#subject.socket, reason);
  }
}
