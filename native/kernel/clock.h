// The clock that durations are measured by.
#pragma once

#include <ctime>

#include <cstdint>

namespace msg_zerocopy {

inline uint64_t now_ns() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000u + static_cast<uint64_t>(now.tv_nsec);
}

}  // namespace msg_zerocopy
