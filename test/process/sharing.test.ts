// Sockets whose descriptor another process gets while this one keeps it: a child's standard stream, or a
// message that leaves the socket open here.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { enableZeroCopy } from '../../lib/index';
import { gather, loopback, sha256 } from '../helpers/loopback';
import { Peer } from '../helpers/peer';
import { type Place } from '../../scripts/place';
import { describePlaces } from '../helpers/suites';
import { startProgram, stopPrograms } from '../helpers/program';
import { forEachTestNode } from '../helpers/test-nodes';
import type { SharingArgument, SharingEvent } from '../scenarios/sharing';

const MANNERS = ['stdio', 'number', 'message', 'message to an earlier child'] as const;
const PARTS = [1024 * 1024, 32 * 1024, 300_000] as const;

type Manner = Pick<SharingArgument, 'engine' | 'manner' | 'start' | 'end'>;

async function share(place: Place, manner: Manner, node = process.execPath): Promise<void> {
  const peer = await Peer.start(place);
  const given = { port: peer.port, address: place.address('receiver'), parts: PARTS, ...manner };
  const parent = startProgram('sharing', given, { place, node });
  const { pinned = 0 } = await parent.next<SharingEvent>();
  assert.ok(pinned > 0, 'nothing was pinned');
  assert.ok((await parent.next<SharingEvent>()).turns, 'the loop stands still');
  peer.read();
  const { released } = await parent.next<SharingEvent>();
  assert.deepEqual(released, { reason: 'shared-descriptor', pendingBytes: 0 });
  assert.deepEqual(await parent.ended(), { code: 0, signal: null, stderr: '' });
  const bytes = PARTS[0] + PARTS[1] + (manner.end === 'end' ? PARTS[2] : 0);
  assert.deepEqual(await peer.nextArrival(), { bytes, wrong: 0, how: 'end' });
}

describePlaces('a descriptor shared with a child process', (getPlace) => {
  afterEach(stopPrograms);

  for (const engine of ['auto', 'msg_zerocopy', 'io_uring'] as const) {
    for (const manner of MANNERS) {
      it(`${engine}, by ${manner}: the event loop keeps turning, and the child's bytes follow the parent's`, () =>
        share(getPlace(), { engine, manner, start: 'at once', end: 'end' }));
    }

    it(`${engine}: the event loop keeps turning when everything is in the kernel already`, () =>
      share(getPlace(), { engine, manner: 'stdio', start: 'when accepted', end: 'end' }));

    it(`${engine}: the child's connection survives destroy() in the parent`, () =>
      share(getPlace(), { engine, manner: 'stdio', start: 'when accepted', end: 'destroy' }));
  }

  forEachTestNode((node, version) => {
    it(`${version}: the event loop keeps turning, and the child's bytes follow the parent's`, () =>
      share(getPlace(), { engine: 'auto', manner: 'stdio', start: 'at once', end: 'end' }, node));
  });
});

describe('a descriptor that a child process had before the upgrade', () => {
  const connections = loopback();

  it('makes sends copy, with a reason, and every byte arrives', async () => {
    const server = await connections.listen(net.createServer({ pauseOnConnect: true }));
    const accepted = once(server, 'connection') as Promise<[net.Socket]>;
    const { port } = server.address() as net.AddressInfo;
    const plain = connections.own(net.connect(port));
    const arrived = gather((await accepted)[0]);
    const child = spawn('cat', { stdio: ['pipe', plain, 'inherit'] });
    const sender = enableZeroCopy(plain, { engine: 'msg_zerocopy', threshold: 1 });
    // The child made the description blocking: no more than there is room for.
    const mine = Buffer.alloc(60_000, 1);
    const { copiedBytes, reason } = await sender.send(mine);
    assert.deepEqual(
      { copiedBytes, reason },
      { copiedBytes: mine.length, reason: 'shared-descriptor' },
    );
    child.stdin.end(Buffer.alloc(1000, 2));
    await once(child, 'exit');
    sender.end();
    assert.equal((await arrived).sha256, sha256(mine, Buffer.alloc(1000, 2)));
  });
});
