// One socket that writes without pause and respects backpressure. The buffers are never changed.
import { once } from 'node:events';
import net from 'node:net';

import type { Result, Snapshot, StreamOrder } from '../protocol';
import { buffersIn, makeBuffers } from './meter';
import { say, takeOrder, takeSnapshot } from './session';
import { upgradeFor, type Upgrade } from './upgrade';

// The clock is read this often: rarely enough to cost nothing, often enough to end a window in time.
const checkEveryBytes = 1_048_576;
const checkEveryWrites = 256;
const corkedTogether = 16;

class Stream {
  readonly #socket: net.Socket;
  readonly #order: StreamOrder;
  readonly #upgrade: Upgrade;
  readonly #buffers: Buffer[];
  readonly #checkEvery: number;
  #next = 0;
  #writes = 0;
  #untilCheck: number;
  #startAt = 0;
  #start: Snapshot | undefined;

  constructor(socket: net.Socket, order: StreamOrder, upgrade: Upgrade) {
    this.#socket = socket;
    this.#order = order;
    this.#upgrade = upgrade;
    const { size, footprint } = order;
    this.#buffers = makeBuffers(size, buffersIn(footprint, size), upgrade.allocate);
    this.#checkEvery = Math.min(checkEveryWrites, Math.ceil(checkEveryBytes / order.size));
    this.#untilCheck = this.#checkEvery;
  }

  run(): void {
    this.#startAt = performance.now() + this.#order.warmup * 1000;
    this.#socket.on('drain', () => this.#write());
    this.#write();
  }

  #write(): void {
    const { pattern } = this.#order;
    for (;;) {
      const room = pattern === 'corked' ? this.#writeCorked() : this.#writeOne();
      if (this.#untilCheck <= 0) {
        this.#untilCheck = this.#checkEvery;
        if (this.#check() === 'over') return;
      }
      if (!room) return;
    }
  }

  #writeOne(): boolean {
    const buffers = this.#buffers;
    const room = this.#socket.write(buffers[this.#next] as Buffer);
    this.#next = this.#next + 1 === buffers.length ? 0 : this.#next + 1;
    this.#writes++;
    this.#untilCheck--;
    return room;
  }

  #writeCorked(): boolean {
    this.#socket.cork();
    for (let index = 0; index < corkedTogether; index++) this.#writeOne();
    this.#socket.uncork();
    return !this.#socket.writableNeedDrain;
  }

  #check(): 'over' | 'going on' {
    const now = performance.now();
    if (now < this.#startAt) return 'going on';
    this.#start ??= this.#snapshot();
    if (now < this.#start.at + this.#order.seconds * 1000) return 'going on';
    this.#finish(this.#start);
    return 'over';
  }

  #snapshot(): Snapshot {
    const { size, kernelThreads } = this.#order;
    const bytes = this.#writes * size - this.#socket.writableLength;
    return takeSnapshot(kernelThreads, { bytes, writes: bytes / size }, this.#upgrade.totals());
  }

  #finish(start: Snapshot): void {
    const result: Result = {
      event: 'result',
      start,
      end: this.#snapshot(),
      ...this.#upgrade.verdict(),
    };
    say(result);
    this.#socket.removeAllListeners('drain');
    this.#socket.destroy();
  }
}

async function main(): Promise<void> {
  const order = takeOrder<StreamOrder>();
  const { size, footprint } = order;
  const source = { size, count: buffersIn(footprint, size) };
  const upgrade = await upgradeFor(order.contestant, source);
  const socket = net.connect(order.port, order.address);
  upgrade.apply(socket);
  upgrade.watch(socket);
  await once(socket, 'connect');
  new Stream(socket, order, upgrade).run();
}

void main();
