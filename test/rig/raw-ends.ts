// Two programs, one on each side of the rig, that run pieces of the tests of raw sockets: they are sent to it
// as source text.
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { SocketAddress } from 'node:net';
import path from 'node:path';
import type { RawSocketOptions, ZeroCopyRawSocket } from '../../lib/index';
import type { Rig, RigSideName } from '../../scripts/rig';

export const PROTOCOL = 253; // RFC 3692
export const FAMILIES = [4, 6] as const;
type Family = (typeof FAMILIES)[number];

/** What is known of a datagram: its number, and the hash of all its bytes. */
export type Known = readonly [number: number, sha256: string];

/** What a piece may use: nothing else around it reaches the other process. */
export interface Tools {
  readonly zc: typeof import('../../lib/index');
  readonly crypto: typeof import('node:crypto');
  readonly events: typeof import('node:events');
  /** Sockets by name, for later pieces. */
  readonly sockets: Record<string, ZeroCopyRawSocket>;
  /** A new datagram: the mark, its number, and `size` random bytes. */
  datagram(mark: string, number: number, size: number): Buffer;
  sha256(data: Uint8Array): string;
  /** What the device takes from now on, in bits a second as tc(8) spells it. */
  setRate(device: string, rate: string): void;
  /** Opens `sockets[name]` and gathers the datagrams with the mark, their hashes by number. */
  gather(name: string, mark: string, host: string, options: RawSocketOptions): Promise<void>;
  /** What `gather` has; settles when the datagram `last` has arrived, or none does for 5 s. */
  gathered(last: number): Promise<Known[]>;
}

const TOOLS = `
const crypto = require('node:crypto');
const events = require('node:events');
const sha256 = (data) => crypto.createHash('sha256').update(data).digest('hex');
const arrivals = new events.EventEmitter();
let known = [];
const tools = {
  zc: require(process.argv[1]), crypto, events, sha256, sockets: {},
  datagram(mark, number, size) {
    const head = Buffer.alloc(12);
    head.write(mark, 'hex');
    head.writeUInt32BE(number, 8);
    return Buffer.concat([head, crypto.randomBytes(size)]);
  },
  setRate(device, rate) {
    const shape = ['tbf', 'rate', rate, 'burst', '512kb', 'limit', '64mb'];
    const argv = ['qdisc', 'change', 'dev', device, 'root', ...shape];
    require('node:child_process').execFileSync('tc', argv);
  },
  async gather(name, mark, host, options) {
    known = [];
    const socket = (tools.sockets[name] = tools.zc.createRawSocket(options));
    const start = options.family === 4 ? 20 : 0;
    socket.on('message', (data) => {
      const payload = data.subarray(start);
      if (payload.length < 12 || payload.toString('hex', 0, 8) !== mark) return;
      known.push([payload.readUInt32BE(8), sha256(payload)]);
      arrivals.emit('one');
    });
    socket.bind(host);
    await events.once(socket, 'listening');
  },
  async gathered(last) {
    try {
      while (!known.some(([number]) => number === last)) {
        await events.once(arrivals, 'one', { signal: AbortSignal.timeout(5000) });
      }
    } catch (error) {
      if (error.name !== 'AbortError') throw error; // lost: what came is judged by the test
    }
    return known;
  },
};
process.on('message', async ({ source, params }) => {
  try {
    const answer = await (0, eval)('(' + source + ')')(tools, params);
    process.send({ answer: answer ?? null });
  } catch (error) {
    process.send({ failure: error.stack });
  }
});
process.on('disconnect', () => process.exit(0));
`;

/** A program on one side of the rig. */
class Side {
  readonly #child: ChildProcess;
  readonly #gone: Promise<never>;

  constructor(rig: Rig, name: RigSideName) {
    const library = path.join(__dirname, '../../lib/index.js');
    this.#child = rig.spawn(name, [process.execPath, '-e', TOOLS, library], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    this.#gone = new Promise((_, reject) => {
      this.#child.once('exit', (code) => reject(new Error(`the ${name}'s program ended: ${code}`)));
    });
    this.#gone.catch(() => undefined); // said by the next run()
  }

  async run<P, T>(piece: (tools: Tools, params: P) => T | Promise<T>, params: P): Promise<T> {
    type Said = { answer: T } | { failure: string };
    const said = new Promise<Said>((resolve) => this.#child.once('message', resolve as never));
    this.#child.send({ source: piece.toString(), params });
    const result = await Promise.race([said, this.#gone]);
    if ('failure' in result) throw new Error(result.failure);
    return result.answer;
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#gone.catch(() => undefined);
  }
}

export interface Ends {
  readonly rig: Rig;
  readonly sender: Side;
  readonly receiver: Side;
  /** Address of the side; both of one family. */
  address(side: RigSideName, family: Family): string;
  /** Starts to gather datagrams at the receiver; answers their mark. */
  gather(family: Family, options?: Partial<RawSocketOptions>): Promise<string>;
}

export function withEnds(getRig: () => Rig, body: (ends: Ends) => void): void {
  const sides: Partial<Record<RigSideName, Side>> = {};
  const ends: Ends = {
    get rig() {
      return getRig();
    },
    get sender() {
      return sides.sender as Side;
    },
    get receiver() {
      return sides.receiver as Side;
    },
    address(side, family) {
      const { address4, address6 } = getRig()[side];
      // As sockets write it: without leading zeros.
      const six = new SocketAddress({ address: address6, family: 'ipv6' });
      return family === 4 ? address4 : six.address;
    },
    async gather(family, options = {}) {
      const mark = randomBytes(8).toString('hex');
      const host = ends.address('receiver', family);
      await ends.receiver.run((tools, p) => tools.gather('heard', p.mark, p.host, p.options), {
        mark,
        host,
        options: { family, protocol: PROTOCOL, ...options },
      });
      return mark;
    },
  };
  before(() => {
    for (const name of ['sender', 'receiver'] as const) sides[name] = new Side(getRig(), name);
  });
  after(() => Promise.all(Object.values(sides).map((side) => side.stop())));
  afterEach(async () => {
    for (const side of Object.values(sides)) {
      await side.run(async ({ sockets, events }) => {
        for (const [name, socket] of Object.entries(sockets)) {
          delete sockets[name];
          if (socket.zeroCopy.state === 'closed') continue;
          const closed = events.once(socket, 'close');
          socket.close();
          await closed;
        }
      }, undefined);
    }
  });
  body(ends);
}

/** Every datagram that arrived was sent, as it arrived, and arrived once. */
export function assertOnlyLost(arrived: readonly Known[], sent: readonly Known[]): void {
  const expected = new Map(sent);
  for (const [number, hash] of arrived) {
    assert.equal(hash, expected.get(number), `datagram ${number}`);
    expected.delete(number);
  }
}

export interface SendParams {
  readonly mark: string;
  readonly address: string;
  readonly sizes: readonly number[];
  /** Number of the first datagram; default 0. */
  readonly first?: number;
  readonly options: RawSocketOptions;
}
