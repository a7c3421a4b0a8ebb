// One UDP socket: datagrams alone, in batches, and cut by the device; closed with some of them waiting.
import { once } from 'node:events';
import { createUdpSocket, type ZeroCopyUdpSocket } from '../../../lib/index';
import { DESCRIPTION_BYTES, fill } from '../../selftest/message';
import type { Chance } from '../chance';
import { DatagramTracker } from '../datagram-tracker';
import { type Episode, turn, type World } from '../world';

const MOST_DATAGRAM_BYTES = 60_000;
/**
 * The kernel answers ENOBUFS for a datagram whose fragments take more than twice the send buffer
 * (net/ipv6/ip6_output.c:__ip6_append_data).
 */
const LEAST_SEND_BUFFER_BYTES = 64 * 1024;
const MOST_SEGMENT_BYTES = 1400;
const MOST_SEGMENTS = 40;
/** Sends that may be under way, so that memory goes round. */
const WINDOW = 64;

class UdpSender {
  readonly #world: World;
  readonly #chance: Chance;
  readonly #token: number;
  readonly #socket: ZeroCopyUdpSocket;
  readonly #family: 4 | 6;
  readonly #tracker: DatagramTracker;
  #connected = false;

  constructor(world: World, chance: Chance, token: number) {
    this.#world = world;
    this.#chance = chance;
    this.#token = token;
    this.#tracker = new DatagramTracker(world, 'udp', token);
    this.#family = chance.pick([4, 6] as const);
    this.#socket = createUdpSocket({
      type: this.#family === 4 ? 'udp4' : 'udp6',
      zeroCopy: {
        engine: chance.pick(['auto', 'msg_zerocopy', 'msg_zerocopy', 'copy']),
        threshold: chance.pick([0, 1, 8192, 'auto'] as const),
        ...(chance.odds(0.2) ? { source: 'pool' as const } : {}),
        ...(chance.odds(0.05) ? { detectMutation: 'throw' as const } : {}),
      },
      ...(chance.odds(0.3)
        ? { sendBufferSize: chance.size(LEAST_SEND_BUFFER_BYTES, 2 ** 21) }
        : {}),
    });
    this.#socket.on('error', (error) => this.#tracker.judge(error));
  }

  async run(): Promise<void> {
    const { target } = this.#world.order;
    const family = this.#family;
    if (this.#chance.odds(0.5)) {
      this.#socket.connect(target.udp[family], target.address[family]);
      await once(this.#socket, 'connect').catch((error: unknown) => {
        this.#socket.close();
        throw error;
      });
      this.#connected = true;
    }
    const rounds = this.#chance.between(5, 200);
    for (let i = 0; i < rounds && !this.#world.stopping; i++) {
      this.#round();
      if (this.#tracker.underWay >= WINDOW) await this.#tracker.oneDone();
      else if (this.#chance.odds(0.3)) await turn();
    }
    const closed = once(this.#socket, 'close');
    if (this.#chance.odds(0.5)) await this.#tracker.allDone();
    this.#socket.close();
    await closed;
    await this.#tracker.allDone();
    const { pendingBytes } = this.#socket.zeroCopy;
    if (pendingBytes !== 0) {
      this.#world.ledger.fail(`udp: closed, and ${pendingBytes} bytes are pending`);
    }
    this.#world.ledger.add('udp sockets');
  }

  get #to(): { port?: number; address?: string } {
    if (this.#connected) return {};
    const { target } = this.#world.order;
    return { port: target.udp[this.#family], address: target.address[this.#family] };
  }

  #round(): void {
    switch (this.#chance.pick(['callback', 'promise', 'many', 'segments', 'segments', 'abort'])) {
      case 'callback':
        this.#sendWithCallback();
        break;
      case 'promise':
        this.#sendForPromise();
        break;
      case 'many':
        this.#sendMany();
        break;
      case 'segments':
        this.#sendSegments();
        break;
      case 'abort':
        this.#sendAndAbort();
        break;
    }
  }

  #describe(data: Buffer): void {
    const sequence = this.#tracker.nextSequence();
    fill(data, { token: this.#token, sequence, length: data.length }, 0);
  }

  #datagram(): Buffer {
    const bytes = this.#chance.size(DESCRIPTION_BYTES, MOST_DATAGRAM_BYTES);
    const { data } = this.#tracker.take(bytes, this.#chance);
    this.#describe(data);
    return data;
  }

  #sendForPromise(): void {
    const data = this.#datagram();
    this.#tracker.track('send', () => this.#socket.send(data, this.#to));
  }

  #sendWithCallback(): void {
    const { port, address } = this.#to;
    const data = this.#datagram();
    const send = (): Promise<void> =>
      new Promise((resolve, reject) => {
        const done = (error: Error | null): void => (error ? reject(error) : resolve());
        if (port === undefined) this.#socket.send(data, done);
        else this.#socket.send(data, port, address, done);
      });
    this.#tracker.track('send with a callback', send);
  }

  #sendMany(): void {
    const all = Array.from({ length: this.#chance.between(1, 32) }, () => this.#datagram());
    this.#tracker.track('sendMany', () => this.#socket.sendMany(all, this.#to));
  }

  #sendSegments(): void {
    const segmentSize = this.#chance.between(100, MOST_SEGMENT_BYTES);
    const segments = this.#chance.between(1, MOST_SEGMENTS);
    const last = this.#chance.between(DESCRIPTION_BYTES, segmentSize);
    const { data } = this.#tracker.take((segments - 1) * segmentSize + last, this.#chance);
    for (let at = 0; at < data.length; at += segmentSize) {
      this.#describe(data.subarray(at, at + segmentSize));
    }
    this.#tracker.track('segments', () => this.#socket.send(data, { ...this.#to, segmentSize }));
  }

  #sendAndAbort(): void {
    const controller = new AbortController();
    const { signal } = controller;
    const data = this.#datagram();
    this.#tracker.track('send with a signal', () =>
      this.#socket.send(data, { ...this.#to, signal }),
    );
    if (this.#chance.odds(0.5)) controller.abort();
    else setImmediate(() => controller.abort());
  }
}

export const udpEpisode: Episode = (world, chance, token) =>
  new UdpSender(world, chance, token).run();
