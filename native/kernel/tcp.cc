#include "kernel/tcp.h"

#include <sys/ioctl.h>

#include <cerrno>
#include <cstring>

#include "kernel/abi.h"
#include "kernel/sys.h"

namespace msg_zerocopy {

int check_tcp(int fd) {
  const int domain = get_option(fd, SOL_SOCKET, SO_DOMAIN);
  if (domain < 0) return domain;
  if (domain != AF_INET && domain != AF_INET6) return -EPROTONOSUPPORT;
  const int protocol = get_option(fd, SOL_SOCKET, SO_PROTOCOL);
  if (protocol < 0) return protocol;
  return protocol == IPPROTO_TCP ? 0 : -EPROTONOSUPPORT;
}

int abort_connection(int fd) {
  sockaddr address;
  std::memset(&address, 0, sizeof address);
  address.sa_family = AF_UNSPEC;
  return connect(fd, &address, sizeof address) < 0 ? -errno : 0;
}

int unacknowledged_bytes(int fd) {
  int bytes = 0;
  return ioctl(fd, SIOCOUTQ, &bytes) < 0 ? -errno : bytes;
}

int has_unread_data(int fd) {
  char byte;
  const ssize_t received = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  if (received < 0) return errno == EAGAIN ? 0 : -errno;
  return received > 0 ? 1 : 0;
}

int has_foreign_entries(int fd) {
  // An option that this socket does not know answers a negative value: not set.
  return get_option(fd, SOL_IP, IP_RECVERR) > 0 || get_option(fd, SOL_IPV6, IPV6_RECVERR) > 0 ||
         get_option(fd, SOL_SOCKET, SO_TIMESTAMPING) > 0;
}

}  // namespace msg_zerocopy
