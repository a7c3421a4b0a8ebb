// The VLAN tag of a received frame, which the kernel tells beside it (PACKET_AUXDATA) and does not leave in
// it (net/core/dev.c:__netif_receive_skb_core): it goes back to where it was, as libpcap does.
import type { Offload } from './headers.js';

export const VLAN_TAG_BYTES = 4;
/** Both link addresses, behind which the tag stands. */
const ADDRESS_BYTES = 12;

/** A copy of `frame` with its tag. @param tag its ethertype << 16 | TCI */
export function withTag(frame: Buffer, tag: number): Buffer {
  const head = Math.min(ADDRESS_BYTES, frame.length);
  const tagged = Buffer.allocUnsafeSlow(frame.length + VLAN_TAG_BYTES);
  frame.copy(tagged, 0, 0, head);
  tagged.writeUInt32BE(tag, head);
  frame.copy(tagged, head + VLAN_TAG_BYTES, head);
  return tagged;
}

/** An offload of a frame into which a tag was put: everything that it speaks of stands behind that. */
export function behindTag(offload: Offload): Offload {
  const { headerLength, checksumStart } = offload;
  return {
    ...offload,
    headerLength: headerLength > 0 ? headerLength + VLAN_TAG_BYTES : 0,
    checksumStart: checksumStart > 0 ? checksumStart + VLAN_TAG_BYTES : 0,
  };
}
