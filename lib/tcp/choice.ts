// How one write of a connection goes: copied, or not. By a threshold of the user's, or as the tuner has
// found out for its size, situation, engine and interface.
import type net from 'node:net';
import type { Thresholds } from '../observe/control.js';
import { NO_BYTES } from '../observe/counters.js';
import type { EngineName } from '../names.js';
import { addressesOf } from '../node/internals.js';
import type { ResolvedOptions } from '../send/options.js';
import {
  DEFAULT_THRESHOLD_BYTES,
  LARGEST_COPIED_RESPONSE_BYTES,
  RESPONSE_THRESHOLD_BYTES,
} from '../policy/threshold.js';
import type { Tuner } from '../policy/tuner.js';
import { commonArea } from '../memory/staging.js';
import { tunerFor, tuning } from '../send/tuning.js';

type Engine = EngineName & keyof typeof RESPONSE_THRESHOLD_BYTES;

export class TcpChoice {
  readonly #socket: net.Socket;
  /** bytesRead of the socket at the last write that was asked about. */
  #bytesRead = NO_BYTES;
  #tuner: Tuner | undefined;
  /** What it is the tuner of. */
  #engine: Engine | undefined;
  /** Memory that is registered is cheaper to send from. */
  #pooled = false;

  constructor(socket: net.Socket) {
    this.#socket = socket;
  }

  /** Another connection begins. */
  leave(): void {
    this.#tuner = undefined;
  }

  /** Where the thresholds stand; before the first large write, where they start. */
  thresholds(engine: EngineName, { fixed, tuned, threshold }: ResolvedOptions): Thresholds {
    if (fixed) return { stream: threshold, response: threshold };
    const tuner = tuned ? this.#tuner : undefined;
    if (tuner !== undefined) {
      return { stream: tuner.threshold('stream'), response: tuner.threshold('response') };
    }
    const ring = engine === 'io_uring' ? 'io_uring' : 'msg_zerocopy';
    return { stream: threshold, response: RESPONSE_THRESHOLD_BYTES[ring] };
  }

  /**
   * Whether a write that could go either way is copied.
   * @param bytes of its chunks that are large enough by themselves; at least the floor
   * @param engine what sends what is not copied
   */
  copies(bytes: number, engine: Engine, options: ResolvedOptions): boolean {
    if (options.fixed) return false;
    const { bytesRead } = this.#socket;
    const situation = bytesRead === this.#bytesRead ? 'stream' : 'response';
    this.#bytesRead = bytesRead;
    if (situation === 'response' && bytes <= LARGEST_COPIED_RESPONSE_BYTES[engine]) return true;
    if (!options.tuned) return situation === 'response' && bytes < RESPONSE_THRESHOLD_BYTES[engine];
    const sizeClass = this.#tunerFor(engine, options).classFor(situation, bytes);
    sizeClass.count(bytes);
    return tuning.wayOf(sizeClass) === 'copy';
  }

  #tunerFor(engine: Engine, options: ResolvedOptions): Tuner {
    const pooled = options.staging !== commonArea;
    if (this.#tuner === undefined || this.#engine !== engine || this.#pooled !== pooled) {
      const { local, remote } = addressesOf(this.#socket);
      // The local address stands for the interface. On loopback the kernel copies after all.
      const where = isLoopback(local, remote) ? 'loopback' : local;
      const starts = {
        stream: DEFAULT_THRESHOLD_BYTES,
        response: RESPONSE_THRESHOLD_BYTES[engine],
      };
      this.#engine = engine;
      this.#pooled = pooled;
      this.#tuner = tunerFor(`${engine} ${pooled} ${where}`, starts);
    }
    return this.#tuner;
  }
}

// What goes to an address of one's own goes by way of loopback, too.
function isLoopback(local: string, remote: string): boolean {
  return local === remote || /^(::ffff:)?127\.|^::1$/.test(remote);
}
