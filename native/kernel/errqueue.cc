#include "kernel/errqueue.h"

#include <cerrno>
#include <cstring>

#include "kernel/abi.h"
#include "kernel/control.h"

namespace msg_zerocopy {

Parsed parse_notice(const msghdr& message, Notice* notice) {
  bool found = false;
  // A socket of family AF_INET6 reports at the IPv6 level, also for mapped IPv4 peers. Timestamps
  // put a SOL_SOCKET control message in front, so all are walked.
  each_control(message, [&](int level, int type, const uint8_t* data, size_t bytes) {
    const bool ipv4 = level == SOL_IP && type == IP_RECVERR;
    const bool ipv6 = level == SOL_IPV6 && type == IPV6_RECVERR;
    sock_extended_err error;
    if ((!ipv4 && !ipv6) || bytes < sizeof error) return true;
    std::memcpy(&error, data, sizeof error);
    if (error.ee_errno != 0 || error.ee_origin != SO_EE_ORIGIN_ZEROCOPY) return true;
    notice->lo = error.ee_info;
    notice->hi = error.ee_data;
    notice->copied = (error.ee_code & SO_EE_CODE_ZEROCOPY_COPIED) != 0;
    found = true;
    return false;
  });
  if (found) return Parsed::kNotice;
  return (message.msg_flags & MSG_CTRUNC) != 0 ? Parsed::kTruncated : Parsed::kForeign;
}

int read_notice(int fd, Notice* notice) {
  // Room for the largest entries (two timestamps, an interface, the statistics of a connection and an
  // IPv6 error with its offender: about 600 bytes), because a truncated entry is consumed and lost.
  alignas(cmsghdr) char control[1024];
  msghdr message;
  std::memset(&message, 0, sizeof message);
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t received;
  do {
    received = recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT);
  } while (received < 0 && errno == EINTR);
  if (received < 0) return -errno;
  return static_cast<int>(parse_notice(message, notice));
}

}  // namespace msg_zerocopy
