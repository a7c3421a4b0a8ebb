// One packet socket with a ring: frames are produced in it, some are given up, some sent beside it.
import { once } from 'node:events';
import { createPacketSocket, type ZeroCopyPacketSocket } from '../../../lib/index';
import { OVERWRITTEN } from '../../pattern';
import { DESCRIPTION_BYTES, fill } from '../../selftest/message';
import type { Chance } from '../chance';
import { DatagramTracker } from '../datagram-tracker';
import { type Episode, turn, type World } from '../world';
import { Frames, MOST_PAYLOAD_BYTES } from './frames';

class RingSender {
  readonly #world: World;
  readonly #chance: Chance;
  readonly #token: number;
  readonly #frames: Frames;
  readonly #socket: ZeroCopyPacketSocket;
  readonly #tracker: DatagramTracker;

  constructor(world: World, chance: Chance, token: number, frames: Frames) {
    this.#world = world;
    this.#chance = chance;
    this.#token = token;
    this.#frames = frames;
    const qdiscBypass = chance.odds(0.3);
    this.#socket = createPacketSocket({
      interface: frames.device,
      type: frames.type,
      ring: { frames: chance.pick([16, 64, 256]) },
      qdiscBypass,
    });
    // As actors/packet.ts says.
    const expected = qdiscBypass ? ['ENOBUFS'] : [];
    this.#tracker = new DatagramTracker(world, 'ring', token, expected);
    this.#socket.on('error', (error) => this.#tracker.judge(error));
  }

  async run(): Promise<void> {
    const rounds = this.#chance.between(5, 100);
    for (let i = 0; i < rounds && !this.#world.stopping; i++) {
      await this.#socket.ready();
      await this.#produce();
      if (this.#chance.odds(0.2)) this.#sendBeside();
      if (this.#chance.odds(0.2)) await this.#tracker.allDone();
      else if (this.#chance.odds(0.3)) await turn();
    }
    if (this.#chance.odds(0.5)) await this.#tracker.allDone();
    const closed = once(this.#socket, 'close');
    this.#socket.close();
    await closed;
    await this.#tracker.allDone();
  }

  /** Reserves some frames, fills them a little later, and commits them or gives them up. */
  async #produce(): Promise<void> {
    const count = Math.min(this.#socket.freeFrames, this.#chance.between(1, 8));
    const { headerBytes, options } = this.#frames;
    const reserved = Array.from({ length: count }, () => {
      const bytes = this.#chance.size(DESCRIPTION_BYTES, MOST_PAYLOAD_BYTES);
      return this.#socket.reserve(headerBytes + bytes).fill(OVERWRITTEN);
    });
    if (this.#chance.odds(0.2)) await turn();
    const filled: Buffer[] = [];
    for (const frame of reserved) {
      if (this.#chance.odds(0.1)) {
        this.#world.ledger.add('ring frames discarded');
        this.#socket.discard(frame);
        continue;
      }
      const payload = frame.subarray(headerBytes);
      const sequence = this.#tracker.nextSequence();
      fill(payload, { token: this.#token, sequence, length: payload.length }, 0);
      this.#frames.before(payload).copy(frame);
      filled.push(frame);
    }
    if (filled.length === 0) return;
    this.#world.ledger.add('ring frames', filled.length);
    this.#tracker.track('commit', () => this.#socket.commit(filled, options));
  }

  #sendBeside(): void {
    const bytes = this.#chance.size(DESCRIPTION_BYTES, MOST_PAYLOAD_BYTES);
    const { data } = this.#tracker.take(bytes, this.#chance);
    const sequence = this.#tracker.nextSequence();
    fill(data, { token: this.#token, sequence, length: data.length }, 0);
    const message = [this.#frames.before(data), data];
    this.#tracker.track('send', () => this.#socket.send(message, this.#frames.options));
  }
}

export const ringEpisode: Episode = async (world, chance, token) => {
  const frames = await Frames.towards(world, chance.pick(['raw', 'dgram']));
  await new RingSender(world, chance, token, frames).run();
};
