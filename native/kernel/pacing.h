// Limits the bytes per second that the kernel sends of one socket (SO_MAX_PACING_RATE). TCP paces by itself,
// other sockets through the qdisc `fq`. Knows nothing of Node or of libuv.
#pragma once

#include <cstdint>

namespace msg_zerocopy {

constexpr uint64_t kNoPacing = UINT64_MAX;

// Bytes per second, or kNoPacing. 0 or -errno. A kernel that has no room for the rate (4 GiB/s and more before Linux
// 4.20) sets no limit.
int set_pacing_rate(int fd, uint64_t rate);

// 0 or -errno.
int get_pacing_rate(int fd, uint64_t* rate);

}  // namespace msg_zerocopy
