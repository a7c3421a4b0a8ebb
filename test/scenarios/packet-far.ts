// The near end's hold on the program at the far end: opens sockets there and compares what arrives.
import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import path from 'node:path';
import type { PacketSocketOptions } from '../../lib/index';
import type { Digest } from '../helpers/packet-frames';
import type { CaughtFrame, FarAnswer, FarRequest, Said } from './packet-receiver-program';
import type { Wire, Family } from '../helpers/packet-wire';
import { Program } from '../helpers/program';

const PROGRAM = path.join(__dirname, 'packet-receiver-program.js');

export class Far {
  readonly #program: Program;
  readonly #wire: Wire;
  #marks = 0;

  constructor(wire: Wire) {
    this.#wire = wire;
    const { cpu, netns } = wire.far;
    const command = ['taskset', '-c', String(cpu), process.execPath, PROGRAM];
    this.#program = new Program(['ip', 'netns', 'exec', netns, ...command], {});
  }

  async #ask(request: FarRequest): Promise<FarAnswer> {
    this.#program.tell(request);
    const answer = await this.#program.next<FarAnswer>();
    if (answer.failure !== undefined) throw new Error(`the far end: ${answer.failure}`);
    return answer;
  }

  address(family: Family): string {
    return family === 4 ? this.#wire.far.address4 : this.#wire.far.address6;
  }

  async listen(family: Family): Promise<FarUdp> {
    const { port } = await this.#ask({ do: 'listen', family, address: this.address(family) });
    return new FarUdp(this, (request) => this.#ask(request), family, port as number);
  }

  async open(options: Omit<PacketSocketOptions, 'interface'>): Promise<FarPacket> {
    const interface_ = this.#wire.far.device;
    const { socket } = await this.#ask({
      do: 'open',
      options: { ...options, interface: interface_ },
    });
    return new FarPacket((request) => this.#ask(request), socket as number);
  }

  /** Sends a datagram of its own by Node's dgram, behind everything that was sent before. */
  async mark(family: Family, port: number): Promise<string> {
    const text = `mark ${++this.#marks}`;
    const socket = dgram.createSocket(`udp${family}`);
    await new Promise<void>((resolve, reject) => {
      socket.send(text, port, this.address(family), (error) =>
        error === null ? resolve() : reject(error),
      );
    });
    await new Promise<void>((resolve) => socket.close(resolve));
    return text;
  }
}

type Ask = (request: FarRequest) => Promise<FarAnswer>;

/** A UDP socket at the far end. */
export class FarUdp {
  readonly #far: Far;
  readonly #ask: Ask;

  constructor(
    far: Far,
    ask: Ask,
    readonly family: Family,
    readonly port: number,
  ) {
    this.#far = far;
    this.#ask = ask;
  }

  /** Everything that arrived since the last call, in its order, and nothing is on its way any more. */
  async take(): Promise<readonly Digest[]> {
    const mark = await this.#far.mark(this.family, this.port);
    return (await this.#ask({ do: 'take', port: this.port, mark })).datagrams ?? [];
  }

  /** Throws: when anything else arrived since the last call, or in another order. */
  async expect(expected: readonly Digest[]): Promise<void> {
    assert.deepEqual(await this.take(), expected);
  }

  /** Settles when `count` have arrived since the last take. */
  async arrived(count: number): Promise<void> {
    await this.#ask({ do: 'await', port: this.port, count });
  }

  /** Sends datagrams to the near end. */
  async say(
    to: { readonly address: string; readonly port: number },
    datagrams: readonly Said[],
  ): Promise<void> {
    await this.#ask({ do: 'say', from: this.port, to, datagrams });
  }
}

/** A packet socket at the far end, on the wire's device. */
export class FarPacket {
  readonly #ask: Ask;
  readonly #socket: number;

  constructor(ask: Ask, socket: number) {
    this.#ask = ask;
    this.#socket = socket;
  }

  /** Waits for a number of frames, or for the frame that holds a mark. */
  async catch(until: number | string): Promise<readonly CaughtFrame[]> {
    return (await this.#ask({ do: 'catch', socket: this.#socket, until })).frames ?? [];
  }

  async inject(frames: readonly Buffer[]): Promise<void> {
    const texts = frames.map((frame) => frame.toString('base64'));
    await this.#ask({ do: 'inject', socket: this.#socket, frames: texts });
  }

  async close(): Promise<void> {
    await this.#ask({ do: 'close', socket: this.#socket });
  }
}
