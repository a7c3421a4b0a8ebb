// How the bytes of one send() travelled, as far as is known.
import type { EngineName, Reason } from '../names.js';

/** How the bytes of one send travelled. */
export interface SendReport {
  /** Bytes of this send; the sum of the four below. */
  readonly bytes: number;
  /** Not copied, according to the kernel; of a file: moved by sendfile(2). */
  readonly zeroCopyBytes: number;
  /** Copied by choice: Node's own write, or staged beside a larger chunk. */
  readonly copiedBytes: number;
  /** Sent with the zero-copy flag, and copied by the kernel after all, as it reported. */
  readonly kernelCopiedBytes: number;
  /** Sent with the zero-copy flag; the notification was merged with an earlier one, so the kernel's copy is unknown. */
  readonly unknownBytes: number;
  /** The engine that sent what was not copied by choice; `'copy'` if everything was. */
  readonly engine: EngineName;
  /** Why bytes were copied by choice, if any were. */
  readonly reason?: Reason;
}

/** Gathers a SendReport while the bytes of one send() pass through the engines. */
export class SendTracker {
  bytes: number;
  #zeroCopy = 0;
  #copied = 0;
  #kernelCopied = 0;
  #unknown = 0;
  #reason: Reason | undefined;
  #engine: EngineName = 'copy';
  /** An abort signal sets it while nothing was accepted: the chunks are skipped. */
  cancelled = false;
  /** An engine has part of it: a signal no longer cancels it. */
  started = false;

  constructor(bytes: number) {
    this.bytes = bytes;
  }

  copied(bytes: number, reason: Reason | undefined): void {
    this.#copied += bytes;
    // A small header beside a large body is always copied, so any other reason is more informative.
    if (this.#reason === undefined || this.#reason === 'below-threshold') this.#reason = reason;
  }

  released(bytes: number, fate: 'zerocopy' | 'copied' | 'unknown', engine: EngineName): void {
    this.#engine = engine;
    if (fate === 'zerocopy') this.#zeroCopy += bytes;
    else if (fate === 'copied') this.#kernelCopied += bytes;
    else this.#unknown += bytes;
  }

  report(): SendReport {
    const report = {
      bytes: this.bytes,
      zeroCopyBytes: this.#zeroCopy,
      copiedBytes: this.#copied,
      kernelCopiedBytes: this.#kernelCopied,
      unknownBytes: this.#unknown,
      engine: this.#engine,
    };
    const reason = this.#reason;
    return reason === undefined ? report : { ...report, reason };
  }
}
