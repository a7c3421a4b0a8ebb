// What the addon found while it sent a write, beside the result.
import type { Reactor } from '../native/reactor.js';
import * as word from '../native/stream-words.js';
import { loseRing } from '../native/submit-ring.js';
import type { StreamEngineName } from './decide.js';
import type { PortHost } from './releases.js';
import { foundUnpinnable } from '../memory/unpinnable.js';
import type { Write } from './write.js';

interface Found {
  readonly host: PortHost;
  readonly engine: StreamEngineName;
  readonly reactor: Reactor;
  readonly words: Float64Array;
  readonly at: number;
}

/** Handles the events that accompany the result of `write`. */
export function heedEvents({ host, engine, reactor, words, at }: Found, write: Write): void {
  const { health } = host;
  host.steady = false;
  const events = words[at + word.EVENTS] as number;
  words[at + word.EVENTS] = 0;
  if ((events & (word.EVENT_ENOBUFS | word.EVENT_LIMIT)) !== 0) {
    reactor.outOfBuffers();
    health.outOfBuffers((events & word.EVENT_LIMIT) !== 0 ? 'limit-too-low' : 'enobufs');
  }
  if ((events & word.EVENT_REFUSED) !== 0) health.engineRefused(engine);
  if ((events & word.EVENT_RING_LOST) !== 0) loseRing();
  if ((events & word.EVENT_UNPINNABLE) !== 0)
    foundUnpinnable(host.socket, write.chunkAt(words[at + word.SUSPECT] as number));
}
