// Raw sockets between two network namespaces: a real device, an MTU of 1500, fragments, and losses.
import assert from 'node:assert/strict';
import { rigSuite } from '../helpers/suites';
import {
  assertOnlyLost,
  FAMILIES,
  type Known,
  PROTOCOL,
  type SendParams,
  type Tools,
  withEnds,
} from './raw-ends';

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

rigSuite('raw sockets, over the rig', (getRig) => {
  withEnds(getRig, (ends) => {
    for (const family of FAMILIES) {
      it(`deliver datagrams of every size over IPv${family}, fragmented where necessary`, async () => {
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

      it(`deliver payloads behind the program's own header over IPv${family}`, async () => {
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

      it(`receive the other machine's echo reply over IPv${family}`, async () => {
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

      it(`lose over IPv${family} only what the network loses, and release everything`, async () => {
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
