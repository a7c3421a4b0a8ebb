// The control messages of a datagram to be sent: written from any metadata, read back as the kernel does.
#include <netinet/in.h>
#include <netinet/udp.h>

#include "control_message.h"
#include "kernel/datagram_control.h"

namespace {

using fuzz::expect;
using msg_zerocopy::DatagramMetadata;
using msg_zerocopy::kControlBytes;
using msg_zerocopy::kNoTos;

struct Seen {
  size_t messages = 0;
  uint32_t segment_size = 0;
  uint32_t tos = kNoTos;
  uint32_t tos_version = 0;
  uint32_t source_version = 0;
  uint32_t interface_index = 0;
  uint8_t source[16] = {};
};

template <typename Value>
Value value_of(const cmsghdr& header, const uint8_t* data) {
  expect(header.cmsg_len == CMSG_LEN(sizeof(Value)), "a value of the length that the kernel wants");
  Value value;
  std::memcpy(&value, data, sizeof value);
  return value;
}

void see(const cmsghdr& header, const uint8_t* data, Seen* seen) {
  seen->messages++;
  if (header.cmsg_level == SOL_UDP && header.cmsg_type == UDP_SEGMENT) {
    seen->segment_size = value_of<uint16_t>(header, data);
  } else if (header.cmsg_level == SOL_IP && header.cmsg_type == IP_TOS) {
    seen->tos = static_cast<uint32_t>(value_of<int>(header, data));
    seen->tos_version = 4;
  } else if (header.cmsg_level == SOL_IPV6 && header.cmsg_type == IPV6_TCLASS) {
    seen->tos = static_cast<uint32_t>(value_of<int>(header, data));
    seen->tos_version = 6;
  } else if (header.cmsg_level == SOL_IP && header.cmsg_type == IP_PKTINFO) {
    const auto info = value_of<in_pktinfo>(header, data);
    seen->source_version = 4;
    seen->interface_index = static_cast<uint32_t>(info.ipi_ifindex);
    std::memcpy(seen->source, &info.ipi_spec_dst, 4);
    expect(info.ipi_addr.s_addr == 0, "the kernel's own field is left to it");
  } else if (header.cmsg_level == SOL_IPV6 && header.cmsg_type == IPV6_PKTINFO) {
    const auto info = value_of<in6_pktinfo>(header, data);
    seen->source_version = 6;
    seen->interface_index = info.ipi6_ifindex;
    std::memcpy(seen->source, &info.ipi6_addr, 16);
  } else {
    expect(false, "no other control message");
  }
}

// CMSG_OK and __cmsg_nxthdr of include/linux/socket.h: what is not so is EINVAL of sendmsg(2).
Seen read_as_kernel(const uint8_t* control, size_t bytes) {
  Seen seen;
  for (size_t at = 0; at < bytes;) {
    expect(bytes - at >= sizeof(cmsghdr), "a whole header");
    cmsghdr header;
    std::memcpy(&header, control + at, sizeof header);
    expect(header.cmsg_len >= sizeof header && header.cmsg_len <= bytes - at, "within the buffer");
    see(header, control + at + CMSG_LEN(0), &seen);
    const size_t padded = CMSG_ALIGN(header.cmsg_len);
    for (size_t i = header.cmsg_len; i < padded; i++) expect(control[at + i] == 0, "padded with zeros");
    at += padded;
    expect(at <= bytes, "padding within the buffer");
  }
  return seen;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::Input input(data, size);
  const uint8_t choice = input.byte();
  DatagramMetadata metadata;
  const std::vector<uint8_t> raw = input.take(sizeof metadata);
  std::memcpy(&metadata, raw.data(), sizeof metadata);
  // Mostly what lib/datagram/metadata.ts writes.
  if ((choice & 1) != 0) metadata.segment_size = 0;
  if ((choice & 2) != 0) metadata.tos = kNoTos;
  if ((choice & 4) != 0) metadata.tos_version = (choice & 8) != 0 ? 4 : 6;
  if ((choice & 16) != 0) metadata.source_version = (choice & 32) != 0 ? 4 : (choice & 64) != 0 ? 6 : 0;

  const fuzz::Exact buffer(std::vector<uint8_t>(kControlBytes, 0xa5));
  const size_t used = write_control(metadata, buffer.text());
  expect(used <= kControlBytes, "no more than there is room for");
  for (size_t i = used; i < kControlBytes; i++) expect(buffer.data()[i] == 0xa5, "nothing behind");
  const Seen seen = read_as_kernel(buffer.data(), used);

  const bool has_source = metadata.source_version == 4 || metadata.source_version == 6;
  const size_t messages = (metadata.segment_size != 0 ? 1u : 0u) + (metadata.tos != kNoTos ? 1u : 0u) +
                          (has_source ? 1u : 0u);
  expect(seen.messages == messages, "metadata for each thing that is asked for");
  expect(seen.segment_size == (metadata.segment_size & 0xffff), "the segment size");
  expect(seen.tos == metadata.tos, "the type of service");
  if (metadata.tos != kNoTos) {
    expect(seen.tos_version == (metadata.tos_version == 4 ? 4u : 6u), "at its level");
  }
  if (!has_source) return 0;
  expect(seen.source_version == metadata.source_version, "the version of the source");
  expect(seen.interface_index == metadata.interface_index, "the interface");
  expect(std::memcmp(seen.source, metadata.source, metadata.source_version == 4 ? 4 : 16) == 0, "the source");
  return 0;
}
