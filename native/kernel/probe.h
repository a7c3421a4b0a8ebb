// What this kernel can do, found out by trying on throwaway sockets.
#pragma once

#include <cstdint>

namespace msg_zerocopy {

// kFatal: a seccomp filter kills the caller.
enum class Support { kNo = 0, kYes = 1, kUnknown = 2, kFatal = 3 };

struct Probe {
  Support support;
  int error;  // the errno that decided, 0 when none
};

// Switches a boolean option on, on a throwaway socket, and reads it back.
Probe probe_option(int domain, int type, int protocol, int level, int name);

}  // namespace msg_zerocopy
