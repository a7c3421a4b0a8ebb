// The error queue of a socket: reading one entry, and the pure parser of what was read.
// Source: Documentation/networking/msg_zerocopy.rst, include/uapi/linux/errqueue.h.
#pragma once

#include <sys/socket.h>

#include <cstdint>

namespace msg_zerocopy {

// One zero-copy notification: every send with an id in [lo, hi] (modulo 2^32, inclusive) has let go
// of its memory. `copied` is what the kernel says of the *first* id of the range only: merging keeps
// the first entry's flag (net/core/skbuff.c:skb_zerocopy_notify_extend).
struct Notice {
  uint32_t lo;
  uint32_t hi;
  bool copied;
};

enum class Parsed {
  kNotice,     // a zero-copy notification, written to *notice
  kForeign,    // something else: ICMP, a timestamp; not ours, nothing lost
  kTruncated,  // the control buffer was too small and the entry is gone (MSG_CTRUNC)
};

// Pure: walks the control messages of a received error-queue entry. Does no I/O.
Parsed parse_notice(const msghdr& message, Notice* notice);

// How many ids a notice covers; correct across the wrap.
inline uint64_t notice_count(const Notice& notice) {
  return static_cast<uint64_t>(static_cast<uint32_t>(notice.hi - notice.lo)) + 1;
}

// Whether it covers the id whose low 32 bits are `id`.
inline bool notice_covers(const Notice& notice, uint32_t id) {
  return id - notice.lo <= notice.hi - notice.lo;
}

// Reads one entry. Answers a Parsed value, or -errno (-EAGAIN: the queue is empty).
int read_notice(int fd, Notice* notice);

}  // namespace msg_zerocopy
