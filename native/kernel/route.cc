#include "kernel/route.h"

#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

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

// Calls `take(type, data, bytes)` for each attribute in `bytes` bytes from `at`.
template <typename Take>
void each_attribute(const char* at, size_t bytes, Take take) {
  while (bytes >= sizeof(rtattr)) {
    rtattr attribute;
    std::memcpy(&attribute, at, sizeof attribute);
    if (attribute.rta_len < sizeof attribute || attribute.rta_len > bytes) return;
    take(static_cast<uint16_t>(attribute.rta_type & NLA_TYPE_MASK), at + RTA_LENGTH(0),
         attribute.rta_len - static_cast<size_t>(RTA_LENGTH(0)));
    const size_t step = std::min<size_t>(RTA_ALIGN(attribute.rta_len), bytes);
    at += step;
    bytes -= step;
  }
}

uint32_t word_of(const char* data, size_t bytes) {
  uint32_t word = 0;
  if (bytes >= sizeof word) std::memcpy(&word, data, sizeof word);
  return word;
}

void copy_text(char* to, size_t room, const char* data, size_t bytes) {
  const size_t length = std::min(room - 1, strnlen(data, bytes));
  std::memcpy(to, data, length);
  to[length] = '\0';
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
  nlmsghdr header;
  if (static_cast<size_t>(size) < sizeof header) return -EPROTO;
  std::memcpy(&header, answer->data(), sizeof header);
  if (header.nlmsg_len > static_cast<size_t>(size)) return -EMSGSIZE;
  if (header.nlmsg_type == NLMSG_ERROR) {
    if (header.nlmsg_len < NLMSG_LENGTH(sizeof(nlmsgerr))) return -EPROTO;
    nlmsgerr refusal;
    std::memcpy(&refusal, answer->data() + NLMSG_HDRLEN, sizeof refusal);
    return refusal.error == 0 ? -EPROTO : refusal.error;
  }
  return header.nlmsg_type == expected ? static_cast<ssize_t>(header.nlmsg_len) : -EPROTO;
}

// Splits an answer into its fixed part and its attributes.
template <typename Fixed, typename Take>
int read_answer(const std::vector<char>& answer, ssize_t size, Fixed* fixed, Take take) {
  const size_t start = NLMSG_SPACE(sizeof(Fixed));
  if (static_cast<size_t>(size) < start) return -EPROTO;
  std::memcpy(fixed, answer.data() + NLMSG_HDRLEN, sizeof(Fixed));
  each_attribute(answer.data() + start, static_cast<size_t>(size) - start, take);
  return 0;
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

int find_route(const uint8_t* address, size_t bytes, uint32_t device, Route* found) {
  if (bytes != 4 && bytes != 16) return -EAFNOSUPPORT;
  rtmsg wanted;
  std::memset(&wanted, 0, sizeof wanted);
  wanted.rtm_family = bytes == 4 ? AF_INET : AF_INET6;
  wanted.rtm_dst_len = static_cast<unsigned char>(bytes * 8);
  Request request = make_request(RTM_GETROUTE, wanted);
  add_attribute(&request, RTA_DST, address, bytes);
  if (device != 0) add_attribute(&request, RTA_OIF, &device, sizeof device);
  std::vector<char> answer;
  const ssize_t size = ask(&request, RTM_NEWROUTE, &answer);
  if (size < 0) return static_cast<int>(size);
  std::memset(found, 0, sizeof *found);
  found->address_bytes = static_cast<uint8_t>(bytes);
  rtmsg route;
  const int failed =
      read_answer(answer, size, &route, [&](uint16_t type, const char* data, size_t length) {
        if (type == RTA_OIF) found->device = word_of(data, length);
        if (type == RTA_PREFSRC && length == bytes) {
          found->has_source = true;
          std::memcpy(found->source, data, length);
        }
        if (type == RTA_GATEWAY && length == bytes) {
          found->has_gateway = true;
          std::memcpy(found->gateway, data, length);
        }
      });
  found->type = route.rtm_type;
  return failed;
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
  std::memset(found, 0, sizeof *found);
  bool lower_is_elsewhere = false;
  ifinfomsg link;
  const int failed =
      read_answer(answer, size, &link, [&](uint16_t type, const char* data, size_t bytes) {
        if (type == IFLA_IFNAME) copy_text(found->name, sizeof found->name, data, bytes);
        if (type == IFLA_MTU) found->mtu = word_of(data, bytes);
        if (type == IFLA_LINK) found->lower = word_of(data, bytes);
        // Then IFLA_LINK is an index of another namespace's.
        if (type == IFLA_LINK_NETNSID) lower_is_elsewhere = true;
        if (type != IFLA_LINKINFO) return;
        each_attribute(data, bytes, [&](uint16_t inner, const char* text, size_t length) {
          if (inner == IFLA_INFO_KIND) copy_text(found->kind, sizeof found->kind, text, length);
        });
      });
  if (failed < 0) return failed;
  found->index = index;
  found->type = link.ifi_type;
  found->flags = link.ifi_flags;
  // A veth's IFLA_LINK is its other end, which lies beside it and not below.
  if (lower_is_elsewhere || found->lower == index || std::strcmp(found->kind, "veth") == 0) {
    found->lower = 0;
  }
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
  // Blocks that this kernel did not fill are zero: nothing is said of those features.
  for (uint32_t i = 0; i < count; ++i) {
    const ethtool_get_features_block& block = states->features[i / 32];
    const uint32_t bit = uint32_t{1} << (i % 32);
    DeviceFeature feature;
    copy_text(feature.name, sizeof feature.name, texts + size_t{i} * ETH_GSTRING_LEN, ETH_GSTRING_LEN);
    if (feature.name[0] == '\0') continue;
    feature.active = (block.active & bit) != 0;
    feature.changeable = (block.available & bit) != 0 && (block.never_changed & bit) == 0;
    found->push_back(feature);
  }
  return 0;
}

}  // namespace msg_zerocopy
