// Writes that are copied at once, by a system call of ours: what the kernel takes only a part of, and what it
// refuses. The addon's call is made to answer so; bytes go to a real socket, and each buffer is overwritten
// when it is released.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { constants as osConstants } from 'node:os';
import { loadNative, type Native } from '../../lib/native/binding';
import { connect, type ZeroCopyOptions } from '../../lib/index';
import { gather, loopback, sha256, type Upgraded } from '../helpers/loopback';
import { randomBytes, seededRandom } from '../../scripts/random';

type SendNow = Native['sendNow'];

const HEAD = `HTTP/1.1 200 OK\r\nServer: ü\r\nContent-Length: 9000\r\n\r\n`;
const BODY_BYTES = 9_000;
const ANSWER_BYTES = HEAD.length + BODY_BYTES;
/** Of every engine but 'copy' this is where copied bytes go. */
const ENGINES: readonly ZeroCopyOptions[] = [
  { engine: 'msg_zerocopy' },
  { engine: 'auto', threshold: 1_000_000 },
];

/** Puts `instead` in the place of the addon's call, for the present test. */
function replacing(): (instead: (real: SendNow) => SendNow) => void {
  const { native } = loadNative() as { native: Native };
  let real: SendNow;
  before(() => (real = native.sendNow));
  afterEach(() => Object.assign(native, { sendNow: real }));
  return (instead) => Object.assign(native, { sendNow: instead(real) });
}

interface Answered {
  readonly fired: (string | undefined)[];
  readonly expected: string;
}

/** Writes a header in text and a body, as http does, some times over. */
async function answer(sender: Upgraded, times: number): Promise<Answered> {
  const random = seededRandom(11);
  const fired: Answered['fired'] = [];
  const written: Uint8Array[] = [];
  for (let i = 0; i < times; i++) {
    const body = randomBytes(random, BODY_BYTES);
    written.push(Buffer.from(HEAD, 'latin1'), Buffer.from(body));
    await new Promise<void>((resolve) => {
      sender.cork();
      sender.write(HEAD, 'latin1');
      sender.write(body, (error) => {
        fired.push((error as NodeJS.ErrnoException | null | undefined)?.code);
        body.fill(0xee);
        resolve();
      });
      sender.uncork();
    });
  }
  return { fired, expected: sha256(...written) };
}

for (const zeroCopy of ENGINES) {
  describe(`a write copied at once, ${JSON.stringify(zeroCopy)}`, () => {
    const connections = loopback();
    const replace = replacing();

    async function arrivesWhole(times: number): Promise<Upgraded> {
      const { sender, receiver } = await connections.pair(zeroCopy);
      const arrived = gather(receiver);
      const { fired, expected } = await answer(sender, times);
      assert.deepEqual(fired, Array(times).fill(undefined));
      const total = times * ANSWER_BYTES;
      assert.equal(sender.bytesWritten, total);
      assert.equal(sender.zeroCopy.stats.copiedBytes, total);
      assert.equal(sender.zeroCopy.stats.zeroCopyBytes, 0);
      sender.end();
      const { bytes, sha256: hash } = await arrived;
      assert.deepEqual({ bytes, hash }, { bytes: total, hash: expected });
      return sender;
    }

    it('goes in one call of the addon, and not through Node', async () => {
      let calls = 0;
      replace((real) => (...args) => {
        calls++;
        return real(...args);
      });
      const sender = await arrivesWhole(5);
      assert.equal(calls, 5);
      assert.equal((sender as unknown as { _bytesDispatched: number })._bytesDispatched, 0);
    });

    // In the header, at its end, in the body, and all but one byte.
    for (const taken of [1, HEAD.length - 1, HEAD.length, HEAD.length + 1, ANSWER_BYTES - 1]) {
      it(`of which the kernel takes ${taken} bytes is finished by Node`, async () => {
        replace((real) => (fd, text, body, encoding) => {
          const ofBody = body?.subarray(0, Math.max(0, taken - text.length));
          return real(fd, text.slice(0, taken), ofBody, encoding);
        });
        await arrivesWhole(5);
      });
    }

    // Also in the middle of a character.
    for (const taken of [1, 2, 9, 10, 11]) {
      for (const encoding of ['utf8', 'latin1'] as const) {
        it(`of ${encoding} text of which the kernel takes ${taken} bytes is finished by Node`, async () => {
          const text = encoding === 'utf8' ? 'ü€😀 ASCII '.repeat(9) : 'ü ASCII '.repeat(9);
          const bytes = Buffer.from(text, encoding);
          replace((real) => (fd, given) => {
            assert.equal(given, text);
            return real(fd, '', bytes.subarray(0, taken), 0);
          });
          const { sender, receiver } = await connections.pair(zeroCopy);
          const arrived = gather(receiver);
          for (let i = 0; i < 3; i++)
            await new Promise((resolve) => sender.write(text, encoding, resolve));
          assert.equal(sender.bytesWritten, 3 * bytes.length);
          sender.end();
          assert.equal((await arrived).sha256, sha256(bytes, bytes, bytes));
        });
      }
    }

    for (const name of ['EAGAIN', 'ENOBUFS', 'EBADF', 'ENOTSOCK', 'EINVAL'] as const) {
      it(`that fails with ${name} is left to Node`, async () => {
        replace(() => () => -osConstants.errno[name]);
        await arrivesWhole(3);
      });
    }

    for (const name of ['EPIPE', 'ECONNRESET', 'ETIMEDOUT'] as const) {
      it(`that fails with ${name} fails the socket as Node's would`, async () => {
        replace(() => () => -osConstants.errno[name]);
        const { sender } = await connections.pair(zeroCopy);
        const failed = new Promise<NodeJS.ErrnoException>((resolve) =>
          sender.once('error', resolve),
        );
        const { fired } = await answer(sender, 1);
        assert.deepEqual(fired, [name]);
        const { code, errno, syscall, message } = await failed;
        assert.deepEqual(
          { code, errno, syscall, message },
          {
            code: name,
            errno: -osConstants.errno[name],
            syscall: 'write',
            message: `write ${name}`,
          },
        );
        assert.equal(sender.destroyed, true);
      });
    }

    // Its number may be another connection's by now.
    it("is not sent when the handle was closed behind the socket's back", async () => {
      const { sender, receiver } = await connections.pair(zeroCopy);
      const arrived = gather(receiver);
      await answer(sender, 1);
      const internal = sender as unknown as { _handle: { close(done: () => void): void } | null };
      await new Promise<void>((resolve) => internal._handle?.close(resolve));
      let calls = 0;
      replace(() => () => ++calls);
      try {
        sender.write(Buffer.alloc(BODY_BYTES));
      } catch {
        // What Node makes of it is its business: Node 20 stumbles over the missing error number.
      }
      assert.equal(calls, 0);
      internal._handle = null;
      sender.destroy();
      assert.equal((await arrived).bytes, ANSWER_BYTES);
    });
  });
}

for (const zeroCopy of [...ENGINES, { engine: 'copy' }] as const) {
  describe(`an empty write while the socket connects, ${JSON.stringify(zeroCopy)}`, () => {
    it('calls back after the connection is made, as in plain Node', async () => {
      const server = net.createServer((peer) => peer.resume().on('end', () => peer.end()));
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      const { port } = server.address() as net.AddressInfo;
      const order: string[] = [];
      const socket = connect({ port, host: '127.0.0.1', zeroCopy });
      socket.once('connect', () => order.push('connect'));
      await new Promise<void>((resolve) =>
        socket.write('', 'latin1', () => {
          order.push('callback');
          resolve();
        }),
      );
      assert.deepEqual(order, ['connect', 'callback']);
      socket.end();
      await once(socket, 'close');
      server.close();
    });
  });
}

describe('a write with the engine switched off', () => {
  const connections = loopback();
  const replace = replacing();

  it('is left to Node', async () => {
    replace(() => () => assert.fail('the addon was called'));
    const { sender, receiver } = await connections.pair({ engine: 'copy' });
    const arrived = gather(receiver);
    const { expected } = await answer(sender, 3);
    sender.end();
    assert.equal((await arrived).sha256, expected);
  });
});
