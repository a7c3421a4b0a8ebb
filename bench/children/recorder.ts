// A stream or a server under load that looks at its own socket every few milliseconds, and tells at the end
// what that said.
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';

import type { Moment, RecorderOrder } from '../protocol';
import { Bodies } from './bodies';
import { buffersIn, makeBuffers } from './meter';
import { say, takeOrder } from './session';
import { controlOf, upgradeFor, type Source, type Upgrade } from './upgrade';

const streamFootprint = 4 * 1_048_576;

class Recorder {
  readonly #order: RecorderOrder;
  readonly #socket: net.Socket;
  readonly #done: () => void;
  readonly #moments: Moment[] = [];
  readonly #began = performance.now();
  #nextMs = 0;
  #over = false;
  bytes = 0;

  /** @param socket whose state is recorded  @param done called once, when the time is over */
  constructor(order: RecorderOrder, socket: net.Socket, done: () => void) {
    this.#order = order;
    this.#socket = socket;
    this.#done = done;
    say({ event: 'began' });
    const timer = setInterval(() => {
      this.look();
      if (this.#over) clearInterval(timer);
    }, order.everyMs);
  }

  /** Also called by those who work: they may leave a timer little room. */
  look(): void {
    const ms = performance.now() - this.#began;
    if (this.#over || ms < this.#nextMs) return;
    this.#nextMs += this.#order.everyMs * Math.ceil((ms - this.#nextMs + 1) / this.#order.everyMs);
    this.#moments.push(this.#moment(ms));
    if (ms < this.#order.seconds * 1000) return;
    this.#over = true;
    say({ event: 'recorded', moments: this.#moments } as { event: string });
    this.#done();
  }

  #moment(ms: number): Moment {
    const { user, system } = process.cpuUsage();
    const moment: Moment = { ms, bytes: this.bytes, cpu: user + system };
    const control = controlOf(this.#socket);
    if (!control) return moment;
    const { engine, state, reason, thresholds } = control;
    const { stream, response } = thresholds;
    return {
      ...moment,
      engine,
      state,
      ...(reason !== undefined && { reason }),
      ...(stream !== undefined && { streamThreshold: stream }),
      ...(response !== undefined && { responseThreshold: response }),
    };
  }
}

async function stream(order: RecorderOrder, port: number, size: number): Promise<void> {
  const source: Source = { size, count: buffersIn(streamFootprint, size) };
  const upgrade = await upgradeFor(order.contestant, source);
  const buffers = makeBuffers(size, source.count, upgrade.allocate);
  const socket = upgrade.apply(net.connect(port, order.address));
  await once(socket, 'connect');
  const recorder = new Recorder(order, socket, () => socket.destroy());
  let next = 0;
  const write = (): void => {
    while (!socket.destroyed) {
      const room = socket.write(buffers[next++ % buffers.length] as Buffer);
      recorder.bytes = next * size - socket.writableLength;
      recorder.look();
      if (!room) return;
    }
  };
  socket.on('drain', write);
  write();
}

async function serve(order: RecorderOrder, bodies: Bodies, upgrade: Upgrade): Promise<void> {
  let recorder: Recorder | undefined;
  const server = http.createServer((_request, response) => {
    const body = bodies.next();
    response.end(body);
    if (!recorder) return;
    recorder.bytes += body.length;
    recorder.look();
  });
  upgrade.apply(server);
  // The first connection speaks for all: they have one route and one tuner.
  server.once('connection', (socket: net.Socket) => {
    recorder = new Recorder(order, socket, () => server.unref());
  });
  server.listen(0, order.address);
  await once(server, 'listening');
  say({ event: 'ready', port: (server.address() as net.AddressInfo).port } as { event: string });
}

async function main(): Promise<void> {
  const order = takeOrder<RecorderOrder>();
  const { work } = order;
  if (work.kind === 'stream') return stream(order, work.port, work.size);
  const sources = work.parts.map(({ bytes: size, bodies: count }) => ({ size, count }));
  const upgrade = await upgradeFor(order.contestant, ...sources);
  return serve(order, new Bodies(work.parts, upgrade.allocate), upgrade);
}

void main();
