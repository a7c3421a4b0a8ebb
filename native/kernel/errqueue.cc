#include "kernel/errqueue.h"

#include <cerrno>
#include <cstring>

#include "kernel/abi.h"

namespace msg_zerocopy {

Parsed parse_notice(const msghdr& message, Notice* notice) {
  // A socket of family AF_INET6 reports at the IPv6 level, also for mapped IPv4 peers. Timestamps
  // put a SOL_SOCKET control message in front, so all are walked.
  msghdr* walk = const_cast<msghdr*>(&message);
  for (cmsghdr* cmsg = CMSG_FIRSTHDR(walk); cmsg != nullptr; cmsg = CMSG_NXTHDR(walk, cmsg)) {
    const bool ipv4 = cmsg->cmsg_level == SOL_IP && cmsg->cmsg_type == IP_RECVERR;
    const bool ipv6 = cmsg->cmsg_level == SOL_IPV6 && cmsg->cmsg_type == IPV6_RECVERR;
    if (!ipv4 && !ipv6) continue;
    if (cmsg->cmsg_len < CMSG_LEN(sizeof(sock_extended_err))) continue;
    sock_extended_err error;
    std::memcpy(&error, CMSG_DATA(cmsg), sizeof error);
    if (error.ee_errno != 0 || error.ee_origin != SO_EE_ORIGIN_ZEROCOPY) continue;
    notice->lo = error.ee_info;
    notice->hi = error.ee_data;
    notice->copied = (error.ee_code & SO_EE_CODE_ZEROCOPY_COPIED) != 0;
    return Parsed::kNotice;
  }
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
