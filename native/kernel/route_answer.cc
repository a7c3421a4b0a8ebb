#include "kernel/route_answer.h"

#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace msg_zerocopy {
namespace {

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

// Splits an answer into its fixed part and its attributes.
template <typename Fixed, typename Take>
int read_answer(const char* answer, size_t size, Fixed* fixed, Take take) {
  constexpr size_t start = NLMSG_SPACE(sizeof(Fixed));
  if (size < start) return -EPROTO;
  std::memcpy(fixed, answer + NLMSG_HDRLEN, sizeof(Fixed));
  each_attribute(answer + start, size - start, take);
  return 0;
}

}  // namespace

ssize_t check_answer(const char* answer, size_t size, uint16_t expected) {
  nlmsghdr header;
  if (size < sizeof header) return -EPROTO;
  std::memcpy(&header, answer, sizeof header);
  if (header.nlmsg_len > size) return -EMSGSIZE;
  if (header.nlmsg_type == NLMSG_ERROR) {
    nlmsgerr refusal;
    if (header.nlmsg_len < NLMSG_LENGTH(sizeof refusal)) return -EPROTO;
    std::memcpy(&refusal, answer + NLMSG_HDRLEN, sizeof refusal);
    return refusal.error < 0 ? refusal.error : -EPROTO;
  }
  return header.nlmsg_type == expected ? static_cast<ssize_t>(header.nlmsg_len) : -EPROTO;
}

int read_route(const char* answer, size_t size, size_t address_bytes, Route* found) {
  std::memset(found, 0, sizeof *found);
  found->address_bytes = static_cast<uint8_t>(address_bytes);
  rtmsg route;
  const int failed =
      read_answer(answer, size, &route, [&](uint16_t type, const char* data, size_t length) {
        if (type == RTA_OIF) found->device = word_of(data, length);
        if (type == RTA_PREFSRC && length == address_bytes) {
          found->has_source = true;
          std::memcpy(found->source, data, length);
        }
        if (type == RTA_GATEWAY && length == address_bytes) {
          found->has_gateway = true;
          std::memcpy(found->gateway, data, length);
        }
        if (type == RTA_ENCAP || type == RTA_VIA || type == RTA_NEWDST) found->rewrites = true;
        if (type != RTA_METRICS) return;
        each_attribute(data, length, [&](uint16_t metric, const char* value, size_t bytes) {
          if (metric == RTAX_MTU) found->mtu = word_of(value, bytes);
        });
      });
  if (failed < 0) return failed;
  found->type = route.rtm_type;
  return 0;
}

int read_neighbour(const char* answer, size_t size, Neighbour* found) {
  std::memset(found, 0, sizeof *found);
  ndmsg neighbour;
  const int failed =
      read_answer(answer, size, &neighbour, [&](uint16_t type, const char* data, size_t length) {
        if (type != NDA_LLADDR || length > sizeof found->address) return;
        std::memset(found->address, 0, sizeof found->address);
        found->address_bytes = static_cast<uint8_t>(length);
        std::memcpy(found->address, data, length);
      });
  if (failed < 0) return failed;
  found->state = neighbour.ndm_state;
  return 0;
}

int read_device(const char* answer, size_t size, uint32_t index, Device* found) {
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
  return 0;
}

void copy_text(char* to, size_t room, const char* text, size_t bytes) {
  const size_t length = std::min(room - 1, strnlen(text, bytes));
  std::memcpy(to, text, length);
  to[length] = '\0';
}

void read_features(const char* names, const ethtool_get_features_block* blocks, uint32_t count,
                   std::vector<DeviceFeature>* found) {
  // Blocks that this kernel did not fill are zero: nothing is said of those features.
  for (uint32_t i = 0; i < count; ++i) {
    const ethtool_get_features_block& block = blocks[i / 32];
    const uint32_t bit = uint32_t{1} << (i % 32);
    DeviceFeature feature;
    copy_text(feature.name, sizeof feature.name, names + size_t{i} * ETH_GSTRING_LEN, ETH_GSTRING_LEN);
    if (feature.name[0] == '\0') continue;
    feature.active = (block.active & bit) != 0;
    feature.changeable = (block.available & bit) != 0 && (block.never_changed & bit) == 0;
    found->push_back(feature);
  }
}

}  // namespace msg_zerocopy
