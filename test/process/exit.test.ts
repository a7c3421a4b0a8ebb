// The end of a process that has memory pinned: what it waits for, what it gives up, and that no way
// out of it puts a wrong byte on the wire.
import assert from 'node:assert/strict';
import net from 'node:net';
import { type Arrival, Peer } from '../helpers/peer';
import { type Place } from '../../scripts/place';
import { describePlaces } from '../helpers/suites';
import { type Program, startProgram, stopPrograms } from '../helpers/program';
import type { ClosingArgument, ClosingEvent } from '../scenarios/closing-server';
import type { IdleArgument } from '../scenarios/idle-exit';
import type { BeforeExit, Pinned, SenderArgument, Stayed } from '../scenarios/pinning-sender';

const BYTES = 8 * 1024 * 1024;
/** The kernel accepts these although the peer does not read. */
const ACCEPTED_BYTES = 1024 * 1024;
/** EXIT_GRACE_MS of lib/native/reactor.ts and the native wait for late clones, with room for a slow host. */
const BOUNDED_EXIT_MS = 3_000;

interface Started {
  readonly peer: Peer;
  readonly sender: Program;
  readonly acceptedBytes: number;
}

// A sender that has memory pinned to a peer that does not read.
async function pin(place: Place, manner: Partial<SenderArgument>): Promise<Started> {
  const peer = await Peer.start(place);
  const given: SenderArgument = {
    port: peer.port,
    address: place.address('receiver'),
    then: 'ends',
    reading: 'reading',
    bytes: BYTES,
    ...manner,
  };
  const sender = startProgram('pinning-sender', given, { place });
  const { pinned } = await sender.next<Pinned>();
  return { peer, sender, acceptedBytes: pinned.acceptedBytes };
}

function assertIntact(arrival: Arrival, atLeast: number): void {
  assert.deepEqual({ wrong: arrival.wrong, how: arrival.how }, { wrong: 0, how: 'end' });
  assert.ok(arrival.bytes >= atLeast, `${arrival.bytes} of ${atLeast} accepted bytes arrived`);
}

describePlaces('exit with memory pinned', (getPlace) => {
  afterEach(stopPrograms);

  for (const then of ['ends', 'returns'] as const) {
    for (const reading of ['reading', 'paused'] as const) {
      // 'returns' and reading: the socket stays open for the peer's bytes, in plain Node too.
      if (then === 'returns' && reading === 'reading') continue;
      it(`a writer that ${then} while ${reading} keeps the process alive until all is released`, async () => {
        const { peer, sender } = await pin(getPlace(), { then, reading });
        assert.ok(sender.alive);
        peer.read();
        const { beforeExit } = await sender.next<BeforeExit>();
        assert.deepEqual(beforeExit, {
          pendingBytes: 0,
          writableLength: 0,
          released: BYTES / 2 ** 18,
        });
        assert.deepEqual(await sender.ended(), { code: 0, signal: null, stderr: '' });
        const arrival = await peer.nextArrival();
        assert.deepEqual(arrival, { bytes: BYTES, wrong: 0, how: 'end' });
      });
    }
  }

  it('a destroyed socket keeps the process alive until what was accepted is released', async () => {
    const { peer, sender, acceptedBytes } = await pin(getPlace(), { then: 'destroys' });
    assert.ok(sender.alive);
    peer.read();
    const { beforeExit } = await sender.next<BeforeExit>();
    assert.equal(beforeExit.pendingBytes, 0);
    assert.equal(beforeExit.released, BYTES / 2 ** 18, 'every callback, with or without an error');
    assert.deepEqual(await sender.ended(), { code: 0, signal: null, stderr: '' });
    assertIntact(await peer.nextArrival(), acceptedBytes);
  });

  it('an unref’ed sender keeps the process alive until the kernel has accepted its writes', async () => {
    const { peer, sender } = await pin(getPlace(), { then: 'unrefs and stays' });
    assert.ok((await sender.next<Stayed>()).stayed);
    peer.read();
    const { beforeExit } = await sender.next<BeforeExit>();
    const released = BYTES / 2 ** 18;
    assert.deepEqual(beforeExit, { pendingBytes: 0, writableLength: 0, released });
    assert.deepEqual(await sender.ended(), { code: 0, signal: null, stderr: '' });
    assert.deepEqual(await peer.nextArrival(), { bytes: BYTES, wrong: 0, how: 'end' });
  });

  it('an unref’ed sender keeps the process alive while a slow peer takes what was accepted', async () => {
    const { peer, sender } = await pin(getPlace(), { then: 'unrefs', bytes: ACCEPTED_BYTES });
    peer.readSlowly(64 * 1024, 100);
    const { beforeExit } = await sender.next<BeforeExit>();
    const released = ACCEPTED_BYTES / 2 ** 18;
    assert.deepEqual(beforeExit, { pendingBytes: 0, writableLength: 0, released });
    assert.deepEqual(await sender.ended(), { code: 0, signal: null, stderr: '' });
    assert.deepEqual(await peer.nextArrival(), { bytes: ACCEPTED_BYTES, wrong: 0, how: 'end' });
  });

  for (const then of ['unrefs', 'destroys', 'destroys and unrefs'] as const) {
    it(`a sender that ${then} waits a bounded time for a stalled peer, then resets`, async () => {
      const bytes = then === 'unrefs' ? ACCEPTED_BYTES : BYTES;
      const { peer, sender } = await pin(getPlace(), { then, bytes });
      const ending = await sender.ended(BOUNDED_EXIT_MS);
      assert.equal(ending.code, 0);
      assert.match(ending.stderr, /1 connection\(s\) were reset at exit/);
      peer.read();
      const arrival = await peer.nextArrival();
      assert.deepEqual({ wrong: arrival.wrong, how: arrival.how }, { wrong: 0, how: 'reset' });
    });

    if (then === 'destroys') continue;
    it(`a sender that ${then} delivers what its peer reads within that time`, async () => {
      const { peer, sender, acceptedBytes } = await pin(getPlace(), { then });
      peer.read();
      // Also those who wait are called, as in plain Node, where that comes at acceptance.
      const { beforeExit } = await sender.next<BeforeExit>();
      assert.equal(beforeExit.released, BYTES / 2 ** 18);
      assert.deepEqual(await sender.ended(BOUNDED_EXIT_MS), { code: 0, signal: null, stderr: '' });
      assertIntact(await peer.nextArrival(), acceptedBytes);
    });
  }

  const sudden = [
    { then: 'exits', what: 'process.exit()', code: 3, signal: null, stderr: /^$/ },
    { then: 'throws', what: 'an uncaught exception', code: 1, signal: null, stderr: /on purpose/ },
    { then: 'waits', what: 'SIGTERM', code: null, signal: 'SIGTERM', stderr: /^$/ },
    { then: 'waits', what: 'SIGKILL', code: null, signal: 'SIGKILL', stderr: /^$/ },
  ] as const;
  for (const { then, what, code, signal, stderr } of sudden) {
    it(`after ${what} everything accepted arrives intact`, async () => {
      const { peer, sender, acceptedBytes } = await pin(getPlace(), { then });
      if (signal !== null) sender.kill(signal);
      const ending = await sender.ended(BOUNDED_EXIT_MS);
      assert.deepEqual({ code: ending.code, signal: ending.signal }, { code, signal });
      assert.match(ending.stderr, stderr);
      peer.read();
      assertIntact(await peer.nextArrival(), acceptedBytes);
    });
  }
});

describe('an http server that is stopped while a client does not read', () => {
  afterEach(stopPrograms);

  for (const engine of ['auto', 'msg_zerocopy', 'io_uring'] as const) {
    it(`${engine}: the process ends soon, and no wrong byte is sent`, async () => {
      const given = { engine, bytes: BYTES, byte: 7 } satisfies ClosingArgument;
      const program = startProgram('closing-server', given);
      const { port = 0 } = await program.next<ClosingEvent>();
      const client = net.connect(port, '127.0.0.1').pause();
      client.write('GET / HTTP/1.1\r\nHost: here\r\n\r\n');
      assert.ok((await program.next<ClosingEvent>()).pinned);
      const ending = await program.ended(BOUNDED_EXIT_MS);
      assert.equal(ending.code, 0);
      assert.match(ending.stderr, /1 connection\(s\) were reset at exit/);
      const received: Buffer[] = [];
      client.on('error', () => undefined);
      // Node tells of the reset with an error, or not: that is its business.
      const closed = new Promise((resolve) => client.once('close', resolve));
      client.on('data', (chunk: Buffer) => received.push(chunk)).resume();
      await closed;
      const answer = Buffer.concat(received);
      const body = answer.subarray(answer.indexOf('\r\n\r\n') + 4);
      assert.ok(body.every((byte) => byte === given.byte));
    });
  }
});

describe('exit with nothing pinned', () => {
  afterEach(stopPrograms);

  const ways: IdleArgument['rest'][] = [
    'closed',
    'open but unreferenced',
    'never connected',
    'http server closed',
    'flushed and unreferenced by its server',
  ];
  for (const rest of ways) {
    it(`a process whose sockets are ${rest} ends promptly`, async () => {
      const times: number[] = [];
      // The fastest of three: a busy host delays some, waiting for a release would delay them all.
      for (let i = 0; i < 3; i++) {
        const program = startProgram('idle-exit', { rest });
        await program.next();
        const from = performance.now();
        assert.deepEqual(await program.ended(), { code: 0, signal: null, stderr: '' });
        times.push(performance.now() - from);
      }
      assert.ok(Math.min(...times) < 400, `took ${times.map(Math.round).join(', ')} ms`);
    });
  }
});
