// A signal cancels a send() while nothing of it was accepted: then no byte of it is sent, ever, because
// its memory is the caller's again the moment the promise rejects.
import assert from 'node:assert/strict';
import { getEventListeners, once } from 'node:events';
import type net from 'node:net';
import { connect, enableZeroCopy, type ZeroCopyOptions } from '../../lib/index';
import { addressOf, gather, loopback, sha256, STALLING_BYTES } from '../helpers/loopback';

const LARGE = 128 * 1024;

const ENGINES: readonly ZeroCopyOptions[] = [
  { engine: 'msg_zerocopy' },
  { engine: 'msg_zerocopy', threshold: 1 },
  { engine: 'copy' },
];

/** As the error of every aborted operation of Node's. */
function isAbortError(error: unknown): boolean {
  const { name, code } = error as NodeJS.ErrnoException;
  return name === 'AbortError' && code === 'ABORT_ERR';
}

for (const zeroCopy of ENGINES) {
  describe(`aborting a send, ${JSON.stringify(zeroCopy)}`, () => {
    const connections = loopback();

    it('before it begins sends nothing', async () => {
      const { sender, receiver } = await connections.pair(zeroCopy);
      const reason = new Error('changed my mind');
      const arrived = gather(receiver);
      await assert.rejects(
        sender.send(Buffer.alloc(LARGE), { signal: AbortSignal.abort(reason) }),
        (error: Error) => isAbortError(error) && error.cause === reason,
      );
      assert.equal(sender.writableLength, 0);
      sender.end();
      assert.equal((await arrived).bytes, 0);
    });

    it('behind a stalled write drops it, and its neighbours arrive', async () => {
      const { sender, receiver } = await connections.pair(zeroCopy);
      const [stalled, after] = [Buffer.alloc(STALLING_BYTES, 1), Buffer.alloc(LARGE, 3)];
      const cancelled = [Buffer.alloc(LARGE, 2), Buffer.alloc(10, 2), Buffer.alloc(LARGE, 2)];
      const abort = new AbortController();
      const first = sender.send(stalled);
      const second = sender.send(cancelled, { signal: abort.signal });
      const third = sender.send(after);
      abort.abort();
      await assert.rejects(second, isAbortError);
      for (const buffer of cancelled) buffer.fill(0xee);
      assert.equal(getEventListeners(abort.signal, 'abort').length, 0);
      const arrived = gather(receiver);
      assert.equal((await first).bytes, STALLING_BYTES);
      assert.equal((await third).bytes, LARGE);
      sender.end();
      assert.equal((await arrived).sha256, sha256(stalled, after));
    });

    it('under a cork sends nothing of it', async () => {
      const { sender, receiver } = await connections.pair(zeroCopy);
      const abort = new AbortController();
      sender.cork();
      sender.write('before');
      const sent = sender.send(Buffer.alloc(LARGE, 2), { signal: abort.signal });
      sender.write('after');
      abort.abort();
      await assert.rejects(sent, isAbortError);
      sender.uncork();
      const arrived = gather(receiver);
      sender.end();
      assert.equal((await arrived).sha256, sha256(Buffer.from('beforeafter')));
    });

    it('while the socket is connecting sends nothing of it', async () => {
      const server = await connections.silentServer();
      const sender = connections.own(connect({ ...addressOf(server), zeroCopy }));
      const abort = new AbortController();
      const data = Buffer.alloc(LARGE, 2);
      const sent = sender.send(data, { signal: abort.signal });
      abort.abort();
      // Either answer is right, but what it says must hold: rejected means that nothing is sent.
      const rejected = await sent.then(
        () => false,
        (error: unknown) => isAbortError(error) || assert.fail(String(error)),
      );
      const expected = rejected ? [] : [Buffer.from(data)];
      data.fill(0xee);
      const after = Buffer.alloc(LARGE, 3);
      sender.end(after);
      const [receiver] = await Promise.all([acceptedBy(server), once(sender, 'connect')]);
      assert.equal((await gather(receiver)).sha256, sha256(...expected, after));
    });

    it('after acceptance has no effect', async () => {
      const { sender, receiver } = await connections.pair(zeroCopy);
      const abort = new AbortController();
      const data = Buffer.alloc(STALLING_BYTES, 1);
      const sent = sender.send(data, { signal: abort.signal });
      abort.abort(); // part of it is in the send buffer
      const arrived = gather(receiver);
      const report = await sent;
      assert.equal(report.bytes, STALLING_BYTES);
      assert.equal(getEventListeners(abort.signal, 'abort').length, 0);
      sender.end();
      assert.equal((await arrived).sha256, sha256(data));
    });

    it('by a write() that was wrapped before the upgrade, and throws, sends nothing of it', async () => {
      const { sender: socket, receiver } = await connections.plainPair();
      const { write } = socket;
      socket.write = function (this: net.Socket, chunk: Buffer, ...rest: []) {
        if (chunk.length === LARGE + 1) throw new Error('no more');
        return write.call(this, chunk, ...rest);
      } as net.Socket['write'];
      const sender = enableZeroCopy(socket, zeroCopy);
      const [first, second] = [Buffer.alloc(LARGE, 1), Buffer.alloc(LARGE + 1, 2)];
      await assert.rejects(sender.send([first, second, first]), /no more/);
      assert.equal(sender.zeroCopy.pendingBytes, 0);
      first.fill(0xee);
      const arrived = gather(receiver);
      await sender.send(first);
      sender.end('after');
      assert.equal((await arrived).sha256, sha256(first, Buffer.from('after')));
    });
  });
}

function acceptedBy(server: net.Server): Promise<net.Socket> {
  return once(server, 'connection').then(([socket]) => socket as net.Socket);
}
