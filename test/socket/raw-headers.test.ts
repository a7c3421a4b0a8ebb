// Packets whose IP header the program builds, and those to which the kernel puts one. Ordinary UDP
// sockets of Node's and the kernel's own echo say whether the headers are right.
import assert from 'node:assert/strict';
import { randomBytes, randomInt } from 'node:crypto';
import dgram from 'node:dgram';
import { on, once } from 'node:events';
import {
  createRawSocket,
  headers,
  type RawRemoteInfo,
  type RawSocketOptions,
  type ZeroCopyRawSocket,
} from '../../lib/index';
import { OVERWRITTEN } from '../../scripts/pattern';
import { sha256 } from '../helpers/loopback';
import { mayOpenRawSockets, ownedSockets } from '../helpers/owned-sockets';

const MARK_BYTES = 8;
const MTU_OF_LOOPBACK = 65_536;

describe('raw sockets and headers', () => {
  if (!mayOpenRawSockets()) return;

  const own = ownedSockets();

  function open(options: RawSocketOptions): ZeroCopyRawSocket {
    return own(createRawSocket(options));
  }

  /** A socket that receives; answers what yields the next datagram that ends with the mark. */
  async function listen(
    host: string,
    options: RawSocketOptions,
  ): Promise<(mark: Buffer) => Promise<[Buffer, RawRemoteInfo]>> {
    const socket = open(options);
    const messages = on(socket, 'message');
    socket.bind(host);
    await once(socket, 'listening');
    return async (mark) => {
      for (;;) {
        const { value } = (await messages.next()) as { value: [Buffer, RawRemoteInfo] };
        if (value[0].subarray(-MARK_BYTES).equals(mark)) return value;
      }
    };
  }

  /** An UDP socket of Node's own; answers its port, and what yields the next datagram. */
  async function plainReceiver(type: 'udp4' | 'udp6', host: string) {
    const socket = own(dgram.createSocket({ type, recvBufferSize: 400_000 }));
    const messages = on(socket, 'message');
    socket.bind(0, host);
    await once(socket, 'listening');
    const next = async (): Promise<[Buffer, dgram.RemoteInfo]> =>
      ((await messages.next()) as { value: [Buffer, dgram.RemoteInfo] }).value;
    return { port: socket.address().port, next };
  }

  function local4(): string {
    return `127.${randomInt(1, 255)}.${randomInt(1, 255)}.${randomInt(1, 255)}`;
  }

  function unassigned(): number {
    return randomInt(146, 253);
  }

  it('build a correct IPv4 header by themselves', async () => {
    const [host, protocol, mark] = [local4(), unassigned(), randomBytes(MARK_BYTES)];
    const next = await listen(host, { family: 4, protocol });
    const sender = open({ family: 4, protocol });
    await sender.send([randomBytes(93), mark], { address: host, tos: 0x10, source: '127.0.0.9' });
    const [packet] = await next(mark);
    const header = packet.subarray(0, 20);
    assert.equal(headers.internetChecksum(header), 0);
    // What the kernel chose itself apart, it is the header that we would have built.
    const ours = headers.ipv4({
      source: '127.0.0.9',
      destination: host,
      protocol,
      payloadLength: 101,
      tos: 0x10,
      identification: header.readUInt16BE(4),
      dontFragment: (header.readUInt8(6) & 0x40) !== 0,
    });
    assert.deepEqual(header, ours);
  });

  it('send a given IPv4 header as it is', async () => {
    const [host, protocol, mark] = [local4(), unassigned(), randomBytes(MARK_BYTES)];
    const next = await listen(host, { family: 4, protocol });
    const sender = open({ family: 4, protocol, headerIncluded: true });
    for (const payloadLength of [8, 9, 1500, 60_000]) {
      const payload = Buffer.concat([randomBytes(payloadLength - MARK_BYTES), mark]);
      const header = headers.ipv4({
        source: '127.0.0.77',
        destination: host,
        protocol,
        payloadLength,
        ttl: 3,
        tos: 0x88,
        identification: 0x1234,
        dontFragment: true,
      });
      const expected = sha256(header, payload);
      const report = await sender.send([header, payload], { address: host });
      assert.equal(report.bytes, 20 + payloadLength);
      payload.fill(OVERWRITTEN);
      header.fill(OVERWRITTEN);
      const [packet, rinfo] = await next(mark);
      assert.equal(sha256(packet), expected);
      assert.deepEqual([rinfo.address, rinfo.size], ['127.0.0.77', packet.length]);
    }
  });

  it('leave zero fields of a given IPv4 header to the kernel', async () => {
    const [host, protocol, mark] = [local4(), unassigned(), randomBytes(MARK_BYTES)];
    const next = await listen(host, { family: 4, protocol });
    const sender = open({ family: 4, protocol: 'raw', headerIncluded: true });
    const header = headers.ipv4({
      source: '0.0.0.0',
      destination: host,
      protocol,
      payloadLength: 8,
    });
    header.writeUInt16BE(0xdead, 2); // length and checksum are always the kernel's: raw(7)
    header.writeUInt16BE(0xbeef, 10);
    await sender.send([header, mark], { address: host });
    const [packet] = await next(mark);
    assert.equal(packet.readUInt16BE(2), 28);
    assert.equal(headers.internetChecksum(packet.subarray(0, 20)), 0);
    assert.notEqual(packet.readUInt32BE(12), 0);
    assert.notEqual(packet.readUInt16BE(4), 0);
  });

  it('send a given IPv6 header as it is', async () => {
    const [protocol, mark] = [unassigned(), randomBytes(MARK_BYTES)];
    const next = await listen('::1', { family: 6, protocol, receiveTos: true });
    for (const through of [protocol, 'raw'] as const) {
      const sender = open({ family: 6, protocol: through, headerIncluded: true });
      for (const payloadLength of [8, 9, 1500, 60_000]) {
        const payload = Buffer.concat([randomBytes(payloadLength - MARK_BYTES), mark]);
        const addresses = { source: '::1', destination: '::1' };
        const fields = { ...addresses, protocol, payloadLength, trafficClass: 0x88 };
        const expected = sha256(payload);
        const packet = Buffer.concat([headers.ipv6(fields), payload]);
        await sender.send(packet, { address: '::1' });
        packet.fill(OVERWRITTEN);
        const [received, rinfo] = await next(mark);
        assert.equal(sha256(received), expected);
        assert.deepEqual([rinfo.address, rinfo.tos], ['::1', 0x88]);
      }
    }
  });

  for (const [type, host] of [
    ['udp4', '127.0.0.1'],
    ['udp6', '::1'],
  ] as const) {
    const family = type === 'udp4' ? 4 : 6;

    it(`reach ${type} sockets with UDP headers and IP headers of their own`, async () => {
      const { port, next } = await plainReceiver(type, host);
      const sender = open({ family, protocol: 'raw', headerIncluded: true });
      const addresses = { source: host, destination: host };
      for (const bytes of [0, 1, 1400, 60_001]) {
        const payload = randomBytes(bytes);
        const ports = { sourcePort: 12_345, destinationPort: port };
        const udp = headers.udp({ ...addresses, ...ports, payload });
        const fields = { ...addresses, protocol: 17, payloadLength: 8 + bytes };
        const ip = family === 4 ? headers.ipv4(fields) : headers.ipv6(fields);
        const expected = sha256(payload);
        await sender.send([ip, udp, payload], { address: host });
        payload.fill(OVERWRITTEN);
        const [received, rinfo] = await next();
        assert.equal(sha256(received), expected);
        assert.deepEqual([rinfo.address, rinfo.port], [host, 12_345]);
      }
    });

    it(`reach ${type} sockets with UDP headers behind the kernel's IP header`, async () => {
      const { port, next } = await plainReceiver(type, host);
      const sender = open({ family, protocol: 'udp' });
      const addresses = { source: host, destination: host };
      const datagram = (text: string): [Buffer, Buffer] => {
        const payload = Buffer.from(text);
        const ports = { sourcePort: 54_321, destinationPort: port };
        return [headers.udp({ ...addresses, ...ports, payload }), payload];
      };
      const [wrong, payload] = datagram('with a wrong checksum');
      wrong.writeUInt16BE(wrong.readUInt16BE(6) ^ 1, 6);
      const list = [[wrong, payload], datagram('right')].map((data) => ({ data, address: host }));
      await sender.sendMany(list);
      // The first was sent before it and dropped by the kernel, so the checksum of the second counted.
      const [received, rinfo] = await next();
      assert.deepEqual([received.toString(), rinfo.port], ['right', 54_321]);
    });
  }

  it('are accepted without a UDP checksum over IPv4', async () => {
    const { port, next } = await plainReceiver('udp4', '127.0.0.1');
    const addresses = { source: '127.0.0.1', destination: '127.0.0.1' };
    const payload = Buffer.from('unprotected');
    const fields = { ...addresses, sourcePort: 1, destinationPort: port, payload };
    const udp = headers.udp({ ...fields, checksum: 'none' });
    await open({ family: 4, protocol: 'udp' }).send([udp, payload], { address: '127.0.0.1' });
    assert.equal((await next())[0].toString(), 'unprotected');
  });

  it('refuse packets that are shorter than the header they claim', async () => {
    for (const [family, host, least] of [
      [4, '127.0.0.1', 20],
      [6, '::1', 40],
    ] as const) {
      const sender = open({ family, protocol: unassigned(), headerIncluded: true });
      const range = { code: 'ERR_OUT_OF_RANGE' };
      for (const size of [0, 1, least - 1]) {
        const data = Buffer.alloc(size);
        assert.throws(() => void sender.send(data, { address: host }), range);
        assert.throws(() => void sender.send([data], host, () => undefined), range);
        assert.throws(() => void sender.sendMany([data], { address: host }), range);
      }
      assert.equal(sender.getSendQueueCount(), 0);
      // A socket of protocol 255 has a header included without being told: the kernel refuses.
      const raw = open({ family, protocol: 'raw' });
      const call = raw.send(Buffer.alloc(least - 1), { address: host });
      await assert.rejects(call, { code: 'EINVAL', syscall: 'send' });
    }
    const options = Buffer.alloc(59);
    options.writeUInt8(0x4f, 0); // a header of 60 bytes
    const sender = open({ family: 4, protocol: unassigned(), headerIncluded: true });
    await assert.rejects(sender.send(options, { address: '127.0.0.1' }), { code: 'EINVAL' });
  });

  it('refuse packets with a header that are larger than the MTU', async () => {
    for (const [family, host] of [
      [4, '127.0.0.1'],
      [6, '::1'],
    ] as const) {
      const sender = open({ family, protocol: unassigned(), headerIncluded: true });
      const call = sender.send(Buffer.alloc(MTU_OF_LOOPBACK + 1), { address: host });
      await assert.rejects(call, { code: 'EMSGSIZE', syscall: 'send' });
    }
  });
});
