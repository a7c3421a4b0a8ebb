// Walks over received control messages without trusting the lengths that they claim: CMSG_FIRSTHDR and
// CMSG_NXTHDR leave that check to the caller (man 3 cmsg).
#pragma once

#include <sys/socket.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace msg_zerocopy {

// Calls `take(level, type, data, bytes)` for each control message, until it answers false or one claims
// more than is there.
template <typename Take>
void each_control(const msghdr& message, Take take) {
  const auto* at = static_cast<const uint8_t*>(message.msg_control);
  size_t left = at == nullptr ? 0 : message.msg_controllen;
  constexpr size_t kHead = CMSG_LEN(0);
  while (left >= kHead) {
    cmsghdr header;
    std::memcpy(&header, at, sizeof header);
    const size_t length = header.cmsg_len;
    if (length < kHead || length > left) return;
    if (!take(header.cmsg_level, header.cmsg_type, at + kHead, length - kHead)) return;
    // The last one may lack its padding.
    const size_t step = std::min<size_t>(CMSG_ALIGN(length), left);
    at += step;
    left -= step;
  }
}

}  // namespace msg_zerocopy
