#include "kernel/probe.h"

#include <sys/socket.h>

#include <cerrno>

#include "kernel/abi.h"
#include "kernel/apart.h"
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

Probe try_option(int domain, int type, int protocol, int level, int name) {
  Fd fd(socket(domain, type | SOCK_CLOEXEC, protocol));
  if (!fd.valid()) return refused(errno);
  const int set = set_option(fd.get(), level, name, 1);
  if (set < 0) return refused(-set);
  // A sandbox that swallows the call without carrying it out is seen here.
  const int read_back = get_option(fd.get(), level, name);
  if (read_back < 0) return refused(-read_back);
  return {read_back == 1 ? Support::kYes : Support::kNo, 0};
}

}  // namespace

Probe probe_option(int domain, int type, int protocol, int level, int name) {
  const auto trial = [&] { return try_option(domain, type, protocol, level, name); };
  // Node opens sockets of other types itself: their filters let them.
  if (type != SOCK_RAW) return trial();
  Probe found;
  const int tried = try_apart(&found, trial);
  if (tried == kTrialKilled) return {Support::kFatal, 0};
  return tried < 0 ? refused(-tried) : found;
}

}  // namespace msg_zerocopy
