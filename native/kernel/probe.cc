#include "kernel/probe.h"

#include <sys/socket.h>

#include <cerrno>

#include "kernel/abi.h"
#include "kernel/sys.h"

namespace msg_zerocopy {
namespace {

constexpr int kNotSupportedInternally = 524;  // ENOTSUPP, which kernels before 6.1 let out

bool says_unsupported(int error) {
  return error == EOPNOTSUPP || error == ENOPROTOOPT || error == kNotSupportedInternally ||
         error == EAFNOSUPPORT || error == EPROTONOSUPPORT;
}

Probe refused(int error) {
  return {says_unsupported(error) ? Support::kNo : Support::kUnknown, error};
}

}  // namespace

Probe probe_tcp_zerocopy(int family) {
  Fd fd(socket(family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP));
  if (!fd.valid()) return refused(errno);
  const int set = set_option(fd.get(), SOL_SOCKET, SO_ZEROCOPY, 1);
  if (set < 0) return refused(-set);
  // A sandbox that swallows the call without carrying it out is seen here.
  const int read_back = get_option(fd.get(), SOL_SOCKET, SO_ZEROCOPY);
  if (read_back < 0) return refused(-read_back);
  return {read_back == 1 ? Support::kYes : Support::kNo, 0};
}

}  // namespace msg_zerocopy
