// Network interfaces by name and by index. Knows nothing of Node or of libuv.
#pragma once

#include <cstdint>

namespace msg_zerocopy {

struct Interface {
  uint32_t index;
  char name[16];  // IFNAMSIZ
  uint32_t mtu;
  uint32_t type;  // ARPHRD_…
  uint8_t address[6];
};

// -ENODEV when there is none.
int find_interface(const char* name, Interface* found);
int find_interface(uint32_t index, Interface* found);

}  // namespace msg_zerocopy
