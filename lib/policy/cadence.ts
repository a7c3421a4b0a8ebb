// How often a send by io_uring ends its packet (MSG_EOR), so that notifications cannot be delayed
// without bound. Pure.
//
// The kernel links a send to the one before when they share a packet, and a chain is released as a
// whole (Linux 6.10, net/core/skbuff.c:skb_zerocopy_iter_stream, io_uring/notif.c:io_link_skb): a
// connection that never drains would never be notified. What is pinned then is at most the send buffer
// and one chain.

/** One connection: marking more often costs CPU, more rarely brings nothing (docs/performance.md). */
const LONGEST_BYTES = 1024 * 1024;
/** Marking every 64 KiB costs 70 % more than marking every MiB. */
const SHORTEST_BYTES = 128 * 1024;

/**
 * Zero-copy bytes of a connection after which a send is marked.
 * @param processBudget bytes that the process may pin
 * @param connections how many have bytes pinned at present
 */
export function cadenceBytes(processBudget: number, connections: number): number {
  // Chains may hold a quarter of the budget, the send buffers the rest.
  const share = processBudget / 4 / Math.max(1, connections);
  return Math.max(SHORTEST_BYTES, Math.min(LONGEST_BYTES, share));
}
