// Echo with the kernel, and what the kernel is asked to leave out: filters by ICMP type, programs, and
// the checksum that IPv6 raw sockets can leave to it.
import assert from 'node:assert/strict';
import { randomBytes, randomInt } from 'node:crypto';
import { on, once } from 'node:events';
import {
  type BpfInstruction,
  createRawSocket,
  headers,
  type RawRemoteInfo,
  type RawSocketOptions,
  type ZeroCopyRawSocket,
} from '../../lib/index';
import { sha256 } from '../helpers/loopback';
import { mayOpenRawSockets, ownedSockets } from '../helpers/owned-sockets';

const IPV4_HEADER_BYTES = 20;
const MARK_BYTES = 4;

// Opcodes of classic BPF: linux/bpf_common.h.
const LOAD_WORD = 0x20; // BPF_LD | BPF_W | BPF_ABS
const JUMP_IF_EQUAL = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const ANSWER = 0x06; // BPF_RET | BPF_K

/** Takes datagrams that have `word` at `offset`, and of each no more than `most` bytes. */
function takesWord(offset: number, word: number, most = 0xffffffff): BpfInstruction[] {
  return [
    { code: LOAD_WORD, jt: 0, jf: 0, k: offset },
    { code: JUMP_IF_EQUAL, jt: 0, jf: 1, k: word },
    { code: ANSWER, jt: 0, jf: 0, k: most },
    { code: ANSWER, jt: 0, jf: 0, k: 0 },
  ];
}

describe('raw ICMP sockets', () => {
  if (!mayOpenRawSockets()) return;

  const own = ownedSockets();

  function open(options: RawSocketOptions): ZeroCopyRawSocket {
    return own(createRawSocket(options));
  }

  /** Yields what a socket hears, without IP headers. */
  function hear(socket: ZeroCopyRawSocket, family: 4 | 6): () => Promise<[Buffer, RawRemoteInfo]> {
    const messages = on(socket, 'message');
    return async () => {
      const { value } = (await messages.next()) as { value: [Buffer, RawRemoteInfo] };
      const [data, rinfo] = value;
      return [data.subarray(family === 4 ? IPV4_HEADER_BYTES : 0), rinfo];
    };
  }

  for (const { family, host, request, reply } of [
    { family: 4, host: '127.0.0.1', request: 8, reply: 0 },
    { family: 6, host: '::1', request: 128, reply: 129 },
  ] as const) {
    const protocol = family === 4 ? 'icmp' : 'icmpv6';
    const echo = { family, kind: 'request', source: host, destination: host } as const;

    it(`receive the kernel's echo reply over IPv${family}`, async () => {
      const socket = open({ family, protocol, filter: { icmpTypes: [reply] } });
      const next = hear(socket, family);
      const identifier = randomInt(65_536);
      const sent: string[] = [];
      const list = [0, 1, 56, 1000, 30_001].map((bytes, sequence) => {
        const payload = randomBytes(bytes);
        sent.push(sha256(payload));
        const header = headers.icmpEcho({ ...echo, identifier, sequence, payload });
        return { data: [header, payload], address: host };
      });
      await socket.sendMany(list);
      const heard: string[] = [];
      while (heard.length < sent.length) {
        const [message, rinfo] = await next();
        assert.equal(message.readUInt8(0), reply, 'the filter lets nothing else pass');
        if (message.readUInt16BE(4) !== identifier) continue; // another program's
        assert.deepEqual([rinfo.address, message.readUInt16BE(6)], [host, heard.length]);
        heard.push(sha256(message.subarray(8)));
        if (family === 4) assert.equal(headers.internetChecksum(message), 0);
      }
      assert.deepEqual(heard, sent);
    });

    it(`receive both request and reply over IPv${family} without a filter, or with both types`, async () => {
      for (const filter of [undefined, { icmpTypes: [request, reply] }]) {
        const socket = open({ family, protocol, ...(filter === undefined ? {} : { filter }) });
        const next = hear(socket, family);
        const identifier = randomInt(65_536);
        const payload = randomBytes(16);
        const header = headers.icmpEcho({ ...echo, identifier, sequence: 1, payload });
        await socket.send([header, payload], { address: host });
        const types: number[] = [];
        while (types.length < 2) {
          const [message] = await next();
          if (message.readUInt16BE(4) === identifier) types.push(message.readUInt8(0));
        }
        assert.deepEqual(types, [request, reply]);
      }
    });

    it(`receive over IPv${family} only what a BPF program passes, cut to its length`, async () => {
      const experimental = randomInt(146, 253);
      const at = family === 4 ? IPV4_HEADER_BYTES : 0;
      const mark = randomBytes(MARK_BYTES);
      const program = takesWord(at, mark.readUInt32BE(0));
      const all = hear(open({ family, protocol: experimental, filter: { program } }), family);
      const few = takesWord(at, mark.readUInt32BE(0), at + 6);
      const some = hear(open({ family, protocol: experimental, filter: { program: few } }), family);
      const sender = open({ family, protocol: experimental });
      const other = Buffer.from(mark.map((byte) => ~byte));
      const wanted = [mark, randomBytes(100)];
      const refused = { data: [other, randomBytes(100)], address: host };
      const short = { data: mark.subarray(0, 3), address: host }; // a load beyond the end refuses
      await sender.sendMany([refused, short, { data: wanted, address: host }, refused]);
      await sender.send(mark, { address: host });
      assert.equal(sha256((await all())[0]), sha256(...wanted));
      assert.deepEqual((await all())[0], mark);
      const [cut, rinfo] = await some();
      assert.deepEqual(cut, Buffer.concat(wanted).subarray(0, 6));
      assert.equal(rinfo.size, at + 6);
    });
  }

  it('refuse invalid filters', () => {
    const attempt = (filter: unknown, protocol = 'icmp', family = 4) => {
      return () => open({ family, protocol, filter } as RawSocketOptions);
    };
    const range = { code: 'ERR_OUT_OF_RANGE' };
    const type = { code: 'ERR_INVALID_ARG_TYPE' };
    assert.throws(attempt({ icmpTypes: [-1] }), range);
    assert.throws(attempt({ icmpTypes: [256] }, 'icmpv6', 6), range);
    assert.throws(attempt({ icmpTypes: [32] }), range); // ICMP_FILTER has 32 bits: raw(7)
    assert.throws(attempt({ icmpTypes: 8 }), type);
    assert.throws(attempt({ icmpTypes: ['8'] }), type);
    assert.throws(attempt({ program: 'tcp' }), type);
    assert.throws(attempt({ program: [{ code: 65_536, jt: 0, jf: 0, k: 0 }] }), range);
    assert.throws(attempt({ program: [{ code: 6, jt: 256, jf: 0, k: 0 }] }), range);
    assert.throws(attempt({ program: [{ code: 6, jt: 0, jf: 0, k: 2 ** 32 }] }), range);
    assert.throws(attempt({ program: [{ code: 6 }] }), type);
    // The kernel checks programs: this one runs off its end.
    const endless = [{ code: LOAD_WORD, jt: 0, jf: 0, k: 0 }];
    assert.throws(attempt({ program: endless }), { code: 'EINVAL' });
    assert.throws(attempt('icmp'), type);
  });

  it('leave the checksum of any IPv6 protocol to the kernel, and check it on arrival', async () => {
    const protocol = randomInt(146, 253);
    const mark = randomBytes(MARK_BYTES);
    const datagram = (text: string): Buffer => {
      return Buffer.concat([Buffer.alloc(4), mark, Buffer.from(text)]);
    };
    const plain = open({ family: 6, protocol });
    const asSent = hear(plain, 6);
    const checked = hear(open({ family: 6, protocol, checksumOffset: 2 }), 6);
    await plain.send(datagram('without a checksum'), { address: '::1' });
    const sender = open({ family: 6, protocol, checksumOffset: 2 });
    const data = datagram('with one');
    await sender.send(data, { address: '::1' });
    assert.deepEqual(data, datagram('with one'), "the caller's memory is left as it is");
    const [first] = await asSent();
    const [second] = await asSent();
    assert.deepEqual(first, datagram('without a checksum'));
    assert.deepEqual(second.subarray(4), data.subarray(4));
    // Pseudo header of RFC 8200, 8.1, from the header that the packet had.
    const fields = { source: '::1', destination: '::1', protocol, payloadLength: data.length };
    const ip = headers.ipv6(fields);
    const rest = Buffer.from([0, 0, 0, data.length, 0, 0, 0, protocol]);
    assert.equal(headers.internetChecksum(ip.subarray(8), rest, second), 0);
    // A socket that checks did not hear of the first.
    assert.deepEqual((await checked())[0], second);
  });

  it('refuse checksum offsets that the kernel cannot use', () => {
    const attempt = (options: object) => {
      return () => open({ family: 6, protocol: 200, ...options } as RawSocketOptions);
    };
    for (const checksumOffset of [-2, 0.5, NaN]) {
      assert.throws(attempt({ checksumOffset }), { code: 'ERR_OUT_OF_RANGE' });
    }
    assert.throws(attempt({ checksumOffset: '2' }), { code: 'ERR_INVALID_ARG_TYPE' });
    assert.throws(attempt({ checksumOffset: 3 }));
    assert.throws(attempt({ checksumOffset: 2, family: 4 }));
  });

  it('fail a datagram that ends before its checksum', async () => {
    const sender = open({ family: 6, protocol: 200, checksumOffset: 10 });
    await assert.rejects(sender.send(Buffer.alloc(11), { address: '::1' }), { code: 'EINVAL' });
    await sender.send(Buffer.alloc(12), { address: '::1' });
  });

  it('start to receive with the first listener, even without bind()', async () => {
    const socket = open({ family: 4, protocol: 'icmp', filter: { icmpTypes: [0] } });
    const identifier = randomInt(65_536);
    const heard = new Promise<void>((resolve) => {
      socket.on('message', (data: Buffer) => {
        if (data.readUInt16BE(IPV4_HEADER_BYTES + 4) === identifier) resolve();
      });
    });
    const payload = Buffer.alloc(0);
    const header = headers.icmpEcho({
      family: 4,
      kind: 'request',
      identifier,
      sequence: 0,
      payload,
    });
    const sent = once(socket, 'message');
    await socket.send(header, { address: '127.0.0.1' });
    await Promise.all([heard, sent]);
  });
});
