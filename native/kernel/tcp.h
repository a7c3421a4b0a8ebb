// What is particular to TCP sockets. Knows nothing of Node or of libuv.
#pragma once

namespace msg_zerocopy {

// 0 when `fd` is a TCP stream socket over IPv4 or IPv6 (MPTCP is not), -EPROTONOSUPPORT otherwise.
int check_tcp(int fd);

// Aborts the connection with connect(AF_UNSPEC): RST to the peer, queues purged, and, unlike after
// close(), the notifications of everything purged stay readable (net/ipv4/tcp.c:tcp_disconnect).
int abort_connection(int fd);

// Bytes that were sent and not acknowledged, or not sent yet (SIOCOUTQ).
int unacknowledged_bytes(int fd);

// 1 when the peer's data waits to be read, 0 when none or its end of stream does, -errno otherwise.
int has_unread_data(int fd);

// Whether anything but zero-copy notifications may enter the error queue of `fd`: IP_RECVERR,
// IPV6_RECVERR or transmit timestamps are on. 1 or 0.
int has_foreign_entries(int fd);

}  // namespace msg_zerocopy
