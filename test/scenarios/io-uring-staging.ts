// Small buffers that are used again as soon as write() has returned. Plain Node has sent them by then,
// as long as the send buffer has room, and programs rely on it. Each scenario stays within that room.
import { fillFrom, OVERWRITTEN } from '../../scripts/pattern';
import type { Outgoing } from '../helpers/outgoing';
import type { ReceiverClient } from '../helpers/receiver-client';
import { until } from '../../scripts/until';
import {
  assertComplete,
  assertEngine,
  MIB,
  scenario,
  turn,
  type UringParams,
  writeReused,
} from './io-uring-kit';

export interface StagingParams extends UringParams {
  /** Bytes of the buffer that is used again and again. */
  readonly bytes: number;
}

const FRAMES = 1000;
/** What every send buffer takes at once: a quarter of the rig's. */
const ROOM_BYTES = MIB;
const LARGE = 40_000;

// Writes `count` frames by `writeSome`, as many in a turn as have room.
async function inRooms(
  client: ReceiverClient,
  out: Outgoing,
  bytes: number,
  writeSome: (frames: number) => void | Promise<void>,
): Promise<void> {
  const most = Math.max(1, Math.floor(ROOM_BYTES / bytes));
  for (let left = FRAMES; left > 0; left -= most) {
    await writeSome(Math.min(left, most));
    // The room is there again when everything was read.
    await until('all was read', async () => (await client.received(out)) === out.written);
  }
}

async function ended(client: ReceiverClient, out: Outgoing, params: UringParams): Promise<void> {
  // So that there is something that the engine sent.
  out.write(300_000);
  out.end(1);
  await assertComplete(client, out);
  assertEngine(out, params);
}

/** Many frames in one turn. */
export const oneTurn = scenario(async (client, params: StagingParams) => {
  const out = await client.stream({}, { zeroCopy: params.zeroCopy });
  const frame = Buffer.alloc(params.bytes);
  await inRooms(client, out, frame.length, (frames) => {
    for (let i = 0; i < frames; i++) writeReused(out, frame);
  });
  await ended(client, out, params);
});

/** Each frame in a turn of its own. */
export const oneByOne = scenario(async (client, params: StagingParams) => {
  const out = await client.stream({}, { zeroCopy: params.zeroCopy });
  const frame = Buffer.alloc(params.bytes);
  for (let i = 0; i < FRAMES; i++) {
    writeReused(out, frame);
    await turn();
    if ((i * frame.length) % ROOM_BYTES > ROOM_BYTES - 2 * frame.length) {
      await until('all was read', async () => (await client.received(out)) === out.written);
    }
  }
  await ended(client, out, params);
});

/** Frames of one slab, corked: plain Node has sent them when uncork() returns. */
export const corked = scenario(async (client, params: StagingParams) => {
  const out = await client.stream({}, { zeroCopy: params.zeroCopy });
  const slab = Buffer.alloc(40 * params.bytes);
  for (let round = 0; round < FRAMES / 40; round++) {
    fillFrom(slab, out.stream, out.written);
    out.written += slab.length;
    out.socket.cork();
    for (let at = 0; at < slab.length; at += params.bytes) {
      out.socket.write(slab.subarray(at, at + params.bytes));
    }
    out.socket.uncork();
    slab.fill(OVERWRITTEN);
    await until('all was read', async () => (await client.received(out)) === out.written);
  }
  await ended(client, out, params);
});

/** Frames before, between and behind large writes, all in one turn. */
export const mixed = scenario(async (client, params: StagingParams) => {
  const out = await client.stream({}, { zeroCopy: params.zeroCopy });
  const frame = Buffer.alloc(params.bytes);
  await inRooms(client, out, 2 * frame.length + LARGE, (pairs) => {
    for (let i = 0; i < pairs; i++) {
      writeReused(out, frame);
      out.write(LARGE);
      writeReused(out, frame);
    }
  });
  await ended(client, out, params);
});

/** The same from within callbacks of what was accepted. */
export const fromCallbacks = scenario(async (client, params: StagingParams) => {
  const out = await client.stream({}, { zeroCopy: params.zeroCopy });
  const frame = Buffer.alloc(params.bytes);
  const chain = (left: number, done: () => void): void => {
    if (left === 0) return done();
    writeReused(out, frame);
    if (left % 10 === 0) out.write(LARGE);
    // An empty write's callback comes when what is before it is accepted.
    out.socket.write('', () => chain(left - 1, done));
    writeReused(out, frame);
  };
  await inRooms(client, out, 2 * frame.length + LARGE / 10, (frames) => {
    return new Promise((resolve) => chain(frames, resolve));
  });
  await ended(client, out, params);
});

/** Connections that write in the same turn share whatever the frames are staged in. */
export const manyConnections = scenario(async (client, params: StagingParams) => {
  const streams: Outgoing[] = [];
  for (let i = 0; i < 20; i++) {
    streams.push(await client.stream({}, { zeroCopy: params.zeroCopy }));
  }
  const frame = Buffer.alloc(params.bytes);
  for (let round = 0; round < 50; round++) {
    for (const out of streams) {
      writeReused(out, frame);
      if (round % 7 === 0) out.write(LARGE);
      writeReused(out, frame);
    }
    await until('all was read', async () => {
      for (const out of streams) if ((await client.received(out)) !== out.written) return false;
      return true;
    });
  }
  for (const out of streams) await ended(client, out, params);
});
