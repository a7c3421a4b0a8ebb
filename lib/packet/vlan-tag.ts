// The VLAN tag of a received frame, which the kernel tells beside it (PACKET_AUXDATA) and does not leave in
// it (net/core/dev.c:__netif_receive_skb_core): it goes back to where it was, as libpcap does.
import type { Offload } from './headers.js';

export const VLAN_TAG_BYTES = 4;
/** Both link addresses, behind which the tag stands. */
const ADDRESS_BYTES = 12;

/**
 * A copy of `frame` with its tag; the frame itself where a filter cut it off before the place of the tag.
 * @param tag its ethertype << 16 | TCI
 */
export function withTag(frame: Buffer, tag: number): Buffer {
  if (frame.length < ADDRESS_BYTES) return frame;
  const tagged = Buffer.allocUnsafeSlow(frame.length + VLAN_TAG_BYTES);
  frame.copy(tagged, 0, 0, ADDRESS_BYTES);
  tagged.writeUInt32BE(tag, ADDRESS_BYTES);
  frame.copy(tagged, ADDRESS_BYTES + VLAN_TAG_BYTES, ADDRESS_BYTES);
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
