#include "kernel/datagram_control.h"

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/ip.h>
#include <netinet/udp.h>

#include <algorithm>
#include <cstring>

#include "kernel/abi.h"
#include "kernel/control.h"

namespace msg_zerocopy {
namespace {

static_assert(kControlBytes >= CMSG_SPACE(sizeof(uint16_t)) + CMSG_SPACE(sizeof(int)) +
                                   CMSG_SPACE(sizeof(in6_pktinfo)),
              "room for every control message of metadata datagram");

struct ControlWriter {
  char* buffer;
  size_t used = 0;

  void add(int level, int type, const void* data, size_t bytes) {
    // The padding too: the kernel is given all of it.
    std::memset(buffer + used, 0, CMSG_SPACE(bytes));
    auto* header = reinterpret_cast<cmsghdr*>(buffer + used);
    header->cmsg_level = level;
    header->cmsg_type = type;
    header->cmsg_len = CMSG_LEN(bytes);
    std::memcpy(CMSG_DATA(header), data, bytes);
    used += CMSG_SPACE(bytes);
  }
};

}  // namespace

size_t write_control(const DatagramMetadata& metadata, char* buffer) {
  ControlWriter control = {buffer};
  if (metadata.segment_size != 0) {
    const uint16_t size = static_cast<uint16_t>(metadata.segment_size);
    control.add(SOL_UDP, UDP_SEGMENT, &size, sizeof size);
  }
  if (metadata.tos != kNoTos) {
    const int tos = static_cast<int>(metadata.tos);
    if (metadata.tos_version == 4) control.add(SOL_IP, IP_TOS, &tos, sizeof tos);
    else control.add(SOL_IPV6, IPV6_TCLASS, &tos, sizeof tos);
  }
  if (metadata.source_version == 4) {
    in_pktinfo info;
    std::memset(&info, 0, sizeof info);
    info.ipi_ifindex = static_cast<int>(metadata.interface_index);
    std::memcpy(&info.ipi_spec_dst, metadata.source, sizeof info.ipi_spec_dst);
    control.add(SOL_IP, IP_PKTINFO, &info, sizeof info);
  } else if (metadata.source_version == 6) {
    in6_pktinfo info;
    std::memset(&info, 0, sizeof info);
    info.ipi6_ifindex = metadata.interface_index;
    std::memcpy(&info.ipi6_addr, metadata.source, sizeof info.ipi6_addr);
    control.add(SOL_IPV6, IPV6_PKTINFO, &info, sizeof info);
  }
  return control.used;
}

namespace {

// struct tpacket_auxdata: headers before Linux 3.14 have no tp_vlan_tpid.
struct Auxdata {
  uint32_t status;
  uint32_t bytes;
  uint32_t kept_bytes;
  uint16_t mac;
  uint16_t net;
  uint16_t vlan_tci;
  uint16_t vlan_tpid;
};
static_assert(sizeof(Auxdata) == sizeof(tpacket_auxdata), "layout of tpacket_auxdata");

void read_auxdata(const uint8_t* data, Arrival* arrival) {
  Auxdata aux;
  std::memcpy(&aux, data, sizeof aux);
  // MSG_TRUNC does not show what a socket filter cut off.
  if (aux.kept_bytes < aux.bytes) arrival->flags |= kArrivalTruncated;
  if ((aux.status & TP_STATUS_VLAN_VALID) == 0) return;
  const bool has_tpid = (aux.status & TP_STATUS_VLAN_TPID_VALID) != 0;
  arrival->vlan = (has_tpid ? aux.vlan_tpid : uint32_t{ETH_P_8021Q}) << 16 | aux.vlan_tci;
}

}  // namespace

void read_control(const msghdr& message, Arrival* arrival) {
  arrival->tos = kNoTos;
  each_control(message, [arrival](int level, int type, const uint8_t* data, size_t bytes) {
    const auto is = [level, type](int l, int t) { return level == l && type == t; };
    const auto number = [data, bytes]() {
      // The kernel gives some as one byte and some as an int (net/ipv4/ip_sockglue.c).
      if (bytes == 1) return static_cast<int>(*data);
      int value = 0;
      std::memcpy(&value, data, std::min(bytes, sizeof value));
      return value;
    };
    if (is(SOL_PACKET, PACKET_AUXDATA) && bytes >= sizeof(Auxdata)) {
      read_auxdata(data, arrival);
    } else if (is(SOL_UDP, UDP_GRO)) {
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
    return true;
  });
}

}  // namespace msg_zerocopy
