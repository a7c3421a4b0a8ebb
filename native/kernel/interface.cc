#include "kernel/interface.h"

#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "kernel/sys.h"

namespace msg_zerocopy {
namespace {

int ask(int fd, unsigned long request, ifreq* answer) {
  return ioctl(fd, request, answer) < 0 ? -errno : 0;
}

}  // namespace

int find_interface(const char* name, Interface* found) {
  if (std::strlen(name) >= IFNAMSIZ) return -ENODEV;
  Fd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return -errno;
  ifreq request;
  std::memset(&request, 0, sizeof request);
  std::strcpy(request.ifr_name, name);
  int failed = ask(fd.get(), SIOCGIFINDEX, &request);
  if (failed < 0) return failed;
  found->index = static_cast<uint32_t>(request.ifr_ifindex);
  std::strcpy(found->name, name);
  failed = ask(fd.get(), SIOCGIFMTU, &request);
  if (failed < 0) return failed;
  found->mtu = static_cast<uint32_t>(request.ifr_mtu);
  failed = ask(fd.get(), SIOCGIFHWADDR, &request);
  if (failed < 0) return failed;
  found->type = request.ifr_hwaddr.sa_family;
  std::memcpy(found->address, request.ifr_hwaddr.sa_data, sizeof found->address);
  return 0;
}

int find_interface(uint32_t index, Interface* found) {
  char name[IFNAMSIZ];
  // ENXIO: no such index.
  if (if_indextoname(index, name) == nullptr) return errno == ENXIO ? -ENODEV : -errno;
  return find_interface(name, found);
}

}  // namespace msg_zerocopy
