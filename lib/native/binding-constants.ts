// Numbers that the addon exports, so that none is written twice: its own, and the kernel's.

/** Numbers that both sides share. */
export interface NativeConstants {
  readonly RECORD_WORDS: number;
  readonly RECORD_RANGE: number;
  readonly RECORD_COPIED: number;
  readonly RECORD_WRITABLE: number;
  readonly RECORD_PEER_DATA: number;
  readonly RECORD_HANGUP: number;
  readonly RECORD_READABLE: number;
  readonly RECORD_LOST: number;
  readonly RECORD_RELEASED: number;
  readonly RECORD_NEWS: number;
  readonly RECORD_UNKNOWN: number;
  readonly SEND_ZEROCOPY: number;
  readonly WRITE_PROBE: number;
  readonly WRITE_LOGS: number;
  readonly WRITE_CAUSE_SHIFT: number;
  readonly PORTS_PER_CHUNK: number;
  readonly STREAM_WORDS: number;
  readonly LOG_ENTRIES: number;
  readonly MOST_TEXT: number;
  /** Copying sends that share a call: how many of a turn, and bytes of one. */
  readonly MOST_BATCH: number;
  readonly MOST_BATCH_BYTES: number;
  /** Why moveFile() stopped: all is sent, the file is at its end, what follows is not in memory, its time is over. */
  readonly FILE_DONE: number;
  readonly FILE_END: number;
  readonly FILE_COLD: number;
  readonly FILE_TURN: number;
  /** Datagrams for one call, and buffers that they may consist of. */
  readonly BATCH: number;
  readonly PIECES_PER_BATCH: number;
  readonly METADATA_WORDS: number;
  readonly ARRIVAL_WORDS: number;
  readonly RECEIVE_SLOT_BYTES: number;
  readonly ARRIVAL_TRUNCATED: number;
  readonly NO_TOS: number;
  /** What a failed zero-copy datagram that took an id is less by. */
  readonly ID_TAKEN: number;
  /** Groups of rtnetlink that announce changes of links, addresses, routes and neighbours, as a mask. */
  readonly ROUTE_GROUPS: number;
}

/** Numbers of the kernel's, under its own names. */
export interface KernelConstants {
  readonly AF_INET: number;
  readonly AF_INET6: number;
  readonly AF_PACKET: number;
  readonly AF_NETLINK: number;
  readonly NETLINK_ROUTE: number;
  readonly SOCK_STREAM: number;
  readonly SOCK_DGRAM: number;
  readonly SOCK_RAW: number;
  readonly IPPROTO_TCP: number;
  readonly IPPROTO_UDP: number;
  readonly IPPROTO_ICMP: number;
  readonly IPPROTO_ICMPV6: number;
  readonly IPPROTO_RAW: number;
  readonly SOL_SOCKET: number;
  readonly SOL_IP: number;
  readonly SOL_IPV6: number;
  readonly SOL_UDP: number;
  readonly SOL_RAW: number;
  readonly SOL_PACKET: number;
  readonly SO_ZEROCOPY: number;
  readonly SO_REUSEADDR: number;
  readonly SO_REUSEPORT: number;
  readonly SO_BROADCAST: number;
  readonly SO_RCVBUF: number;
  readonly SO_SNDBUF: number;
  readonly SO_SNDBUFFORCE: number;
  readonly SO_BINDTODEVICE: number;
  readonly SO_DETACH_FILTER: number;
  readonly IP_HDRINCL: number;
  readonly IP_TTL: number;
  readonly IP_PKTINFO: number;
  readonly IP_RECVTOS: number;
  readonly IP_MULTICAST_TTL: number;
  readonly IP_MULTICAST_LOOP: number;
  readonly IP_MULTICAST_IF: number;
  readonly IP_ADD_MEMBERSHIP: number;
  readonly IP_DROP_MEMBERSHIP: number;
  readonly IP_ADD_SOURCE_MEMBERSHIP: number;
  readonly IP_DROP_SOURCE_MEMBERSHIP: number;
  readonly IPV6_V6ONLY: number;
  readonly IPV6_HDRINCL: number;
  readonly IPV6_CHECKSUM: number;
  readonly IPV6_UNICAST_HOPS: number;
  readonly IPV6_MULTICAST_HOPS: number;
  readonly IPV6_MULTICAST_LOOP: number;
  readonly IPV6_MULTICAST_IF: number;
  readonly IPV6_ADD_MEMBERSHIP: number;
  readonly IPV6_DROP_MEMBERSHIP: number;
  readonly IPV6_RECVPKTINFO: number;
  readonly IPV6_RECVTCLASS: number;
  readonly MCAST_JOIN_SOURCE_GROUP: number;
  readonly MCAST_LEAVE_SOURCE_GROUP: number;
  readonly UDP_SEGMENT: number;
  readonly UDP_GRO: number;
  readonly ICMP_FILTER: number;
  readonly ICMPV6_FILTER: number;
  readonly PACKET_VERSION: number;
  readonly PACKET_VNET_HDR: number;
  readonly PACKET_QDISC_BYPASS: number;
  readonly PACKET_IGNORE_OUTGOING: number;
  readonly PACKET_AUXDATA: number;
  readonly PACKET_ADD_MEMBERSHIP: number;
  readonly PACKET_MR_PROMISC: number;
  readonly PACKET_HOST: number;
  readonly PACKET_BROADCAST: number;
  readonly PACKET_MULTICAST: number;
  readonly PACKET_OTHERHOST: number;
  readonly PACKET_OUTGOING: number;
  readonly ARPHRD_ETHER: number;
  readonly ARPHRD_LOOPBACK: number;
  readonly ETH_P_ALL: number;
  readonly ETH_P_IP: number;
  readonly ETH_P_IPV6: number;
  readonly NUD_STALE: number;
  /** Of states in which the link address is known (include/net/neighbour.h). */
  readonly NUD_VALID: number;
  readonly RTN_UNICAST: number;
  readonly RTN_LOCAL: number;
  readonly RTN_BROADCAST: number;
  readonly RTN_MULTICAST: number;
  readonly VIRTIO_NET_HDR_F_NEEDS_CSUM: number;
  readonly VIRTIO_NET_HDR_GSO_NONE: number;
  readonly VIRTIO_NET_HDR_GSO_TCPV4: number;
  readonly VIRTIO_NET_HDR_GSO_TCPV6: number;
  readonly VIRTIO_NET_HDR_GSO_UDP_L4: number;
}
