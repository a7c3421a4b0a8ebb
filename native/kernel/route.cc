#include "kernel/route.h"

#include <linux/ethtool.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>
#include <cstring>

#include "kernel/route_answer.h"
#include "kernel/sys.h"

namespace msg_zerocopy {
namespace {

// A link with all its attributes is about 2 KiB, more with many queues or virtual functions.
constexpr size_t kAnswerBytes = 64 * 1024;
constexpr time_t kAnswerSeconds = 2;

// Room for the fixed header of a request and a few attributes.
struct Request {
  nlmsghdr header;
  char body[128];
};

void add_attribute(Request* request, unsigned short type, const void* data, size_t bytes) {
  const size_t at = NLMSG_ALIGN(request->header.nlmsg_len);
  rtattr attribute;
  attribute.rta_type = type;
  attribute.rta_len = static_cast<unsigned short>(RTA_LENGTH(bytes));
  char* start = reinterpret_cast<char*>(request) + at;
  std::memcpy(start, &attribute, sizeof attribute);
  std::memcpy(start + RTA_LENGTH(0), data, bytes);
  request->header.nlmsg_len = static_cast<uint32_t>(at + RTA_ALIGN(attribute.rta_len));
}

template <typename Fixed>
Request make_request(uint16_t type, const Fixed& fixed) {
  Request request;
  std::memset(&request, 0, sizeof request);
  request.header.nlmsg_len = NLMSG_LENGTH(sizeof fixed);
  request.header.nlmsg_type = type;
  request.header.nlmsg_flags = NLM_F_REQUEST;
  std::memcpy(NLMSG_DATA(&request.header), &fixed, sizeof fixed);
  return request;
}

// Asks rtnetlink one question. The answer's size, or -errno; it is of `expected` type.
ssize_t ask(Request* request, uint16_t expected, std::vector<char>* answer) {
  Fd fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!fd.valid()) return -errno;
  // The kernel answers within the call; a sandbox that swallows it must not hang this thread.
  const timeval patience = {kAnswerSeconds, 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  if (send(fd.get(), request, request->header.nlmsg_len, 0) < 0) return -errno;
  answer->resize(kAnswerBytes);
  const ssize_t size = recv(fd.get(), answer->data(), answer->size(), 0);
  if (size < 0) return -errno;
  return check_answer(answer->data(), static_cast<size_t>(size), expected);
}

// One ethtool command about `name`, whose structure starts at `command`.
int ask_device(int fd, const char* name, void* command) {
  ifreq request;
  std::memset(&request, 0, sizeof request);
  copy_text(request.ifr_name, sizeof request.ifr_name, name, std::strlen(name));
  request.ifr_data = static_cast<char*>(command);
  return ioctl(fd, SIOCETHTOOL, &request) < 0 ? -errno : 0;
}

// Devices without a driver of their own (loopback) do not answer.
void read_driver(Device* device) {
  Fd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return;
  ethtool_drvinfo info;
  std::memset(&info, 0, sizeof info);
  info.cmd = ETHTOOL_GDRVINFO;
  if (ask_device(fd.get(), device->name, &info) < 0) return;
  copy_text(device->driver, sizeof device->driver, info.driver, sizeof info.driver);
}

// A structure of ethtool's with an array behind it, in memory that is aligned for it.
template <typename Fixed>
std::vector<uint32_t> with_array(size_t array_bytes) {
  return std::vector<uint32_t>((sizeof(Fixed) + array_bytes + 3) / 4, 0);
}

// How many features there are; 0: the kernel does not say.
uint32_t count_features(int fd, const char* name) {
  auto memory = with_array<ethtool_sset_info>(sizeof(uint32_t));
  auto* info = reinterpret_cast<ethtool_sset_info*>(memory.data());
  info->cmd = ETHTOOL_GSSET_INFO;
  info->sset_mask = uint64_t{1} << ETH_SS_FEATURES;
  if (ask_device(fd, name, info) < 0 || info->sset_mask == 0) return 0;
  return memory[sizeof(ethtool_sset_info) / 4];
}

}  // namespace

int find_route(const uint8_t* address, size_t bytes, uint32_t device, const uint8_t* source, Route* found) {
  if (bytes != 4 && bytes != 16) return -EAFNOSUPPORT;
  rtmsg wanted;
  std::memset(&wanted, 0, sizeof wanted);
  wanted.rtm_family = bytes == 4 ? AF_INET : AF_INET6;
  wanted.rtm_dst_len = static_cast<unsigned char>(bytes * 8);
  if (source != nullptr) wanted.rtm_src_len = wanted.rtm_dst_len;
  Request request = make_request(RTM_GETROUTE, wanted);
  add_attribute(&request, RTA_DST, address, bytes);
  if (source != nullptr) add_attribute(&request, RTA_SRC, source, bytes);
  if (device != 0) add_attribute(&request, RTA_OIF, &device, sizeof device);
  std::vector<char> answer;
  const ssize_t size = ask(&request, RTM_NEWROUTE, &answer);
  if (size < 0) return static_cast<int>(size);
  return read_route(answer.data(), static_cast<size_t>(size), bytes, found);
}

int find_neighbour(const uint8_t* address, size_t bytes, uint32_t device, Neighbour* found) {
  if (bytes != 4 && bytes != 16) return -EAFNOSUPPORT;
  ndmsg wanted;
  std::memset(&wanted, 0, sizeof wanted);
  wanted.ndm_family = bytes == 4 ? AF_INET : AF_INET6;
  wanted.ndm_ifindex = static_cast<int>(device);
  Request request = make_request(RTM_GETNEIGH, wanted);
  add_attribute(&request, NDA_DST, address, bytes);
  std::vector<char> answer;
  const ssize_t size = ask(&request, RTM_NEWNEIGH, &answer);
  if (size < 0) return static_cast<int>(size);
  return read_neighbour(answer.data(), static_cast<size_t>(size), found);
}

int describe_device(uint32_t index, Device* found) {
  ifinfomsg wanted;
  std::memset(&wanted, 0, sizeof wanted);
  wanted.ifi_family = AF_UNSPEC;
  wanted.ifi_index = static_cast<int>(index);
  Request request = make_request(RTM_GETLINK, wanted);
  std::vector<char> answer;
  const ssize_t size = ask(&request, RTM_NEWLINK, &answer);
  if (size < 0) return static_cast<int>(size);
  const int failed = read_device(answer.data(), static_cast<size_t>(size), index, found);
  if (failed < 0) return failed;
  read_driver(found);
  return 0;
}

int device_features(const char* name, std::vector<DeviceFeature>* found) {
  Fd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return -errno;
  const uint32_t count = count_features(fd.get(), name);
  if (count == 0) return -EOPNOTSUPP;

  auto names_memory = with_array<ethtool_gstrings>(size_t{count} * ETH_GSTRING_LEN);
  auto* names = reinterpret_cast<ethtool_gstrings*>(names_memory.data());
  names->cmd = ETHTOOL_GSTRINGS;
  names->string_set = ETH_SS_FEATURES;
  names->len = count;
  int failed = ask_device(fd.get(), name, names);
  if (failed < 0) return failed;

  const uint32_t blocks = (count + 31) / 32;
  auto states_memory = with_array<ethtool_gfeatures>(blocks * sizeof(ethtool_get_features_block));
  auto* states = reinterpret_cast<ethtool_gfeatures*>(states_memory.data());
  states->cmd = ETHTOOL_GFEATURES;
  states->size = blocks;
  failed = ask_device(fd.get(), name, states);
  if (failed < 0) return failed;

  const char* texts = reinterpret_cast<const char*>(names_memory.data()) + sizeof(ethtool_gstrings);
  read_features(texts, states->features, count, found);
  return 0;
}

}  // namespace msg_zerocopy
