// Raw sockets between two network namespaces: a real device with its queue, an MTU of 1500, and losses.
// One program on each side runs pieces of these tests, which are sent to it as source text.
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { SocketAddress } from 'node:net';
import path from 'node:path';
import type { RawSocketOptions, ZeroCopyRawSocket } from '../../lib/index';
import type { Rig, RigSideName } from '../../scripts/rig';
import { rigSuite } from '../helpers/suites';

const PROTOCOL = 253; // RFC 3692
const FAMILIES = [4, 6] as const;
type Family = (typeof FAMILIES)[number];

/** What is known of a datagram: its number, and the hash of all its bytes. */
type Known = readonly [number: number, sha256: string];

/** What a piece may use: nothing else around it reaches the other process. */
interface Tools {
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

interface Ends {
  readonly rig: Rig;
  readonly sender: Side;
  readonly receiver: Side;
  /** Address of the side; both of one family. */
  address(side: RigSideName, family: Family): string;
  /** Starts to gather datagrams at the receiver; answers their mark. */
  gather(family: Family, options?: Partial<RawSocketOptions>): Promise<string>;
}

function withEnds(getRig: () => Rig, body: (ends: Ends) => void): void {
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

interface SendParams {
  readonly mark: string;
  readonly address: string;
  readonly sizes: readonly number[];
  /** Number of the first datagram; default 0. */
  readonly first?: number;
  readonly options: RawSocketOptions;
}

/** Sends datagrams of the given sizes one after another; each is overwritten when it comes back. */
async function sendEach(tools: Tools, params: SendParams): Promise<Known[]> {
  const { address, mark, sizes, first = 0 } = params;
  const name = JSON.stringify(params.options);
  const socket = (tools.sockets[name] ??= tools.zc.createRawSocket(params.options));
  const sent: Known[] = [];
  for (const [index, size] of sizes.entries()) {
    const number = first + index;
    const data = tools.datagram(mark, number, size);
    sent.push([number, tools.sha256(data)]);
    await socket.send(data, { address });
    data.fill(0xee);
  }
  return sent;
}

interface CrowdParams extends SendParams {
  /** Source address, for headers of our own. */
  readonly source: string;
  /** The one that sends. */
  readonly device: string;
  /** What is to happen behind the sends, in the same turn. */
  readonly then: 'wait' | 'close' | 'abort';
}

interface Crowd {
  readonly sent: Known[];
  /** Numbers of the datagrams whose callback had no error, and the codes of the others. */
  readonly accepted: number[];
  readonly failed: [number: number, code: string][];
  readonly inOrder: boolean;
  readonly mostQueued: { readonly bytes: number; readonly count: number };
}

/** Sends all datagrams in one turn of the loop; each is overwritten when it comes back. */
async function sendCrowd(tools: Tools, params: CrowdParams): Promise<Crowd> {
  const { address, mark, sizes, source, options, device } = params;
  const { createRawSocket, headers } = tools.zc;
  const socket = (tools.sockets['sender'] = createRawSocket(options));
  const header = (payloadLength: number): Buffer[] => {
    const fields = { source, destination: address, protocol: 253, payloadLength };
    return options.headerIncluded ? [headers.ipv4(fields)] : [];
  };
  const controller = new AbortController();
  const { signal } = controller;
  const sent: Known[] = [];
  const accepted: number[] = [];
  const failed: [number, string][] = [];
  const all = sizes.map((size, number) => tools.datagram(mark, number, size));
  // Hardly anything leaves before all is sent, however long that takes.
  tools.setRate(device, '200kbit');
  const told = all.map((data, number) => {
    sent.push([number, tools.sha256(data)]);
    const message = [...header(data.length), data];
    const settled = (error: NodeJS.ErrnoException | null): void => {
      data.fill(0xee);
      if (error === null) accepted.push(number);
      else failed.push([number, error.code ?? error.message]);
    };
    if (params.then === 'abort') {
      return socket.send(message, { address, signal }).then(() => settled(null), settled);
    }
    return new Promise<void>((resolve) => {
      socket.send(message, address, (error) => {
        settled(error);
        resolve();
      });
    });
  });
  await new Promise((resolve) => setImmediate(resolve));
  const mostQueued = { bytes: socket.getSendQueueSize(), count: socket.getSendQueueCount() };
  tools.setRate(device, '20mbit');
  if (params.then === 'close') socket.close();
  if (params.then === 'abort') controller.abort();
  await Promise.all(told);
  const ascending = (list: readonly number[]): boolean =>
    list.every((value, at) => at === 0 || value > (list[at - 1] as number));
  const inOrder = ascending(accepted) && ascending(failed.map(([number]) => number));
  return { sent, accepted, failed, inOrder, mostQueued };
}

/** Every datagram that arrived was sent, as it arrived, and arrived once. */
function assertOnlyLost(arrived: readonly Known[], sent: readonly Known[]): void {
  const expected = new Map(sent);
  for (const [number, hash] of arrived) {
    assert.equal(hash, expected.get(number), `datagram ${number}`);
    expected.delete(number);
  }
}

rigSuite('raw sockets, over the rig', (getRig) => {
  withEnds(getRig, (ends) => {
    for (const family of FAMILIES) {
      it(`carry datagrams of every size over IPv${family}, fragmented where need be`, async () => {
        const mark = await ends.gather(family);
        const sizes = [0, 1, 1000, 1440, 1468, 1469, 5000, 20_000, 40_000];
        const address = ends.address('receiver', family);
        const options = { family, protocol: PROTOCOL };
        for (const [first, size] of sizes.entries()) {
          const params = { mark, address, sizes: [size], first, options };
          const sent = await ends.sender.run(sendEach, params);
          // One at a time: 40,000 bytes fill a good part of the receiver's buffer.
          const arrived = await ends.receiver.run((tools, last) => tools.gathered(last), first);
          assert.deepEqual(arrived.slice(first), sent);
        }
      });

      it(`carry what comes behind a header of their own over IPv${family}`, async () => {
        const mark = await ends.gather(family);
        const params = {
          mark,
          family,
          protocol: PROTOCOL,
          source: ends.address('sender', family),
          destination: ends.address('receiver', family),
        };
        const sent = await ends.sender.run(async (tools, p) => {
          const socket = (tools.sockets['sender'] = tools.zc.createRawSocket({
            family: p.family,
            protocol: 'raw',
            headerIncluded: true,
          }));
          const { headers } = tools.zc;
          const known: Known[] = [];
          const list = [0, 1, 700, 1448].map((size, number) => {
            const payload = tools.datagram(p.mark, number, size);
            known.push([number, tools.sha256(payload)]);
            const fields = { ...p, payloadLength: payload.length };
            return [p.family === 4 ? headers.ipv4(fields) : headers.ipv6(fields), payload];
          });
          const address = p.destination;
          await socket.sendMany(list.map((data) => ({ data, address })));
          for (const part of list.flat()) part.fill(0xee);
          const tooLarge = socket.send(Buffer.alloc(1501, 0x45), { address });
          const code = await tooLarge.catch((error: NodeJS.ErrnoException) => error.code);
          if (code !== 'EMSGSIZE') throw new Error(`more than the MTU: ${String(code)}`);
          return known;
        }, params);
        const arrived = await ends.receiver.run((tools, last) => tools.gathered(last), 3);
        assert.deepEqual(arrived, sent);
      });

      it(`get the other machine's answer to an echo request over IPv${family}`, async () => {
        const params = {
          family,
          source: ends.address('sender', family),
          destination: ends.address('receiver', family),
        };
        const types = await ends.sender.run(async ({ zc, events, sockets }, p) => {
          const [protocol, reply] =
            p.family === 4 ? (['icmp', 0] as const) : (['icmpv6', 129] as const);
          const filter = { icmpTypes: [reply] };
          const socket = (sockets['sender'] = zc.createRawSocket({
            family: p.family,
            protocol,
            filter,
          }));
          const heard = events.once(socket, 'message') as Promise<[Buffer, { address: string }]>;
          const payload = Buffer.from('are you there?');
          const echo = { ...p, kind: 'request', identifier: 77, sequence: 1, payload } as const;
          await socket.send([zc.headers.icmpEcho(echo), payload], { address: p.destination });
          const [data, rinfo] = await heard;
          const text = data.subarray(p.family === 4 ? 28 : 8).toString();
          return [rinfo.address, text];
        }, params);
        assert.deepEqual(types, [params.destination, 'are you there?']);
      });

      it(`lose over IPv${family} only what is lost, and hand everything back`, async () => {
        const mark = await ends.gather(family);
        // Some need several packets, and are lost as a whole.
        const sizes = Array.from({ length: 400 }, (_, i) => (i % 9 === 0 ? 4000 : (i * 37) % 1400));
        const address = ends.address('receiver', family);
        const options = { family, protocol: PROTOCOL };
        const before = 1_000_000;
        const behind = 2_000_000;
        // One datagram ahead, so that the neighbour is known: its discovery could be lost, too.
        await ends.sender.run(sendEach, { mark, address, sizes: [0], first: before, options });
        await ends.receiver.run((tools, number) => tools.gathered(number), before);
        getRig().setLoss(300);
        let sent: Known[];
        try {
          sent = await ends.sender.run(sendEach, { mark, address, sizes, options });
        } finally {
          getRig().setLoss(0);
        }
        await ends.sender.run(sendEach, { mark, address, sizes: [0], first: behind, options });
        const arrived = await ends.receiver.run((tools, n) => tools.gathered(n), behind);
        const numbered = arrived.filter(([number]) => number < before);
        assertOnlyLost(numbered, sent);
        assert.ok(numbered.length > 100 && numbered.length < 350, `${numbered.length} of 400`);
      });
    }

    it('leave the checksum to the kernel over IPv6', async () => {
      const mark = await ends.gather(6, { checksumOffset: 12 });
      const address = ends.address('receiver', 6);
      // The mark and the number come first, so the checksum is in the random bytes behind them.
      const plain = { family: 6, protocol: PROTOCOL } as const;
      const unprotected = { mark, address, sizes: [100, 100], options: plain };
      await ends.sender.run(sendEach, unprotected);
      const sizes = [100, 101, 1300];
      const options = { ...plain, checksumOffset: 12 };
      await ends.sender.run(sendEach, { mark, address, sizes, options });
      const arrived = await ends.receiver.run((tools, last) => tools.gathered(last), 2);
      assert.deepEqual(
        arrived.map(([number]) => number),
        [0, 1, 2],
      );
    });
  });
});

const SIZE = 1388; // 1400 with mark and number
const COUNT = 900; // about twice as much as the device takes at once

/** The kernel says in different ways that there is no room: see raw(7), and ip_append_data. */
for (const [title, headerIncluded] of [
  ["with the kernel's header", false],
  ['with a header of their own', true],
] as const) {
  rigSuite(
    `raw sockets before a slow device, ${title}`,
    (getRig) => withEnds(getRig, (ends) => slowDevice(ends, headerIncluded)),
    { rate: '20mbit' },
  );
}

function slowDevice(ends: Ends, headerIncluded: boolean): void {
  const base = { family: 4, protocol: PROTOCOL, headerIncluded, sendBufferSize: 20_000 } as const;
  const bytesOfOne = SIZE + 12 + (headerIncluded ? 20 : 0);

  async function crowd(
    options: Partial<RawSocketOptions>,
    then: CrowdParams['then'] = 'wait',
  ): Promise<Crowd & { arrived: Known[] }> {
    const mark = await ends.gather(4);
    const result = await ends.sender.run(sendCrowd, {
      mark,
      source: ends.address('sender', 4),
      device: ends.rig.sender.device,
      address: ends.address('receiver', 4),
      sizes: new Array<number>(COUNT).fill(SIZE),
      options: { ...base, ...options },
      then,
    });
    const last = result.accepted[result.accepted.length - 1] as number;
    const arrived = await ends.receiver.run((tools, number) => tools.gathered(number), last);
    assert.equal(result.accepted.length + result.failed.length, COUNT);
    assert.equal(result.inOrder, true, 'callbacks out of order');
    assert.ok(arrived.length > 0, 'nothing arrived');
    // What failed was not sent; what was sent is right. The burst may overflow the receiver.
    const accepted = new Set(result.accepted);
    assertOnlyLost(
      arrived,
      result.sent.filter(([number]) => accepted.has(number)),
    );
    return { ...result, arrived };
  }

  it('queue what the device does not take, and send it later in order', async () => {
    const { failed, mostQueued, arrived } = await crowd({});
    assert.deepEqual(codesOf(failed), []);
    assert.ok(mostQueued.count > 50 && mostQueued.count < COUNT, `${mostQueued.count}`);
    assert.equal(mostQueued.bytes, mostQueued.count * bytesOfOne);
    const numbers = arrived.map(([number]) => number);
    assert.deepEqual(
      numbers,
      [...numbers].sort((a, b) => a - b),
    );
  });

  it('reject what is beyond maxQueuedBytes, and send the rest', async () => {
    const { failed, mostQueued } = await crowd({ maxQueuedBytes: 50_000 });
    assert.deepEqual(codesOf(failed), ['ERR_ZC_QUEUE_FULL']);
    assert.ok(failed.length > 50, `${failed.length}`);
    assert.ok(mostQueued.bytes <= 50_000, `${mostQueued.bytes}`);
  });

  it("let what is beyond maxQueuedBytes wait with whenQueueFull: 'wait'", async () => {
    const { failed, mostQueued } = await crowd({ maxQueuedBytes: 50_000, whenQueueFull: 'wait' });
    assert.deepEqual(codesOf(failed), []);
    assert.ok(mostQueued.bytes > 50_000, `${mostQueued.bytes}`);
  });

  it('tell those who wait when the socket is closed, and send nothing of theirs', async () => {
    const { failed, accepted, mostQueued } = await crowd({}, 'close');
    assert.deepEqual(codesOf(failed), ['ECANCELED']);
    assert.equal(failed.length, mostQueued.count);
    assert.ok(accepted.length > 10, `${accepted.length}`);
  });

  it('cancel what waits when its signal is aborted', async () => {
    const { failed, accepted } = await crowd({}, 'abort');
    assert.deepEqual(codesOf(failed), ['ABORT_ERR']);
    assert.ok(failed.length > 50 && accepted.length > 10, `${failed.length} failed`);
  });
}

function codesOf(failed: Crowd['failed']): string[] {
  return [...new Set(failed.map(([, code]) => code))];
}
