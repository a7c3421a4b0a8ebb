// How packets leave this network namespace, and what the device there can do. Neither /proc nor /sys is reliable for
// that: a /sys that was mounted elsewhere shows another namespace's devices.
// Knows nothing of Node or of libuv.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace msg_zerocopy {

struct Route {
  uint32_t device;  // index
  uint32_t type;    // RTN_…
  uint32_t mtu;     // of the path, where the route knows it (RTAX_MTU); 0: the device's
  bool rewrites;    // a packet does not leave as it is: encapsulated, or to a gateway of the other family
  uint8_t address_bytes;   // 4 or 16, of what follows
  bool has_source;
  bool has_gateway;
  uint8_t source[16];
  uint8_t gateway[16];
};

// The route to `address` (4 or 16 bytes). `device`: through this one only, for link-local addresses;
// 0: through any. `source`: of as many bytes, for routes that depend on it; null: any.
// -errno: the kernel's own where there is no route (ENETUNREACH, EHOSTUNREACH …).
int find_route(const uint8_t* address, size_t bytes, uint32_t device, const uint8_t* source, Route* found);

struct Neighbour {
  uint32_t state;         // NUD_…
  uint8_t address_bytes;  // of what follows; 0: not known
  uint8_t address[32];    // MAX_ADDR_LEN
};

// What is known of the neighbour `address` (4 or 16 bytes) on `device`. -ENOENT: nothing.
// -EOPNOTSUPP before Linux 5.0.
int find_neighbour(const uint8_t* address, size_t bytes, uint32_t device, Neighbour* found);

struct Device {
  uint32_t index;
  uint32_t type;   // ARPHRD_…
  uint32_t flags;  // IFF_…
  uint32_t mtu;
  char name[16];    // IFNAMSIZ
  char kind[32];    // IFLA_INFO_KIND: "veth", "bridge" …; empty for hardware and for loopback
  char driver[32];  // of ethtool; empty where the device does not say
  uint32_t lower;   // what this one lies on (vlan, macvlan …), in this namespace; 0: none
};

// -ENODEV when there is none.
int describe_device(uint32_t index, Device* found);

struct DeviceFeature {
  char name[33];    // ETH_GSTRING_LEN and an end
  bool active;
  bool changeable;  // by ethtool -K
};

// Every feature of the device that the kernel knows by name.
int device_features(const char* name, std::vector<DeviceFeature>* found);

}  // namespace msg_zerocopy
