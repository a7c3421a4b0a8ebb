// VLAN tags, which the kernel takes out of frames before a packet socket receives them.
import assert from 'node:assert/strict';
import type { Offload, PacketRemoteInfo, ZeroCopyPacketSocket } from '../../lib/index';
import { fillFrom } from '../../scripts/pattern';
import { etherFrame, EXPERIMENTAL } from '../helpers/packet-frames';
import { type Near, scenario } from './packet-scenario';
import { LINK_HEADER } from '../helpers/packet-wire';
import { until } from '../../scripts/until';

interface Seen {
  readonly data: Buffer;
  readonly rinfo: PacketRemoteInfo;
}

type Tag = readonly [tpid: number, tci: number];

const ADDRESSES = 12;
const TAG = 4;
/** Outermost first. */
const TAGS: readonly (readonly Tag[])[] = [
  [[0x8100, 5]],
  [],
  [[0x8100, (6 << 13) | 4094]],
  [[0x8100, 0]],
  [[0x88a8, 7]],
  [
    [0x88a8, 8],
    [0x8100, 9],
  ],
];

function tagged(near: Near, tags: readonly Tag[], bytes: number): Buffer {
  const payload = Buffer.alloc(bytes);
  fillFrom(payload, bytes, 0);
  const link = { source: near.wire.far.mac, destination: near.wire.near.mac };
  const frame = etherFrame({ ...link, protocol: EXPERIMENTAL }, payload);
  const words = Buffer.alloc(TAG * tags.length);
  tags.forEach(([tpid, tci], index) => {
    words.writeUInt16BE(tpid, TAG * index);
    words.writeUInt16BE(tci, TAG * index + 2);
  });
  return Buffer.concat([frame.subarray(0, ADDRESSES), words, frame.subarray(ADDRESSES)]);
}

/** What of this scenario's frames a socket receives. */
function watch(socket: ZeroCopyPacketSocket, from: string): Seen[] {
  const seen: Seen[] = [];
  socket.on('message', (data: Buffer, rinfo: PacketRemoteInfo) => {
    const isOurs = [EXPERIMENTAL, 0x8100].includes(rinfo.protocol) && rinfo.address === from;
    if (isOurs) seen.push({ data, rinfo });
  });
  return seen;
}

export interface VlanParams {
  readonly type: 'raw' | 'dgram';
  readonly virtioHeader?: boolean;
}

export const received = scenario<VlanParams>(async (near, params) => {
  const seen = watch(near.open({ ...params, protocol: 'all' }), near.wire.far.mac);
  const far = await near.far.open({});
  const sent = TAGS.flatMap((tags) =>
    [2, 50, near.wire.mtu - TAG * tags.length].map((bytes) => ({
      tags,
      frame: tagged(near, tags, bytes),
    })),
  );
  await far.inject(sent.map(({ frame }) => frame));
  await until('all frames', () => seen.length >= sent.length);
  sent.forEach(({ tags, frame }, index) => {
    const { data, rinfo } = seen[index] as Seen;
    const [outer, inner] = tags;
    const stripped = outer === undefined ? LINK_HEADER : LINK_HEADER + TAG;
    const whole = params.type === 'raw' ? frame : frame.subarray(stripped);
    assert.ok(data.equals(whole), `frame ${index}`);
    assert.equal(rinfo.size, whole.length);
    assert.deepEqual(rinfo.vlan, outer && { tpid: outer[0], tci: outer[1] });
    // Without the link header newer kernels look behind all tags (Linux 6.11).
    const isNested = inner !== undefined && params.type === 'raw';
    if (inner === undefined || isNested) {
      assert.equal(rinfo.protocol, isNested ? inner[0] : EXPERIMENTAL);
    }
    assert.equal(rinfo.offload, undefined);
    data.fill(0); // memory of its own
  });
  await far.close();
});

/** A frame whose checksum is left for the device: where that begins moves with the tag. */
export const offloaded = scenario(async (near) => {
  const { out } = await near.route(4);
  const plain = out.stray(500);
  const tag = Buffer.from([0x81, 0x00, 0x00, 77]);
  const frame = Buffer.concat([plain.subarray(0, ADDRESSES), tag, plain.subarray(ADDRESSES)]);
  const mark = 'a frame of its own';
  frame.write(mark, frame.length - mark.length);
  const checksumStart = LINK_HEADER + TAG + 20;
  const offload = {
    gso: 'none',
    headerLength: 0,
    segmentSize: 0,
    checksumStart,
    checksumOffset: 6,
  };
  const far = await near.far.open({ protocol: 'all', virtioHeader: true });
  const socket = near.open({ virtioHeader: true });
  await socket.send(frame, { offload: offload as Offload });
  const caught = (await far.catch(mark)).at(-1);
  assert.ok(Buffer.from(caught?.data ?? '', 'base64').equals(frame));
  assert.deepEqual(caught?.rinfo.vlan, { tpid: 0x8100, tci: 77 });
  assert.deepEqual(caught?.rinfo.offload, offload);
  await far.close();
});
