// Messages with control messages, as recvmsg(2) would leave them.
#pragma once

#include <sys/socket.h>

#include "target.h"

namespace fuzz {

// One well-formed control message behind the others, padded as the kernel pads it.
inline void add_control(std::vector<uint8_t>* to, int level, int type, const std::vector<uint8_t>& data) {
  const size_t at = to->size();
  to->resize(at + CMSG_SPACE(data.size()), 0);
  cmsghdr header;
  std::memset(&header, 0, sizeof header);
  header.cmsg_level = level;
  header.cmsg_type = type;
  header.cmsg_len = CMSG_LEN(data.size());
  std::memcpy(to->data() + at, &header, sizeof header);
  if (!data.empty()) std::memcpy(to->data() + at + CMSG_LEN(0), data.data(), data.size());
}

inline msghdr message_of(const Exact& control, int flags) {
  msghdr message;
  std::memset(&message, 0, sizeof message);
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  message.msg_flags = flags;
  return message;
}

}  // namespace fuzz
