// Frames that cannot be sent: too short, too long, more than the device takes by now. The error says
// so, nothing of them is sent, and those behind them are.
import assert from 'node:assert/strict';
import { headers, type ZeroCopyPacketSocket } from '../../lib/index';
import type { FarUdp } from './packet-far';
import { EXPERIMENTAL, type Outbox } from '../helpers/packet-frames';
import {
  assertIdle,
  assertSent,
  failureOf,
  outcomeOf,
  type Outcome,
  reserveFor,
  type Ring,
  ringOf,
  scenario,
} from './packet-scenario';
import { ip, LINK_HEADER, setMtu, tc } from '../helpers/packet-wire';
import { until } from '../../scripts/until';

export interface RefusedParams {
  readonly ring?: Ring;
}

/** What may be said of a length that no device takes. */
const LENGTH_CODES = [
  'ERR_OUT_OF_RANGE',
  'ERR_INVALID_ARG_VALUE',
  'ERR_ZC_FRAME_REFUSED',
  'EMSGSIZE',
  'EINVAL',
];

async function assertRefused(what: string, body: () => unknown): Promise<void> {
  const error = await failureOf(body, what);
  assert.ok(LENGTH_CODES.includes(error.code ?? ''), `${what}: ${error.code}: ${error.message}`);
}

interface Sending {
  readonly socket: ZeroCopyPacketSocket;
  readonly udp: FarUdp;
  readonly out: Outbox;
}

// By send() and, with a ring, in place.
async function assertSends({ socket, udp, out }: Sending, payload: number): Promise<void> {
  for (let i = 0; i < 10; i++) {
    const frame = out.frame(payload);
    assertSent(await outcomeOf(socket.send(frame, out.options), frame), frame.length);
    if (socket.zeroCopy.engine !== 'tx_ring') continue;
    const view = reserveFor(socket, out.frame(payload));
    await outcomeOf(socket.commit(view, out.options));
  }
  await udp.expect(out.taken());
}

/** By every way that there is to send a frame of that many bytes. */
function ways(
  socket: ZeroCopyPacketSocket,
  bytes: number,
): readonly (readonly [string, () => unknown])[] {
  const frame = (): Buffer => Buffer.alloc(bytes, 1);
  const viaCallback = (): Promise<void> =>
    new Promise((resolve, reject) =>
      socket.send(frame(), (error) => (error === null ? resolve() : reject(error))),
    );
  const inPlace = async (): Promise<void> => {
    const view = socket.reserve(bytes); // either throws
    try {
      await socket.commit(view); // or rejects
    } finally {
      try {
        socket.discard(view);
      } catch {
        // commit took it
      }
    }
  };
  return [
    [`send() of ${bytes} bytes`, () => socket.send(frame(), {})],
    [`send() of ${bytes} bytes with a callback`, viaCallback],
    [`send() of ${bytes} bytes in pieces`, () => socket.send([frame(), Buffer.alloc(0)], {})],
    [`sendMany() of ${bytes} bytes`, () => socket.sendMany([frame()])],
    ...(socket.zeroCopy.engine === 'tx_ring'
      ? ([[`a ring frame of ${bytes} bytes`, inPlace]] as const)
      : []),
  ];
}

export const lengths = scenario<RefusedParams>(async (near, { ring }) => {
  const { udp, out } = await near.route(4);
  const socket = near.open(ring === undefined ? {} : { ring });
  const longest = near.wire.mtu + LINK_HEADER;
  // Four bytes more are for a VLAN tag, which such a frame must have.
  for (const bytes of [0, 1, LINK_HEADER - 1, longest + 1, longest + 5, 9000, 100_000]) {
    for (const [what, body] of ways(socket, bytes)) await assertRefused(what, body);
    await udp.expect([]);
    await assertSends({ socket, udp, out }, 100);
  }
  await assertSends({ socket, udp, out }, out.largestPayload);
  assertIdle(socket);
});

/** Without a link header, a frame is as long as the MTU at most. */
export const linklessLengths = scenario<RefusedParams>(async (near, { ring }) => {
  const { udp, out } = await near.route(4, 'dgram');
  const socket = near.open({ type: 'dgram', ...(ring === undefined ? {} : { ring }) });
  for (const bytes of [near.wire.mtu + 1, near.wire.mtu + LINK_HEADER, 100_000]) {
    const frame = Buffer.alloc(bytes, 1);
    await assertRefused(`${bytes} bytes`, () => socket.send(frame, out.options));
    await udp.expect([]);
    await assertSends({ socket, udp, out }, out.largestPayload);
  }
});

const VLAN_TAG = 0x8100;

/** A tag makes a frame four bytes longer than others may be; the far end takes it off. */
export const tagged = scenario<RefusedParams>(async (near, { ring }) => {
  const far = await near.far.open({ protocol: EXPERIMENTAL });
  const socket = near.open(ring === undefined ? {} : { ring });
  const { near: here, far: there } = near.wire;
  const link = { source: here.mac, destination: there.mac };
  for (const bytes of [100, near.wire.mtu]) {
    const payload = Buffer.alloc(bytes, bytes & 0x7f);
    const tag = Buffer.from([0, 5, EXPERIMENTAL >> 8, EXPERIMENTAL & 0xff]);
    const frame = Buffer.concat([headers.ethernet({ ...link, protocol: VLAN_TAG }), tag, payload]);
    assertSent(await outcomeOf(socket.send(frame, {}), frame), bytes + 18);
    const [caught] = await far.catch(1);
    const data = Buffer.from(caught?.data ?? '', 'base64');
    assert.ok(data.subarray(LINK_HEADER).equals(payload));
  }
  await far.close();
});

/** A wrong frame between good ones of one call. */
export const amongOthers = scenario<RefusedParams>(async (near, { ring }) => {
  const { udp, out } = await near.route(4);
  const socket = near.open(ring === undefined ? {} : { ring });
  for (const wrong of [near.wire.mtu + LINK_HEADER + 1, LINK_HEADER - 1]) {
    const before = out.frame(200);
    const after = out.frame(201);
    const frames = [before, Buffer.alloc(wrong), after];
    await assertRefused('sendMany()', () => socket.sendMany(frames));
    // Which of the good ones went out is the implementation's choice; nothing else did.
    const allowed = out.taken().map(({ sha256 }) => sha256);
    for (const { sha256 } of await udp.take()) assert.ok(allowed.includes(sha256), 'a stray frame');
    await assertSends({ socket, udp, out }, 300);
  }
  assertIdle(socket);
});

/** The MTU shrinks under frames that were fine when they were reserved. */
export const smallerMtu = scenario<RefusedParams>(async (near, { ring }) => {
  const { udp, out } = await near.route(4);
  const socket = near.open({ ring: ring ?? ringOf(8) });
  const [small, large, behind, larger, last] = [100, 1400, 101, 1401, 102].map((bytes) => {
    const frame = bytes > 1000 ? out.stray(bytes) : out.frame(bytes);
    return reserveFor(socket, frame);
  }) as [Buffer, Buffer, Buffer, Buffer, Buffer];
  setMtu(near.wire.near, 1300);
  try {
    const outcomes: Outcome[] = await Promise.all(
      [small, large, behind, larger, last].map((view) => outcomeOf(socket.commit(view))),
    );
    assert.deepEqual(
      outcomes.map((one) => ('error' in one ? one.error.code : one.report.bytes)),
      [142, 'ERR_ZC_FRAME_REFUSED', 143, 'ERR_ZC_FRAME_REFUSED', 144],
    );
    await udp.expect(out.taken());
    // The socket may know by now; the kernel refuses in any case, and others go out.
    for (const [what, body] of ways(socket, 1400 + out.headerBytes)) {
      await assertRefused(what, body);
    }
    await assertSends({ socket, udp, out }, 500);
  } finally {
    setMtu(near.wire.near, near.wire.mtu);
  }
  await assertSends({ socket, udp, out }, out.largestPayload);
  await until('every frame is free', () => socket.freeFrames === 8);
});

/** As smallerMtu, all frames in one commit. */
export const smallerMtuBatch = scenario(async (near) => {
  const { udp, out } = await near.route(4);
  const socket = near.open({ ring: ringOf(8) });
  for (let round = 0; round < 3; round++) {
    const sizes = [1400, 100, 101, 1401, 1402, 102];
    const views = sizes.map((bytes) =>
      reserveFor(socket, bytes > 1000 ? out.stray(bytes) : out.frame(bytes)),
    );
    setMtu(near.wire.near, 1300);
    try {
      const outcome = await outcomeOf(socket.commit(views));
      assert.equal('error' in outcome && outcome.error.code, 'ERR_ZC_FRAME_REFUSED');
    } finally {
      setMtu(near.wire.near, near.wire.mtu);
    }
    await udp.expect(out.taken());
  }
  await assertSends({ socket, udp, out }, out.largestPayload);
});

/** The device's MTU grows: a socket made before sends what the device takes now, or says why not. */
export const largerMtu = scenario(async (near) => {
  const { udp, out } = await near.route(4);
  const socket = near.open({});
  for (const end of [near.wire.near, near.wire.far]) setMtu(end, 4000);
  try {
    const frame = out.frame(3900);
    assertSent(await outcomeOf(socket.send(frame, {}), frame), frame.length);
    await udp.expect(out.taken());
    assert.equal(socket.interface.mtu, 4000);
  } finally {
    for (const end of [near.wire.near, near.wire.far]) setMtu(end, near.wire.mtu);
  }
});

/** The device's queue is full and drops: every send settles, and what arrives is right. */
export const droppingQueue = scenario<RefusedParams>(async (near, { ring }) => {
  const { udp, out } = await near.route(4);
  const socket = near.open(ring === undefined ? {} : { ring });
  const device = ['dev', near.wire.near.device, 'root'];
  const shape = ['tbf', 'rate', '4mbit', 'burst', '1600', 'limit', '5000'];
  tc(near.wire.near, 'qdisc', 'replace', ...device, ...shape);
  try {
    const outcomes = await Promise.all(
      Array.from({ length: 40 }, () => {
        const frame = out.frame(1472);
        return outcomeOf(socket.send(frame, {}), frame);
      }),
    );
    const made = out.taken();
    const sent = made.filter((_, index) => 'report' in (outcomes[index] as Outcome));
    for (const outcome of outcomes) {
      if ('error' in outcome) assert.equal(outcome.error.code, 'ENOBUFS');
    }
    assert.ok(sent.length > 0, 'nothing was sent');
    await udp.expect(sent);
  } finally {
    tc(near.wire.near, 'qdisc', 'replace', ...device, 'pfifo', 'limit', '10000');
  }
  await assertSends({ socket, udp, out }, 500);
  assertIdle(socket);
});

export type Trouble = 'down' | 'deleted';

let extras = 0;

// Never one that an earlier program left behind.
function extraName(): string {
  return `x${process.pid}.${++extras}`;
}

/** The device goes down, or away, with frames under way: told by an error, without a crash or a hang. */
export const deviceLost = scenario<RefusedParams & { readonly trouble: Trouble }>(
  async (near, { ring, trouble }) => {
    const device = extraName();
    const { near: here } = near.wire;
    ip(here, 'link', 'add', device, 'type', 'ifb');
    ip(here, 'link', 'set', device, 'up');
    try {
      const { out } = await near.route(4);
      tc(
        here,
        'qdisc',
        'replace',
        'dev',
        device,
        'root',
        'tbf',
        'rate',
        '100kbit',
        'burst',
        '1600',
        'limit',
        '1mb',
      );
      const socket = near.open({ interface: device, ...(ring === undefined ? {} : { ring }) });
      const errors: NodeJS.ErrnoException[] = [];
      socket.on('error', (error: NodeJS.ErrnoException) => errors.push(error));
      const frames = Array.from({ length: 12 }, () => out.frame(1400));
      const underWay = frames.map((frame) => outcomeOf(socket.send(frame, {}), frame));
      await Promise.race(underWay);
      if (trouble === 'down') ip(here, 'link', 'set', device, 'down');
      else ip(here, 'link', 'del', device);
      await Promise.all(underWay); // one way or the other
      const failed = await failureOf(() => socket.send(out.frame(100), {}), 'send()');
      const codes = ['ENETDOWN', 'ENXIO', 'ENODEV'];
      assert.ok(codes.includes(failed.code ?? ''), `${failed.code}: ${failed.message}`);
      for (const error of errors) assert.ok(codes.includes(error.code ?? ''), error.message);
      if (trouble === 'down') {
        ip(here, 'link', 'set', device, 'up');
        const frame = out.frame(100);
        assertSent(await outcomeOf(socket.send(frame, {}), frame), frame.length);
      }
    } finally {
      if (trouble === 'down') ip(here, 'link', 'del', device);
    }
  },
);

/** Who only listens is told as well. */
export const listenerDeviceLost = scenario<{ readonly trouble: Trouble }>(
  async (near, { trouble }) => {
    const device = extraName();
    const { near: here } = near.wire;
    ip(here, 'link', 'add', device, 'type', 'ifb');
    try {
      ip(here, 'link', 'set', device, 'up');
      const socket = near.open({ interface: device, protocol: 'all' });
      socket.on('message', () => undefined);
      const seen = new Promise<NodeJS.ErrnoException>((resolve) => socket.once('error', resolve));
      if (trouble === 'down') ip(here, 'link', 'set', device, 'down');
      else ip(here, 'link', 'del', device);
      assert.equal((await seen).code, 'ENETDOWN');
    } finally {
      if (trouble === 'down') ip(here, 'link', 'del', device);
    }
  },
);
