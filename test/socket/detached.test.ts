// A buffer whose memory was transferred away. Node would send nothing of it and say nothing; here it is
// an error, and bytes are never sent in its place.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { connect, enableZeroCopy, type ZeroCopyOptions } from '../../lib/index';
import { isolated } from '../helpers/isolated';
import { addressOf, gather, loopback, sha256, STALLING_BYTES } from '../helpers/loopback';

const LARGE = 128 * 1024;
const DETACHED = { code: 'ERR_ZC_BUFFER_DETACHED', name: 'ZeroCopyError' };

/** Transfers the memory of `view` away. */
function detach(view: Uint8Array): void {
  structuredClone(view.buffer, { transfer: [view.buffer as ArrayBuffer] });
}

function fresh(fill: number, size = LARGE): Buffer {
  return Buffer.from(new ArrayBuffer(size)).fill(fill);
}

const ENGINES: readonly ZeroCopyOptions[] = [{ engine: 'msg_zerocopy' }, { engine: 'copy' }];

for (const zeroCopy of ENGINES) {
  describe(`a detached buffer, engine ${zeroCopy.engine}`, () => {
    const connections = loopback();

    it('is refused by write(), end() and send(), and nothing is sent', async () => {
      const { sender, receiver } = await connections.pair(zeroCopy);
      const gone = fresh(1);
      detach(gone);
      assert.throws(() => sender.write(gone), DETACHED);
      assert.throws(() => sender.write(gone, () => undefined), DETACHED);
      assert.throws(() => sender.end(gone), DETACHED);
      assert.throws(() => sender.end(gone, () => undefined), DETACHED);
      assert.throws(() => sender.send(gone), DETACHED);
      assert.throws(() => sender.send([fresh(2), gone]), DETACHED);
      assert.equal(sender.writable, true);
      const after = fresh(3);
      sender.end(after);
      assert.equal((await gather(receiver)).sha256, sha256(after));
    });

    for (const how of ['write', 'send'] as const) {
      it(`while it is queued by ${how}() behind a stalled write is an error`, async () => {
        const { sender, receiver } = await connections.pair(zeroCopy);
        sender.on('error', () => undefined);
        const stalled = Buffer.alloc(STALLING_BYTES, 1);
        sender.write(stalled);
        const gone = fresh(2);
        const settled =
          how === 'send'
            ? sender.send(gone).then(
                () => null,
                (error: Error) => error,
              )
            : new Promise<Error | null | undefined>((resolve) => sender.write(gone, resolve));
        detach(gone);
        const arrived = gather(receiver);
        const error = await settled;
        assert.equal((error as NodeJS.ErrnoException | null)?.code, DETACHED.code);
        sender.destroy();
        assert.equal((await arrived).sha256, sha256(stalled));
      });
    }

    it('while the socket is connecting is an error', async () => {
      const server = await connections.silentServer();
      const sender = connections.own(connect({ ...addressOf(server), zeroCopy }));
      sender.on('error', () => undefined);
      const gone = fresh(2);
      const sent = sender.send(gone);
      detach(gone);
      await assert.rejects(sent, DETACHED);
    });
  });
}

describe('a buffer that is detached', () => {
  const connections = loopback();

  it('while http keeps the response behind an earlier one cuts the connection, and throws nothing', async () => {
    const gone = fresh(2);
    const answers: (() => void)[] = [];
    const server = http.createServer((request, response) => {
      answers.push(() => response.end(request.url === '/first' ? 'first' : gone));
      if (answers.length < 2) return;
      answers[1]?.();
      detach(gone);
      // The second response is flushed when the first has finished, where no program could catch an error.
      answers[0]?.();
    });
    const failed = once(server, 'clientError') as Promise<[Error, net.Socket]>;
    server.on('clientError', (_error, socket) => socket.destroy());
    enableZeroCopy(server);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const client = connections.own(net.connect(addressOf(server)));
    client.on('error', () => undefined);
    client.write('GET /first HTTP/1.1\r\nHost: a\r\n\r\nGET /second HTTP/1.1\r\nHost: a\r\n\r\n');
    const chunks: Buffer[] = [];
    client.on('data', (chunk: Buffer) => chunks.push(chunk));
    const [error] = await failed;
    assert.equal((error as NodeJS.ErrnoException).code, DETACHED.code);
    await once(client, 'close');
    server.close();
    const arrived = Buffer.concat(chunks).toString('latin1');
    assert.match(arrived, /\r\n\r\nfirst/);
    assert.doesNotMatch(arrived, /\x02/);
  });

  it('while part of it waits for space ends the connection with an error', async () => {
    const { sender, receiver } = await connections.pair({ engine: 'msg_zerocopy' });
    const gone = fresh(1, STALLING_BYTES);
    const failed = once(sender, 'error') as Promise<[NodeJS.ErrnoException]>;
    const released = new Promise<Error | null | undefined>((resolve) =>
      sender.write(gone, resolve),
    );
    detach(gone);
    let wrong = 0;
    const arrived = gather(receiver, (chunk) => {
      for (const byte of chunk) if (byte !== 1) wrong++;
    });
    assert.equal((await failed)[0].code, DETACHED.code);
    assert.equal(((await released) as NodeJS.ErrnoException | null)?.code, DETACHED.code);
    const { bytes } = await arrived;
    assert.equal(wrong, 0);
    assert.ok(bytes > 0 && bytes < STALLING_BYTES, `${bytes} arrived`);
  });

  it('in a later part of a waiting write leaves no gap in the stream', async () => {
    const source = (chunk: Uint8Array): boolean => chunk[0] === 1;
    const { sender, receiver } = await connections.pair({ engine: 'msg_zerocopy', source });
    const failed = once(sender, 'error') as Promise<[NodeJS.ErrnoException]>;
    const [gone, behind] = [fresh(2), fresh(3)];
    sender.cork();
    // A segment without copying, which waits for space, and a copied one of two pieces.
    sender.write(Buffer.alloc(STALLING_BYTES, 1));
    sender.write(gone);
    sender.write(behind);
    sender.uncork();
    detach(gone);
    const seen = new Set<number>();
    const arrived = gather(receiver, (chunk) => {
      seen.add(chunk[0] as number).add(chunk[chunk.length - 1] as number);
    });
    assert.equal((await failed)[0].code, DETACHED.code);
    await arrived;
    assert.ok(!seen.has(3), 'bytes behind the gap were sent');
  });

  it('while the kernel references it is counted, with one process warning', async () => {
    const { answer } = await isolated(async ({ zc, net, events, warnings, turn }) => {
      const server = net.createServer((socket) => socket.resume()).listen(0, '127.0.0.1');
      await events.once(server, 'listening');
      const { port } = server.address() as import('node:net').AddressInfo;
      const zeroCopy = { engine: 'msg_zerocopy' } as const;
      const sender = zc.connect({ port, host: '127.0.0.1', zeroCopy });
      await events.once(sender, 'connect');
      const counts: number[] = [];
      for (let i = 0; i < 3; i++) {
        const gone = Buffer.from(new ArrayBuffer(40_960));
        const sent = new Promise((resolve) => sender.write(gone, resolve));
        structuredClone(gone.buffer, { transfer: [gone.buffer as ArrayBuffer] });
        await sent;
        counts.push(sender.zeroCopy.stats.detachedBuffers);
      }
      await turn();
      sender.destroy();
      server.close();
      return { counts, codes: warnings.map(({ code }) => code) };
    });
    assert.deepEqual(answer, { counts: [1, 2, 3], codes: ['ZC_DETACHED_IN_FLIGHT'] });
  });

  it('is not confused with text that encodes to no bytes', async () => {
    const { sender, receiver } = await connections.pair({ engine: 'msg_zerocopy' });
    const arrived = gather(receiver);
    sender.cork();
    sender.write('zz', 'hex');
    sender.write(Buffer.alloc(LARGE, 1));
    sender.uncork();
    await sender.zeroCopy.flush();
    assert.equal(sender.zeroCopy.stats.detachedBuffers, 0);
    sender.end();
    assert.equal((await arrived).bytes, LARGE);
  });
});
