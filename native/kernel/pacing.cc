#include "kernel/pacing.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "kernel/sys.h"

namespace msg_zerocopy {
namespace {

// What the kernel takes for no limit where it reads 32 bits.
constexpr uint32_t kNoPacing32 = UINT32_MAX;

int set_narrow(int fd, uint32_t rate) {
  return set_option(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &rate, sizeof rate);
}

}  // namespace

int set_pacing_rate(int fd, uint64_t rate) {
  if (rate == kNoPacing) return set_narrow(fd, kNoPacing32);
  if (rate < kNoPacing32) return set_narrow(fd, static_cast<uint32_t>(rate));
  const int set = set_option(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &rate, sizeof rate);
  if (set < 0) return set;
  // A kernel that reads 32 bits took the lower half.
  uint64_t limit = 0;
  const int got = get_pacing_rate(fd, &limit);
  return got < 0 || limit == rate ? got : set_narrow(fd, kNoPacing32);
}

int get_pacing_rate(int fd, uint64_t* rate) {
  unsigned char bytes[sizeof *rate] = {};
  socklen_t size = sizeof bytes;
  if (getsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, bytes, &size) < 0) return -errno;
  if (size == sizeof *rate) {
    std::memcpy(rate, bytes, sizeof *rate);
    return 0;
  }
  uint32_t narrow = 0;
  std::memcpy(&narrow, bytes, sizeof narrow);
  *rate = narrow == kNoPacing32 ? kNoPacing : narrow;
  return 0;
}

}  // namespace msg_zerocopy
