// What this kernel can do, found out by trying on throwaway sockets.
#pragma once

#include <cstdint>

namespace msg_zerocopy {

enum class Support { kNo = 0, kYes = 1, kUnknown = 2 };

struct Probe {
  Support support;
  int error;  // the errno that decided, 0 when none
};

// SO_ZEROCOPY on a TCP socket of the address family (AF_INET, AF_INET6). Linux 4.14.
Probe probe_tcp_zerocopy(int family);

}  // namespace msg_zerocopy
