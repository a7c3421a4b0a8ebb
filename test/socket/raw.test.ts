// Raw sockets over loopback: what is sent arrives as it was, and memory that comes back is free. Every
// test has a protocol number and a mark of its own, because a raw socket hears the whole machine.
import assert from 'node:assert/strict';
import { randomBytes, randomInt } from 'node:crypto';
import { on, once } from 'node:events';
import {
  capabilities,
  createRawSocket,
  type RawDatagram,
  type RawRemoteInfo,
  type RawSocketOptions,
  type ZeroCopyRawSocket,
} from '../../lib/index';
import { OVERWRITTEN } from '../../scripts/pattern';
import { sha256 } from '../helpers/loopback';
import { until } from '../../scripts/until';

const IPV4_HEADER_BYTES = 20;
const MARK_BYTES = 8;

interface Heard {
  /** Without an IP header. */
  readonly payload: Buffer;
  /** The IPv4 header; empty for IPv6. */
  readonly header: Buffer;
  readonly rinfo: RawRemoteInfo;
}

/** Two sockets of a protocol of their own, and the datagrams that carry their mark. */
class Lane {
  readonly mark = randomBytes(MARK_BYTES);
  readonly protocol = randomInt(146, 253); // unassigned
  readonly host: string;
  readonly #sockets: ZeroCopyRawSocket[] = [];

  constructor(readonly family: 4 | 6) {
    // The whole of 127.0.0.0/8 is this machine's: other tests choose other addresses.
    const four = `127.${randomInt(1, 255)}.${randomInt(1, 255)}.${randomInt(1, 255)}`;
    this.host = family === 4 ? four : '::1';
  }

  open(options: Partial<RawSocketOptions> = {}): ZeroCopyRawSocket {
    const socket = createRawSocket({ family: this.family, protocol: this.protocol, ...options });
    this.#sockets.push(socket);
    return socket;
  }

  /** Opens a socket that receives; answers what yields its datagrams, one a call. */
  async listen(options: Partial<RawSocketOptions> = {}): Promise<() => Promise<Heard>> {
    const socket = this.open(options);
    const messages = on(socket, 'message');
    socket.bind(this.host);
    await once(socket, 'listening');
    const headerBytes = this.family === 4 ? IPV4_HEADER_BYTES : 0;
    return async () => {
      for (;;) {
        const { value } = (await messages.next()) as { value: [Buffer, RawRemoteInfo] };
        const [data, rinfo] = value;
        const payload = data.subarray(headerBytes);
        const marked = payload.subarray(0, MARK_BYTES).equals(this.mark);
        if (marked) return { payload, header: data.subarray(0, headerBytes), rinfo };
      }
    };
  }

  /** A new datagram of `size` bytes, the mark included. */
  datagram(size = 100): Buffer {
    return Buffer.concat([this.mark, randomBytes(size - MARK_BYTES)]);
  }

  async close(): Promise<void> {
    await Promise.all(
      this.#sockets.map((socket) => new Promise<void>((resolve) => socket.close(() => resolve()))),
    );
  }
}

const SIZES = [8, 9, 20, 1480, 1481, 8191, 32_768, 65_000];

function suite(family: 4 | 6): void {
  let lane: Lane;
  beforeEach(() => {
    lane = new Lane(family);
  });
  afterEach(() => lane.close());

  it('deliver datagrams of every size, and release their memory', async () => {
    const next = await lane.listen();
    const sender = lane.open();
    for (const size of SIZES) {
      const data = lane.datagram(size);
      const expected = sha256(data);
      const report = await sender.send(data, { address: lane.host });
      data.fill(OVERWRITTEN);
      const { payload, rinfo } = await next();
      assert.deepEqual([payload.length, sha256(payload)], [size, expected]);
      assert.equal(rinfo.size, size + (family === 4 ? IPV4_HEADER_BYTES : 0));
      assert.equal(report.bytes, size);
    }
  });

  it('run callbacks in order, each once its memory may be overwritten', async () => {
    const next = await lane.listen();
    const sender = lane.open();
    const expected: string[] = [];
    const order: number[] = [];
    const told = Array.from({ length: 60 }, (_, index) => {
      const data = lane.datagram(100 + index);
      expected.push(sha256(data));
      return new Promise<void>((resolve, reject) => {
        sender.send(data, lane.host, (error, bytes) => {
          data.fill(OVERWRITTEN);
          order.push(index);
          if (error !== null) reject(error);
          else resolve(assert.equal(bytes, 100 + index));
        });
      });
    });
    assert.deepEqual(order, [], 'a callback inside send()');
    await Promise.all(told);
    assert.deepEqual(order, [...expected.keys()]);
    for (const hash of expected) assert.equal(sha256((await next()).payload), hash);
  });

  it('take a list of buffers as it is when send() is called', async () => {
    const next = await lane.listen();
    const sender = lane.open();
    for (const way of ['callback', 'promise'] as const) {
      const data = lane.datagram();
      const list = [data.subarray(0, 40), data.subarray(40)];
      const sent =
        way === 'promise'
          ? sender.send(list, { address: lane.host })
          : new Promise<Error | null>((resolve) => sender.send(list, lane.host, resolve));
      list[1] = Buffer.alloc(60, OVERWRITTEN);
      list.push(Buffer.alloc(1));
      await sent;
      assert.deepEqual((await next()).payload, data, way);
    }
  });

  it('copy what is sent without a callback before send() returns', async () => {
    const next = await lane.listen();
    const sender = lane.open();
    const hashes = SIZES.slice(0, 5).map((size) => {
      const data = lane.datagram(size);
      const hash = sha256(data);
      sender.send(data, lane.host);
      data.fill(OVERWRITTEN);
      return hash;
    });
    for (const hash of hashes) assert.equal(sha256((await next()).payload), hash);
  });

  it('join the parts of one datagram', async () => {
    const next = await lane.listen();
    const sender = lane.open();
    const parts = [lane.mark, Buffer.alloc(0), randomBytes(1), randomBytes(30_000), randomBytes(7)];
    const expected = sha256(...parts);
    assert.equal((await sender.send(parts, { address: lane.host })).bytes, 30_016);
    for (const part of parts.slice(1)) part.fill(OVERWRITTEN);
    assert.equal(sha256((await next()).payload), expected);
    const view = new Uint8Array(lane.datagram(64));
    sender.send([view.subarray(0, 3), view.subarray(3)], lane.host);
    assert.equal(sha256((await next()).payload), sha256(view));
  });

  it('send datagrams without a payload', async () => {
    const socket = lane.open();
    socket.bind(lane.host);
    const message = once(socket, 'message') as Promise<[Buffer, RawRemoteInfo]>;
    assert.equal((await lane.open().send(Buffer.alloc(0), { address: lane.host })).bytes, 0);
    const [data, rinfo] = await message;
    const size = family === 4 ? IPV4_HEADER_BYTES : 0;
    assert.deepEqual([data.length, rinfo.size], [size, size]);
  });

  it('send many with one call, in order, each with its own options', async () => {
    const next = await lane.listen({ receiveTos: true });
    const sender = lane.open();
    const address = lane.host;
    const list: (Uint8Array | RawDatagram)[] = [];
    const expected: [string, number][] = [];
    for (let i = 0; i < 150; i++) {
      const data = lane.datagram(16 + i);
      const tos = i % 3 === 0 ? 0x20 : 0;
      expected.push([sha256(data), tos]);
      if (tos > 0) list.push({ data: [data.subarray(0, 5), data.subarray(5)], address, tos });
      else list.push(data);
    }
    const bytes = expected.reduce((sum, _, i) => sum + 16 + i, 0);
    const report = await sender.sendMany(list, { address });
    assert.equal(report.bytes, bytes);
    for (const item of list) if (item instanceof Uint8Array) item.fill(OVERWRITTEN);
    for (const [hash, tos] of expected) {
      const { payload, rinfo } = await next();
      assert.deepEqual([sha256(payload), rinfo.tos], [hash, tos]);
    }
    assert.equal((await sender.sendMany([])).bytes, 0);
  });

  it('report with a failed sendMany() how many datagrams were sent', async () => {
    const next = await lane.listen();
    const sender = lane.open();
    const list = [lane.datagram(), lane.datagram(), Buffer.alloc(65_536), lane.datagram()];
    await assert.rejects(sender.sendMany(list, { address: lane.host }), {
      code: 'EMSGSIZE',
      sentDatagrams: 3,
    });
    // One that fails does not keep those behind it back, as none does that is lost on the way.
    const hashes = [list[0], list[1], list[3]].map((data) => sha256(data as Buffer));
    for (const hash of hashes) assert.equal(sha256((await next()).payload), hash);
  });

  it('need no address once connected, and receive from no other peer', async () => {
    const next = await lane.listen();
    const socket = lane.open();
    socket.connect(lane.host);
    await once(socket, 'connect');
    const data = lane.datagram();
    await socket.send(data, {});
    assert.equal(sha256((await next()).payload), sha256(data));
    const sent = await new Promise((resolve) => socket.send(lane.datagram(), (e) => resolve(e)));
    assert.equal(sent, null);
    await next();
    assert.throws(() => socket.connect(lane.host), { code: 'ERR_SOCKET_DGRAM_IS_CONNECTED' });
    socket.disconnect();
    assert.throws(() => socket.disconnect(), { code: 'ERR_SOCKET_DGRAM_NOT_CONNECTED' });
    const connected = new Promise<void>((resolve) => socket.connect(lane.host, resolve));
    await connected;
  });

  it("report a datagram's source, destination and marks", async () => {
    const next = await lane.listen({ packetInfo: true, receiveTos: true });
    await lane.open().send(lane.datagram(50), { address: lane.host, tos: 0xb8 });
    const { rinfo, header } = await next();
    assert.deepEqual(rinfo, {
      address: family === 4 ? '127.0.0.1' : '::1',
      family: family === 4 ? 'IPv4' : 'IPv6',
      size: 50 + header.length,
      destination: lane.host,
      interfaceIndex: 1, // the loopback device of every network namespace
      tos: 0xb8,
    });
    if (family === 4) assert.equal(header.readUInt8(1), 0xb8);
  });

  it('send from the given source and through the given interface', async () => {
    const next = await lane.listen({ packetInfo: true });
    const sender = lane.open();
    const source = family === 4 ? '127.9.8.7' : '::1';
    for (const way of [{ interface: 'lo' }, { interface: 1 }, {}]) {
      await sender.send(lane.datagram(), { address: lane.host, source, ...way });
      const { rinfo } = await next();
      assert.deepEqual([rinfo.address, rinfo.interfaceIndex], [source, 1]);
    }
  });

  it('stay on the interface that they are created for', async () => {
    const next = await lane.listen({ interface: 'lo' });
    const data = lane.datagram();
    await lane.open({ interface: 'lo' }).send(data, { address: lane.host });
    assert.equal(sha256((await next()).payload), sha256(data));
  });

  it('report every byte as copied, with the reason', async () => {
    const sender = lane.open();
    const small = await sender.send(lane.datagram(100), { address: lane.host });
    const large = await sender.send(lane.datagram(60_000), { address: lane.host });
    for (const report of [small, large]) {
      assert.deepEqual([report.copiedBytes, report.engine], [report.bytes, 'copy']);
      assert.equal(report.zeroCopyBytes + report.kernelCopiedBytes + report.unknownBytes, 0);
    }
    assert.equal(small.reason, 'below-threshold');
    assert.equal(large.reason, 'kernel-unsupported');
    const { engine, state, reason, stats, pendingBytes, pendingSends } = sender.zeroCopy;
    assert.deepEqual([engine, state, reason], ['copy', 'unsupported', 'kernel-unsupported']);
    assert.deepEqual([stats.copiedBytes, stats.zeroCopySends], [60_100, 0]);
    assert.deepEqual([pendingBytes, pendingSends], [0, 0]);
    await sender.zeroCopy.flush();
    assert.equal(lane.open({ zeroCopy: { engine: 'copy' } }).zeroCopy.reason, 'disabled');
  });

  it('copy even when zero copy is forced', async () => {
    const next = await lane.listen();
    const sender = lane.open({ zeroCopy: { engine: 'msg_zerocopy', threshold: 0 } });
    const data = lane.datagram(20_000);
    const report = await sender.send(data, { address: lane.host });
    assert.deepEqual([report.copiedBytes, report.reason], [20_000, 'kernel-unsupported']);
    assert.equal(sha256((await next()).payload), sha256(data));
  });

  it('report their address, their buffer sizes and their queue', async () => {
    const socket = lane.open({ recvBufferSize: 50_000, sendBufferSize: 60_000 });
    socket.bind(lane.host);
    await once(socket, 'listening');
    const { address } = socket.address();
    assert.equal(address, lane.host);
    // The kernel keeps as much again for its own structures: socket(7).
    assert.deepEqual([socket.getRecvBufferSize(), socket.getSendBufferSize()], [100_000, 120_000]);
    socket.setRecvBufferSize(40_000);
    socket.setSendBufferSize(30_000);
    assert.deepEqual([socket.getRecvBufferSize(), socket.getSendBufferSize()], [80_000, 60_000]);
    assert.deepEqual([socket.getSendQueueSize(), socket.getSendQueueCount()], [0, 0]);
    const data = lane.datagram(100);
    const sent = new Promise((resolve) => socket.send(data, lane.host, resolve));
    assert.deepEqual([socket.getSendQueueSize(), socket.getSendQueueCount()], [100, 1]);
    await sent;
    assert.deepEqual([socket.getSendQueueSize(), socket.getSendQueueCount()], [0, 0]);
    assert.equal(socket.ref(), socket);
    assert.equal(socket.unref(), socket);
  });

  it('count what arrives', async () => {
    const socket = lane.open();
    let heard = 0;
    socket.on('message', () => heard++);
    socket.bind(lane.host);
    const list = Array.from({ length: 20 }, () => lane.datagram());
    await lane.open().sendMany(list, { address: lane.host });
    await until('all have arrived', () => heard >= list.length);
    const stats = socket.zeroCopy.stats as unknown as Record<string, number>;
    assert.deepEqual([stats['receivedDatagrams'], stats['receiveDrops']], [heard, 0]);
  });
}

for (const family of [4, 6] as const) {
  describe(`raw sockets, over IPv${family}`, () => {
    if (process.geteuid?.() === 0) suite(family);
    else it('skipped: raw sockets need root (remedy: run as root, for instance with sudo)');
  });
}

describe('raw sockets, over IPv4 only', () => {
  if (process.geteuid?.() !== 0) {
    it('skipped: raw sockets need root (remedy: run as root, for instance with sudo)');
    return;
  }
  const lane = new Lane(4);
  after(() => lane.close());

  it('send with the configured TTL', async () => {
    const next = await lane.listen();
    const sender = lane.open();
    for (const ttl of [1, 64, 255]) {
      assert.equal(sender.setTTL(ttl), ttl);
      await sender.send(lane.datagram(), { address: lane.host });
      assert.equal((await next()).header.readUInt8(8), ttl);
    }
    for (const bad of [0, 256, -1]) assert.throws(() => sender.setTTL(bad));
  });

  it('send to broadcast addresses only with setBroadcast(true)', async () => {
    const sender = lane.open();
    const broadcast = { address: '127.255.255.255', interface: 'lo' };
    await assert.rejects(sender.send(lane.datagram(), broadcast), { code: 'EACCES' });
    sender.setBroadcast(true);
    await sender.send(lane.datagram(), broadcast);
    sender.setBroadcast(false);
    await assert.rejects(sender.send(lane.datagram(), broadcast), { code: 'EACCES' });
  });
});

describe('capabilities().raw', () => {
  it('reports whether raw sockets may be opened, and that they always copy', () => {
    const { raw } = capabilities();
    assert.equal(raw.open.support, process.geteuid?.() === 0 ? 'yes' : 'no');
    if (raw.open.support === 'no') assert.match(raw.open.reason ?? '', /CAP_NET_RAW|EPERM/);
    else assert.equal(raw.msg_zerocopy.support, 'no');
    assert.ok((raw.msg_zerocopy.reason ?? '') !== '');
  });
});
