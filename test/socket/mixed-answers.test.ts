// Answers of one connection that are copied and not copied in turn, by their size. Every byte is compared, and
// every body is overwritten when it is released.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import type net from 'node:net';
import { loadNative, type Native } from '../../lib/native/binding';
import { enableZeroCopy } from '../../lib/index';
import { seededRandom } from '../../scripts/random';

const KIB = 1024;
const SIZES = [1, 4, 12, 20, 64, 300].map((size) => size * KIB);
const CONNECTIONS = 8;
const REQUESTS = 6_000;
const LOCAL = '127.0.0.1';

/** The byte at `offset` of the body that answers `number`. */
function fill(body: Buffer, number: number): Buffer {
  body.fill(number % 251);
  body.writeUInt32LE(number, 0);
  body.writeUInt32LE(number, body.length - 4);
  return body;
}

type Counted = 'sendNow' | 'writeAnswer';

/** Counts calls of the addon while the present suite runs. */
function counting(...names: Counted[]): Record<Counted, number> {
  const { native } = loadNative() as { native: Native };
  const counts = { sendNow: 0, writeAnswer: 0 };
  const real = new Map<Counted, unknown>();
  before(() => {
    for (const name of names) {
      const call = native[name] as (...args: unknown[]) => number;
      real.set(name, call);
      const counted = (...args: unknown[]): number => {
        counts[name]++;
        return call(...args);
      };
      Object.assign(native, { [name]: counted });
    }
  });
  after(() => Object.assign(native, Object.fromEntries(real)));
  return counts;
}

for (const engine of ['auto', 'msg_zerocopy'] as const) {
  describe(`responses of many sizes, engine ${engine}`, () => {
    const counts = counting('sendNow', 'writeAnswer');

    it('arrive as written', async () => {
      const random = seededRandom(23);
      let released = 0;
      let onAll: () => void = () => undefined;
      const all = new Promise<void>((resolve) => (onAll = resolve));
      const server = http.createServer((request, response) => {
        const number = Number(request.url?.slice(1));
        const size = SIZES[Math.floor(random() * SIZES.length)] as number;
        const body = fill(Buffer.allocUnsafeSlow(size), number);
        response.setHeader('content-length', size);
        response.end(body, () => {
          body.fill(0xee);
          if (++released === REQUESTS) onAll();
        });
      });
      enableZeroCopy(server, { engine });
      server.listen(0, LOCAL);
      await once(server, 'listening');
      const { port } = server.address() as net.AddressInfo;
      const agent = new http.Agent({ keepAlive: true, maxSockets: CONNECTIONS });
      const ask = async (number: number): Promise<void> => {
        const request = http.get({ port, host: LOCAL, agent, path: `/${number}` });
        const [response] = (await once(request, 'response')) as [http.IncomingMessage];
        const parts: Buffer[] = [];
        for await (const part of response) parts.push(part as Buffer);
        const body = Buffer.concat(parts);
        assert.equal(body.length, Number(response.headers['content-length']));
        assert.ok(body.equals(fill(Buffer.alloc(body.length), number)), `answer ${number}`);
      };
      let next = 0;
      const client = async (): Promise<void> => {
        while (next < REQUESTS) await ask(next++);
      };
      await Promise.all(Array.from({ length: CONNECTIONS }, client));
      agent.destroy();
      server.close();
      await once(server, 'close');
      await all;
      // Answers went both ways, or this shows nothing.
      assert.ok(counts.sendNow > REQUESTS / 50, `${counts.sendNow} were copied`);
      // The kernel copies over loopback, so that zero copy pauses after some.
      assert.ok(counts.writeAnswer > 0, 'none went to an engine');
    });
  });
}

for (const engine of ['io_uring', 'msg_zerocopy'] as const) {
  describe(`responses with long headers, engine ${engine}`, () => {
    for (const length of [3_900, 4_096, 4_097, 8_000]) {
      it(`arrive whole with a header of ${length} characters that may be staged`, async () => {
        const value = 'v'.repeat(length - 200);
        const body = Buffer.allocUnsafeSlow(200 * KIB).fill('b');
        const server = http.createServer((_request, response) => {
          response.setHeader('x-long', value);
          response.setHeader('content-length', body.length);
          response.end(body);
        });
        enableZeroCopy(server, { engine, threshold: 65_536, maxStagedBytes: 65_536 });
        server.listen(0, LOCAL);
        await once(server, 'listening');
        const { port } = server.address() as net.AddressInfo;
        for (let i = 0; i < 4; i++) {
          const request = http.get({ port, host: LOCAL, maxHeaderSize: 32 * KIB });
          const [response] = (await once(request, 'response')) as [http.IncomingMessage];
          const parts: Buffer[] = [];
          for await (const part of response) parts.push(part as Buffer);
          assert.equal(response.headers['x-long'], value);
          assert.ok(Buffer.concat(parts).equals(body));
        }
        server.close();
        server.closeAllConnections();
        await once(server, 'close');
      });
    }
  });
}
