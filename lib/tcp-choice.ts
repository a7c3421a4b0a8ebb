// How one write of a connection goes: copied, or not. By a threshold of the user's, or by ours, which
// differ for responses and for writes that follow each other.
import type net from 'node:net';
import type { Thresholds } from './control.js';
import type { EngineName } from './engine.js';
import type { ResolvedOptions } from './options.js';
import { RESPONSE_THRESHOLD_BYTES } from './policy/threshold.js';

type Engine = EngineName & keyof typeof RESPONSE_THRESHOLD_BYTES;

export class TcpChoice {
  readonly #socket: net.Socket;
  /** bytesRead of the socket at the last write that was asked about. */
  #bytesRead = 0;

  constructor(socket: net.Socket) {
    this.#socket = socket;
  }

  thresholds(engine: EngineName, { fixed, threshold }: ResolvedOptions): Thresholds {
    const ring = engine === 'io_uring' ? 'io_uring' : 'msg_zerocopy';
    return { stream: threshold, response: fixed ? threshold : RESPONSE_THRESHOLD_BYTES[ring] };
  }

  /**
   * Whether a write that could go either way is copied.
   * @param bytes of its chunks that are large enough by themselves; at least the threshold
   * @param engine what sends what is not copied
   */
  copies(bytes: number, engine: Engine, { fixed }: ResolvedOptions): boolean {
    if (fixed) return false;
    const { bytesRead } = this.#socket;
    const isResponse = bytesRead !== this.#bytesRead;
    this.#bytesRead = bytesRead;
    return isResponse && bytes < RESPONSE_THRESHOLD_BYTES[engine];
  }
}
