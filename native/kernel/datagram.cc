#include "kernel/datagram.h"

#include <linux/filter.h>
#include <linux/sock_diag.h>
#include <netinet/ip.h>
#include <netinet/udp.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "kernel/abi.h"
#include "kernel/sys.h"

namespace msg_zerocopy {
namespace {

constexpr size_t kControlBytes = 128;
static_assert(kControlBytes >= CMSG_SPACE(sizeof(uint16_t)) + CMSG_SPACE(sizeof(int)) +
                                   CMSG_SPACE(sizeof(in6_pktinfo)),
              "room for every control message of one datagram");

// The largest IP datagram, a link header and a virtio header. The stride is an odd number of cache
// lines: slots that start at equal offsets in their pages would share the sets of the cache.
constexpr size_t kSlotBytes = 65'536 + 256;
constexpr size_t kSlotStride = 65'536 + 64 * 5;
static_assert(kSlotStride >= kSlotBytes, "slots do not overlap");

struct ControlWriter {
  char* buffer;
  size_t used = 0;

  void add(int level, int type, const void* data, size_t bytes) {
    auto* header = reinterpret_cast<cmsghdr*>(buffer + used);
    header->cmsg_level = level;
    header->cmsg_type = type;
    header->cmsg_len = CMSG_LEN(bytes);
    std::memcpy(CMSG_DATA(header), data, bytes);
    used += CMSG_SPACE(bytes);
  }
};

size_t write_control(const Envelope& envelope, char* buffer) {
  ControlWriter control = {buffer};
  if (envelope.segment_size != 0) {
    const uint16_t size = static_cast<uint16_t>(envelope.segment_size);
    control.add(SOL_UDP, UDP_SEGMENT, &size, sizeof size);
  }
  if (envelope.tos != kNoTos) {
    const int tos = static_cast<int>(envelope.tos);
    if (envelope.tos_version == 4) control.add(SOL_IP, IP_TOS, &tos, sizeof tos);
    else control.add(SOL_IPV6, IPV6_TCLASS, &tos, sizeof tos);
  }
  if (envelope.source_version == 4) {
    in_pktinfo info;
    std::memset(&info, 0, sizeof info);
    info.ipi_ifindex = static_cast<int>(envelope.interface_index);
    std::memcpy(&info.ipi_spec_dst, envelope.source, sizeof info.ipi_spec_dst);
    control.add(SOL_IP, IP_PKTINFO, &info, sizeof info);
  } else if (envelope.source_version == 6) {
    in6_pktinfo info;
    std::memset(&info, 0, sizeof info);
    info.ipi6_ifindex = envelope.interface_index;
    std::memcpy(&info.ipi6_addr, envelope.source, sizeof info.ipi6_addr);
    control.add(SOL_IPV6, IPV6_PKTINFO, &info, sizeof info);
  }
  return control.used;
}

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

void read_control(const cmsghdr& cmsg, Arrival* arrival) {
  const auto* data = CMSG_DATA(&cmsg);
  const size_t bytes = cmsg.cmsg_len - CMSG_LEN(0);
  const auto is = [&cmsg](int level, int type) {
    return cmsg.cmsg_level == level && cmsg.cmsg_type == type;
  };
  const auto number = [data, bytes]() {
    int value = 0;  // the kernel gives some as one byte and some as an int (net/ipv4/ip_sockglue.c)
    if (bytes == 1) return static_cast<int>(*data);
    std::memcpy(&value, data, std::min(bytes, sizeof value));
    return value;
  };
  if (is(SOL_UDP, UDP_GRO)) {
    arrival->segment_size = static_cast<uint32_t>(number());
  } else if (is(SOL_IP, IP_TOS) || is(SOL_IPV6, IPV6_TCLASS)) {
    arrival->tos = static_cast<uint32_t>(number());
  } else if (is(SOL_IP, IP_PKTINFO) && bytes >= sizeof(in_pktinfo)) {
    in_pktinfo info;
    std::memcpy(&info, data, sizeof info);
    arrival->interface_index = static_cast<uint32_t>(info.ipi_ifindex);
    arrival->destination_version = 4;
    std::memcpy(arrival->destination, &info.ipi_addr, sizeof info.ipi_addr);
  } else if (is(SOL_IPV6, IPV6_PKTINFO) && bytes >= sizeof(in6_pktinfo)) {
    in6_pktinfo info;
    std::memcpy(&info, data, sizeof info);
    arrival->interface_index = info.ipi6_ifindex;
    arrival->destination_version = 6;
    std::memcpy(arrival->destination, &info.ipi6_addr, sizeof info.ipi6_addr);
  }
}

int name_result(int failed, socklen_t bytes) {
  return failed < 0 ? -errno : static_cast<int>(std::min<socklen_t>(bytes, kNameBytes));
}

}  // namespace

int send_datagrams(int fd, const Envelope* envelopes, iovec* pieces, size_t count,
                   int flags) {
  mmsghdr messages[kBatch];
  alignas(cmsghdr) char controls[kBatch][kControlBytes];
  count = std::min(count, kBatch);
  for (size_t i = 0; i < count; i++) {
    const Envelope& envelope = envelopes[i];
    msghdr& header = messages[i].msg_hdr;
    std::memset(&header, 0, sizeof header);
    header.msg_iov = pieces;
    header.msg_iovlen = envelope.pieces;
    pieces += envelope.pieces;
    if (envelope.name_bytes > 0) {
      header.msg_name = const_cast<uint8_t*>(envelope.name);
      header.msg_namelen = envelope.name_bytes;
    }
    if (envelope.segment_size != 0 || envelope.tos != kNoTos || envelope.source_version != 0) {
      header.msg_controllen = write_control(envelope, controls[i]);
      header.msg_control = controls[i];
    }
  }
  return send_run(fd, messages, count, flags | MSG_DONTWAIT | MSG_NOSIGNAL);
}

int ReceiveBatch::receive(int fd, size_t limit) {
  if (slots_ == nullptr) {
    slots_.reset(new uint8_t[kBatch * kSlotStride]);
    controls_.reset(new uint8_t[kBatch * kControlBytes]);
  }
  count_ = 0;
  limit = std::min(limit, kBatch);
  for (size_t i = 0; i < limit; i++) {
    vectors_[i] = {slots_.get() + i * kSlotStride, kSlotBytes};
    msghdr& header = messages_[i].msg_hdr;
    header.msg_name = &names_[i];
    header.msg_namelen = sizeof names_[i];
    header.msg_iov = &vectors_[i];
    header.msg_iovlen = 1;
    header.msg_control = controls_.get() + i * kControlBytes;
    header.msg_controllen = kControlBytes;
    header.msg_flags = 0;
  }
  int received;
  do {
    received = recvmmsg(fd, messages_, static_cast<unsigned>(limit), MSG_DONTWAIT, nullptr);
  } while (received < 0 && errno == EINTR);
  if (received < 0) return -errno;
  count_ = static_cast<size_t>(received);
  return received;
}

size_t ReceiveBatch::total_bytes() const {
  size_t total = 0;
  for (size_t i = 0; i < count_; i++) total += messages_[i].msg_len;
  return total;
}

void ReceiveBatch::take(uint8_t* into, size_t offset, Arrival* arrivals) const {
  for (size_t i = 0; i < count_; i++) {
    const msghdr& header = messages_[i].msg_hdr;
    Arrival arrival;
    std::memset(&arrival, 0, sizeof arrival);
    arrival.tos = kNoTos;
    arrival.offset = static_cast<uint32_t>(offset);
    arrival.bytes = messages_[i].msg_len;
    if ((header.msg_flags & MSG_TRUNC) != 0) arrival.flags |= kArrivalTruncated;
    arrival.name_bytes = std::min<uint32_t>(header.msg_namelen, kNameBytes);
    std::memcpy(arrival.name, &names_[i], arrival.name_bytes);
    msghdr* walk = const_cast<msghdr*>(&header);
    for (cmsghdr* cmsg = CMSG_FIRSTHDR(walk); cmsg != nullptr; cmsg = CMSG_NXTHDR(walk, cmsg)) {
      read_control(*cmsg, &arrival);
    }
    std::memcpy(into + offset, vectors_[i].iov_base, arrival.bytes);
    offset += arrival.bytes;
    arrivals[i] = arrival;
  }
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
