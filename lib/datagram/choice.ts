// How one datagram goes: copied, or not. By a threshold of the user's, or as the tuner has found out for
// its size, its protocol, and whether a device cuts it up.
import type { Thresholds } from '../observe/control.js';
import type { ResolvedOptions } from '../send/options.js';
import { SMALLEST_TUNED_BYTES, type Tuner } from '../policy/tuner.js';
import { tunerFor, tuning } from '../send/tuning.js';

/** Sockets whose datagrams cost the same. Where they go differs by the datagram. */
export type DatagramProtocol = 'udp' | 'raw' | 'packet';

export class DatagramChoice {
  readonly #threshold: number;
  readonly #tuner: Tuner | undefined;
  /** Datagrams of fewer bytes are always copied. */
  readonly floor: number;

  constructor(protocol: DatagramProtocol, { threshold, tuned }: ResolvedOptions) {
    this.#threshold = threshold;
    this.floor = tuned ? SMALLEST_TUNED_BYTES : threshold;
    // A row of segments is like a stream: many packets for one notification. One datagram is one packet.
    const starts = { stream: threshold, response: threshold };
    this.#tuner = tuned ? tunerFor(protocol, starts) : undefined;
  }

  get thresholds(): Thresholds {
    const tuner = this.#tuner;
    if (tuner === undefined) return { stream: this.#threshold, response: this.#threshold };
    return { stream: tuner.threshold('stream'), response: tuner.threshold('response') };
  }

  /** Datagrams are about to be sent, of however many bytes together. */
  count(bytes: number): void {
    if (this.#tuner !== undefined) tuning.countWrite(bytes);
  }

  /**
   * Whether a datagram that could go either way is copied.
   * @param bytes at least the floor
   * @param segmentSize bytes of each segment; 0: it goes as it is
   */
  copies(bytes: number, segmentSize: number): boolean {
    if (this.#tuner === undefined) return bytes < this.#threshold;
    const sizeClass = this.#tuner.classFor(segmentSize > 0 ? 'stream' : 'response', bytes);
    sizeClass.count(bytes);
    return tuning.wayOf(sizeClass) === 'copy';
  }
}
