// Numbers that both sides share, so that none of the kernel's is written in TypeScript.
#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/rtnetlink.h>
#include <netinet/udp.h>

#include <initializer_list>

#include "kernel/abi.h"
#include "kernel/datagram.h"
#include "kernel/sendfile.h"
#include "node/arguments.h"
#include "node/records.h"

// linux/in.h and linux/in6.h define these beside what netinet/in.h defines already.
#ifndef IPV6_HDRINCL  // Linux 4.17, include/uapi/linux/in6.h
#define IPV6_HDRINCL 36
#endif
#ifndef PACKET_IGNORE_OUTGOING  // Linux 4.20, include/uapi/linux/if_packet.h
#define PACKET_IGNORE_OUTGOING 23
#endif
#ifndef RTNLGRP_NEXTHOP  // Linux 5.3, include/uapi/linux/rtnetlink.h
#define RTNLGRP_NEXTHOP 32
#endif
#ifndef ICMP_FILTER  // include/uapi/linux/icmp.h
#define ICMP_FILTER 1
#endif

namespace msg_zerocopy {
namespace {

struct Constant {
  const char* name;
  double value;
};

constexpr double mask_of(std::initializer_list<int> groups) {
  uint32_t mask = 0;
  for (const int group : groups) mask |= uint32_t{1} << (group - 1);
  return mask;
}

constexpr Constant kOwn[] = {
    {"RECORD_WORDS", kRecordWords},
    {"RECORD_RANGE", kRange},
    {"RECORD_COPIED", kCopied},
    {"RECORD_WRITABLE", kWritable},
    {"RECORD_PEER_DATA", kPeerData},
    {"RECORD_HANGUP", kHangup},
    {"RECORD_READABLE", kReadable},
    {"RECORD_LOST", kLost},
    {"RECORD_RELEASED", kReleased},
    {"RECORD_NEWS", kNews},
    {"RECORD_UNKNOWN", kUnknown},
    {"SEND_ZEROCOPY", kSendZeroCopy},
    {"WRITE_PROBE", kWriteProbe},
    {"WRITE_LOGS", kWriteLogs},
    {"WRITE_CAUSE_SHIFT", kWriteCauseShift},
    {"PORTS_PER_CHUNK", Reactor::kPortsPerChunk},
    {"STREAM_WORDS", kStreamWords},
    {"LOG_ENTRIES", SendLog::kEntries},
    {"MOST_TEXT", kMostText},
    {"MOST_BATCH", SendBatch::kMostSends},
    {"MOST_BATCH_BYTES", SendBatch::kMostBytes},
    {"FILE_DONE", kFileDone},
    {"FILE_END", kFileEnd},
    {"FILE_COLD", kFileCold},
    {"FILE_TURN", kFileTurn},
    {"BATCH", kBatch},
    {"PIECES_PER_BATCH", kPiecesPerBatch},
    {"METADATA_WORDS", sizeof(DatagramMetadata) / 4},
    {"ARRIVAL_WORDS", sizeof(Arrival) / 4},
    {"RECEIVE_SLOT_BYTES", kSlotBytes},
    {"ARRIVAL_TRUNCATED", kArrivalTruncated},
    {"NO_TOS", kNoTos},
    {"ID_TAKEN", Port::kIdTaken},
    {"ROUTE_GROUPS",
     mask_of({RTNLGRP_LINK, RTNLGRP_NEIGH, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV4_RULE,
              RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV6_RULE, RTNLGRP_NEXTHOP})},
};

#define KERNEL_CONSTANT(name) {#name, static_cast<double>(name)}
constexpr Constant kKernel[] = {
    KERNEL_CONSTANT(AF_INET),
    KERNEL_CONSTANT(AF_INET6),
    KERNEL_CONSTANT(AF_PACKET),
    KERNEL_CONSTANT(AF_NETLINK),
    KERNEL_CONSTANT(NETLINK_ROUTE),
    KERNEL_CONSTANT(SOCK_STREAM),
    KERNEL_CONSTANT(SOCK_DGRAM),
    KERNEL_CONSTANT(SOCK_RAW),
    KERNEL_CONSTANT(IPPROTO_TCP),
    KERNEL_CONSTANT(IPPROTO_UDP),
    KERNEL_CONSTANT(IPPROTO_ICMP),
    KERNEL_CONSTANT(IPPROTO_ICMPV6),
    KERNEL_CONSTANT(IPPROTO_RAW),
    KERNEL_CONSTANT(SOL_SOCKET),
    KERNEL_CONSTANT(SOL_IP),
    KERNEL_CONSTANT(SOL_IPV6),
    KERNEL_CONSTANT(SOL_UDP),
    KERNEL_CONSTANT(SOL_RAW),
    KERNEL_CONSTANT(SOL_PACKET),
    KERNEL_CONSTANT(SO_ZEROCOPY),
    KERNEL_CONSTANT(SO_REUSEADDR),
    KERNEL_CONSTANT(SO_REUSEPORT),
    KERNEL_CONSTANT(SO_BROADCAST),
    KERNEL_CONSTANT(SO_RCVBUF),
    KERNEL_CONSTANT(SO_SNDBUF),
    KERNEL_CONSTANT(SO_SNDBUFFORCE),
    KERNEL_CONSTANT(SO_BINDTODEVICE),
    KERNEL_CONSTANT(SO_DETACH_FILTER),
    KERNEL_CONSTANT(IP_HDRINCL),
    KERNEL_CONSTANT(IP_TTL),
    KERNEL_CONSTANT(IP_PKTINFO),
    KERNEL_CONSTANT(IP_RECVTOS),
    KERNEL_CONSTANT(IP_MULTICAST_TTL),
    KERNEL_CONSTANT(IP_MULTICAST_LOOP),
    KERNEL_CONSTANT(IP_MULTICAST_IF),
    KERNEL_CONSTANT(IP_ADD_MEMBERSHIP),
    KERNEL_CONSTANT(IP_DROP_MEMBERSHIP),
    KERNEL_CONSTANT(IP_ADD_SOURCE_MEMBERSHIP),
    KERNEL_CONSTANT(IP_DROP_SOURCE_MEMBERSHIP),
    KERNEL_CONSTANT(IPV6_V6ONLY),
    KERNEL_CONSTANT(IPV6_HDRINCL),
    KERNEL_CONSTANT(IPV6_CHECKSUM),
    KERNEL_CONSTANT(IPV6_UNICAST_HOPS),
    KERNEL_CONSTANT(IPV6_MULTICAST_HOPS),
    KERNEL_CONSTANT(IPV6_MULTICAST_LOOP),
    KERNEL_CONSTANT(IPV6_MULTICAST_IF),
    KERNEL_CONSTANT(IPV6_ADD_MEMBERSHIP),
    KERNEL_CONSTANT(IPV6_DROP_MEMBERSHIP),
    KERNEL_CONSTANT(IPV6_RECVPKTINFO),
    KERNEL_CONSTANT(IPV6_RECVTCLASS),
    KERNEL_CONSTANT(MCAST_JOIN_SOURCE_GROUP),
    KERNEL_CONSTANT(MCAST_LEAVE_SOURCE_GROUP),
    KERNEL_CONSTANT(UDP_SEGMENT),
    KERNEL_CONSTANT(UDP_GRO),
    KERNEL_CONSTANT(ICMP_FILTER),
    KERNEL_CONSTANT(ICMPV6_FILTER),
    KERNEL_CONSTANT(PACKET_VERSION),
    KERNEL_CONSTANT(PACKET_VNET_HDR),
    KERNEL_CONSTANT(PACKET_QDISC_BYPASS),
    KERNEL_CONSTANT(PACKET_IGNORE_OUTGOING),
    KERNEL_CONSTANT(PACKET_AUXDATA),
    KERNEL_CONSTANT(PACKET_ADD_MEMBERSHIP),
    KERNEL_CONSTANT(PACKET_MR_PROMISC),
    KERNEL_CONSTANT(PACKET_HOST),
    KERNEL_CONSTANT(PACKET_BROADCAST),
    KERNEL_CONSTANT(PACKET_MULTICAST),
    KERNEL_CONSTANT(PACKET_OTHERHOST),
    KERNEL_CONSTANT(PACKET_OUTGOING),
    KERNEL_CONSTANT(ARPHRD_ETHER),
    KERNEL_CONSTANT(ARPHRD_LOOPBACK),
    KERNEL_CONSTANT(ETH_P_ALL),
    KERNEL_CONSTANT(ETH_P_IP),
    KERNEL_CONSTANT(ETH_P_IPV6),
    KERNEL_CONSTANT(NUD_STALE),
    {"NUD_VALID", NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_PROBE | NUD_STALE | NUD_DELAY},
    KERNEL_CONSTANT(RTN_UNICAST),
    KERNEL_CONSTANT(RTN_LOCAL),
    KERNEL_CONSTANT(RTN_BROADCAST),
    KERNEL_CONSTANT(RTN_MULTICAST),
    // include/uapi/linux/virtio_net.h, which is not C++ (it names a field `class`).
    {"VIRTIO_NET_HDR_F_NEEDS_CSUM", 1},
    {"VIRTIO_NET_HDR_GSO_NONE", 0},
    {"VIRTIO_NET_HDR_GSO_TCPV4", 1},
    {"VIRTIO_NET_HDR_GSO_TCPV6", 4},
    {"VIRTIO_NET_HDR_GSO_UDP_L4", 5},  // Linux 6.2
};
#undef KERNEL_CONSTANT

}  // namespace

void export_constants(Napi::Env env, Napi::Object exports) {
  Napi::Object own = Napi::Object::New(env);
  for (const Constant& constant : kOwn) own[constant.name] = constant.value;
  exports["constants"] = own;
  Napi::Object kernel = Napi::Object::New(env);
  for (const Constant& constant : kKernel) kernel[constant.name] = constant.value;
  exports["kernel"] = kernel;
}

}  // namespace msg_zerocopy
