// What rtnetlink and ethtool answer, taken apart. Pure: no system call.
// Source: man 7 rtnetlink, include/uapi/linux/ethtool.h.
#pragma once

#include <linux/ethtool.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernel/route.h"

namespace msg_zerocopy {

// The length of the message of `expected` type at the start of the `size` bytes received, at most `size`;
// or -errno: the one that the kernel answered, -EMSGSIZE when it did not fit, -EPROTO for anything else.
ssize_t check_answer(const char* answer, size_t size, uint16_t expected);

// Read what check_answer() found good: RTM_NEWROUTE to an address of `address_bytes`, RTM_NEWNEIGH, RTM_NEWLINK of
// the device `index`. 0, or -EPROTO when it is too short. Of `found` everything is set, but the driver is empty.
int read_route(const char* answer, size_t size, size_t address_bytes, Route* found);
int read_neighbour(const char* answer, size_t size, Neighbour* found);
int read_device(const char* answer, size_t size, uint32_t index, Device* found);

// Puts `text` of at most `bytes` bytes into `room` bytes, cut where it is too long, with an end.
void copy_text(char* to, size_t room, const char* text, size_t bytes);

// Appends the features that have a name. `names`: ETH_GSTRING_LEN bytes for each of `count` features;
// `blocks`: one for each 32 of them.
void read_features(const char* names, const ethtool_get_features_block* blocks, uint32_t count,
                   std::vector<DeviceFeature>* found);

}  // namespace msg_zerocopy
