#include "kernel/datagram.h"

#include <linux/filter.h>
#include <linux/sock_diag.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "kernel/abi.h"
#include "kernel/datagram_control.h"
#include "kernel/sys.h"

namespace msg_zerocopy {
namespace {

int send_run(int fd, mmsghdr* messages, size_t count, int flags) {
  int sent;
  do {
    if (count == 1) {
      const ssize_t bytes = sendmsg(fd, &messages->msg_hdr, flags);
      sent = bytes < 0 ? -1 : 1;
    } else {
      sent = sendmmsg(fd, messages, static_cast<unsigned>(count), flags);
    }
  } while (sent < 0 && errno == EINTR);
  return sent < 0 ? -errno : sent;
}

int name_result(int failed, socklen_t bytes) {
  return failed < 0 ? -errno : static_cast<int>(std::min<socklen_t>(bytes, kNameBytes));
}

}  // namespace

int send_datagrams(int fd, const DatagramMetadata* metadata, iovec* pieces, size_t count,
                   int flags) {
  mmsghdr messages[kBatch];
  alignas(cmsghdr) char controls[kBatch][kControlBytes];
  count = std::min(count, kBatch);
  for (size_t i = 0; i < count; i++) {
    const DatagramMetadata& datagram = metadata[i];
    msghdr& header = messages[i].msg_hdr;
    std::memset(&header, 0, sizeof header);
    header.msg_iov = pieces;
    header.msg_iovlen = datagram.pieces;
    pieces += datagram.pieces;
    if (datagram.name_bytes > 0) {
      header.msg_name = const_cast<uint8_t*>(datagram.name);
      header.msg_namelen = datagram.name_bytes;
    }
    if (datagram.segment_size != 0 || datagram.tos != kNoTos || datagram.source_version != 0) {
      header.msg_controllen = write_control(datagram, controls[i]);
      header.msg_control = controls[i];
    }
  }
  return send_run(fd, messages, count, flags | MSG_DONTWAIT | MSG_NOSIGNAL);
}

int receive_datagrams(int fd, uint8_t* memory, size_t bytes, Arrival* arrivals) {
  mmsghdr messages[kBatch];
  iovec vectors[kBatch];
  sockaddr_storage names[kBatch];
  alignas(cmsghdr) uint8_t controls[kBatch][kControlBytes];
  const size_t limit = std::min(kBatch, bytes / kSlotBytes);
  if (limit == 0) return -EINVAL;
  for (size_t i = 0; i < limit; i++) {
    vectors[i] = {memory + i * kSlotBytes, kSlotBytes};
    msghdr& header = messages[i].msg_hdr;
    header.msg_name = &names[i];
    header.msg_namelen = sizeof names[i];
    header.msg_iov = &vectors[i];
    header.msg_iovlen = 1;
    header.msg_control = controls[i];
    header.msg_controllen = kControlBytes;
    header.msg_flags = 0;
  }
  int received;
  do {
    received = recvmmsg(fd, messages, static_cast<unsigned>(limit), MSG_DONTWAIT, nullptr);
  } while (received < 0 && errno == EINTR);
  if (received < 0) return -errno;
  for (int i = 0; i < received; i++) {
    const msghdr& header = messages[i].msg_hdr;
    Arrival arrival;
    std::memset(&arrival, 0, sizeof arrival);
    arrival.offset = static_cast<uint32_t>(static_cast<uint8_t*>(vectors[i].iov_base) - memory);
    arrival.bytes = messages[i].msg_len;
    if ((header.msg_flags & MSG_TRUNC) != 0) arrival.flags |= kArrivalTruncated;
    arrival.name_bytes = std::min<uint32_t>(header.msg_namelen, kNameBytes);
    std::memcpy(arrival.name, &names[i], arrival.name_bytes);
    read_control(header, &arrival);
    arrivals[i] = arrival;
  }
  return received;
}

int attach_filter(int fd, const void* instructions, size_t count) {
  sock_fprog program;
  program.len = static_cast<unsigned short>(count);
  program.filter = static_cast<sock_filter*>(const_cast<void*>(instructions));
  return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) < 0 ? -errno : 0;
}

int64_t receive_drops(int fd) {
  uint32_t info[SK_MEMINFO_VARS];
  socklen_t bytes = sizeof info;
  if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &bytes) < 0) return -errno;
  return bytes > SK_MEMINFO_DROPS * sizeof *info ? info[SK_MEMINFO_DROPS] : 0;
}

bool discard_received(int fd) {
  bool found = false;
  for (;;) {
    // Of a message longer than this the rest goes, too.
    uint8_t start;
    // ENOBUFS, once: messages were lost.
    if (recv(fd, &start, sizeof start, MSG_DONTWAIT) < 0 && errno != ENOBUFS && errno != EINTR) return found;
    found = true;
  }
}

int bind_name(int fd, const void* name, size_t bytes) {
  const auto* address = static_cast<const sockaddr*>(name);
  return bind(fd, address, static_cast<socklen_t>(bytes)) < 0 ? -errno : 0;
}

int connect_name(int fd, const void* name, size_t bytes) {
  const auto* address = static_cast<const sockaddr*>(name);
  return connect(fd, address, static_cast<socklen_t>(bytes)) < 0 ? -errno : 0;
}

int local_name(int fd, void* name) {
  socklen_t bytes = kNameBytes;
  const int failed = getsockname(fd, static_cast<sockaddr*>(name), &bytes);
  return name_result(failed, bytes);
}

int peer_name(int fd, void* name) {
  socklen_t bytes = kNameBytes;
  const int failed = getpeername(fd, static_cast<sockaddr*>(name), &bytes);
  return name_result(failed, bytes);
}

}  // namespace msg_zerocopy
