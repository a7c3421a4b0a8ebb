// What rtnetlink answers about a route, a neighbour or a device: any bytes, and well-formed answers against a model.
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "kernel/route_answer.h"
#include "target.h"

namespace {

using fuzz::expect;
using msg_zerocopy::check_answer;
using msg_zerocopy::Device;
using msg_zerocopy::Neighbour;
using msg_zerocopy::Route;

// The bytes of memory that `object` lies in: also what a parser forgot to set must be the same each time.
template <typename Object>
Object filled(uint8_t byte) {
  Object object;
  std::memset(&object, byte, sizeof object);
  return object;
}

template <size_t Room>
void expect_text(const char (&text)[Room]) {
  expect(std::memchr(text, '\0', Room) != nullptr, "a text has an end");
}

void expect_route(const Route& route, size_t address_bytes) {
  expect(route.address_bytes == address_bytes, "the length of the addresses");
  static const uint8_t kZero[16] = {};
  const uint8_t* const behind[] = {route.source + address_bytes, route.gateway + address_bytes};
  for (const uint8_t* rest : behind) {
    expect(std::memcmp(rest, kZero, 16 - address_bytes) == 0, "nothing behind an address");
  }
  if (!route.has_source) expect(std::memcmp(route.source, kZero, 16) == 0, "no source");
  if (!route.has_gateway) expect(std::memcmp(route.gateway, kZero, 16) == 0, "no gateway");
}

int read_route_twice(const fuzz::Exact& answer, size_t size, size_t address_bytes, Route* route) {
  auto other = filled<Route>(0xa5);
  *route = filled<Route>(0x5a);
  const int failed = read_route(answer.text(), size, address_bytes, route);
  expect(read_route(answer.text(), size, address_bytes, &other) == failed, "the same twice");
  expect(std::memcmp(route, &other, sizeof other) == 0, "everything is set");
  return failed;
}

int read_neighbour_twice(const fuzz::Exact& answer, size_t size, Neighbour* neighbour) {
  auto other = filled<Neighbour>(0xa5);
  *neighbour = filled<Neighbour>(0x5a);
  const int failed = read_neighbour(answer.text(), size, neighbour);
  expect(read_neighbour(answer.text(), size, &other) == failed, "the same twice");
  expect(std::memcmp(neighbour, &other, sizeof other) == 0, "everything is set");
  expect(neighbour->address_bytes <= sizeof neighbour->address, "an address that fits");
  return failed;
}

int read_device_twice(const fuzz::Exact& answer, size_t size, uint32_t index, Device* device) {
  auto other = filled<Device>(0xa5);
  *device = filled<Device>(0x5a);
  const int failed = read_device(answer.text(), size, index, device);
  expect(read_device(answer.text(), size, index, &other) == failed, "the same twice");
  expect(std::memcmp(device, &other, sizeof other) == 0, "everything is set");
  expect_text(device->name);
  expect_text(device->kind);
  expect(device->driver[0] == '\0', "rtnetlink says nothing of drivers");
  if (failed == 0) expect(device->index == index, "the device that was asked for");
  expect(device->lower == 0 || device->lower != index, "not below itself");
  return failed;
}

void any_bytes(fuzz::Input* input) {
  const uint8_t choice = input->byte();
  const bool wants_route = (choice & 1) != 0;
  const bool wants_neighbour = (choice & 4) != 0;
  const size_t address_bytes = (choice & 2) != 0 ? 4 : 16;
  const uint32_t index = input->byte();
  const fuzz::Exact answer(input->take(input->left()));
  const uint16_t expected = wants_route ? RTM_NEWROUTE : wants_neighbour ? RTM_NEWNEIGH : RTM_NEWLINK;
  const ssize_t size = check_answer(answer.text(), answer.size(), expected);
  if (size < 0) return;
  expect(static_cast<size_t>(size) <= answer.size(), "no longer than what was received");
  // Only what belongs to the message may be looked at.
  const fuzz::Exact message(
      std::vector<uint8_t>(answer.data(), answer.data() + static_cast<size_t>(size)));
  if (wants_route) {
    Route route;
    read_route_twice(message, message.size(), address_bytes, &route);
    expect_route(route, address_bytes);
  } else if (wants_neighbour) {
    Neighbour neighbour;
    read_neighbour_twice(message, message.size(), &neighbour);
  } else {
    Device device;
    read_device_twice(message, message.size(), index, &device);
  }
}

void add_attribute(std::vector<uint8_t>* to, uint16_t type, const std::vector<uint8_t>& data) {
  rtattr attribute;
  attribute.rta_type = type;
  attribute.rta_len = static_cast<unsigned short>(RTA_LENGTH(data.size()));
  fuzz::append(to, attribute);
  to->insert(to->end(), data.begin(), data.end());
  to->resize(RTA_ALIGN(to->size()), 0);
}

template <typename Fixed>
std::vector<uint8_t> answer_of(uint16_t type, const Fixed& fixed, const std::vector<uint8_t>& attributes) {
  std::vector<uint8_t> answer;
  nlmsghdr header;
  std::memset(&header, 0, sizeof header);
  header.nlmsg_type = type;
  header.nlmsg_len = static_cast<uint32_t>(NLMSG_SPACE(sizeof fixed) + attributes.size());
  fuzz::append(&answer, header);
  fuzz::append(&answer, fixed);
  answer.resize(NLMSG_SPACE(sizeof fixed), 0);
  answer.insert(answer.end(), attributes.begin(), attributes.end());
  return answer;
}

uint32_t word_in(const std::vector<uint8_t>& data) {
  uint32_t word = 0;
  if (data.size() >= sizeof word) std::memcpy(&word, data.data(), sizeof word);
  return word;
}

void a_route(fuzz::Input* input) {
  const size_t address_bytes = (input->byte() & 1) != 0 ? 4 : 16;
  rtmsg fixed;
  std::memset(&fixed, 0, sizeof fixed);
  fixed.rtm_type = input->byte();
  Route model;
  std::memset(&model, 0, sizeof model);
  model.address_bytes = static_cast<uint8_t>(address_bytes);
  model.type = fixed.rtm_type;
  std::vector<uint8_t> attributes;
  for (size_t i = 0; i < 12 && input->left() > 0; i++) {
    static const uint16_t kTypes[] = {RTA_OIF,     RTA_PREFSRC, RTA_GATEWAY, RTA_DST,
                                      RTA_METRICS, RTA_VIA,     RTA_ENCAP};
    const uint8_t choice = input->byte();
    const uint16_t type = kTypes[choice % 7];
    const size_t usual = type == RTA_OIF ? 4 : address_bytes;
    auto data = input->take((choice & 128) != 0 ? input->byte() % 40 : usual);
    if (type == RTA_METRICS) {
      model.mtu = word_in(data);
      std::vector<uint8_t> nested;
      add_attribute(&nested, RTAX_HOPLIMIT, {9, 9, 9, 9});
      add_attribute(&nested, RTAX_MTU, data);
      data = nested;
    }
    model.rewrites |= type == RTA_VIA || type == RTA_ENCAP;
    // Flags in the upper bits of the type are not part of it (NLA_F_NESTED).
    add_attribute(&attributes, static_cast<uint16_t>((choice & 64) != 0 ? type | NLA_F_NESTED : type), data);
    if (type == RTA_OIF) model.device = word_in(data);
    if (data.size() != address_bytes) continue;
    if (type == RTA_PREFSRC) std::copy(data.begin(), data.end(), model.source);
    if (type == RTA_GATEWAY) std::copy(data.begin(), data.end(), model.gateway);
    model.has_source |= type == RTA_PREFSRC;
    model.has_gateway |= type == RTA_GATEWAY;
  }
  const fuzz::Exact answer(answer_of(RTM_NEWROUTE, fixed, attributes));
  const ssize_t size = check_answer(answer.text(), answer.size(), RTM_NEWROUTE);
  expect(size == static_cast<ssize_t>(answer.size()), "a whole answer");
  Route route;
  expect(read_route_twice(answer, answer.size(), address_bytes, &route) == 0, "a route");
  expect(std::memcmp(&route, &model, sizeof model) == 0, "what the attributes say");
}

void a_neighbour(fuzz::Input* input) {
  ndmsg fixed;
  std::memset(&fixed, 0, sizeof fixed);
  fixed.ndm_state = input->half();
  std::vector<uint8_t> address;
  std::vector<uint8_t> attributes;
  for (size_t i = 0; i < 6 && input->left() > 0; i++) {
    const bool is_address = (input->byte() & 1) != 0;
    const auto data = input->take(input->byte() % 48);
    if (is_address && data.size() <= sizeof(Neighbour::address)) address = data;
    add_attribute(&attributes, is_address ? NDA_LLADDR : NDA_DST, data);
  }
  const fuzz::Exact answer(answer_of(RTM_NEWNEIGH, fixed, attributes));
  const ssize_t size = check_answer(answer.text(), answer.size(), RTM_NEWNEIGH);
  expect(size == static_cast<ssize_t>(answer.size()), "a whole answer");
  Neighbour neighbour;
  expect(read_neighbour_twice(answer, answer.size(), &neighbour) == 0, "a neighbour");
  expect(neighbour.state == fixed.ndm_state, "its state");
  expect(neighbour.address_bytes == address.size(), "the length of its address");
  expect(std::equal(address.begin(), address.end(), neighbour.address), "its address");
}

// As C would read it from memory with an end behind, in at most `room` bytes.
std::string text_in(const std::vector<uint8_t>& data, size_t room) {
  const std::string all(data.begin(), data.end());
  return all.substr(0, std::min(all.find('\0'), room - 1));
}

void a_device(fuzz::Input* input) {
  const uint32_t index = input->byte();
  ifinfomsg fixed;
  std::memset(&fixed, 0, sizeof fixed);
  fixed.ifi_type = input->half();
  fixed.ifi_flags = input->word();
  std::string name;
  std::string kind;
  uint32_t mtu = 0;
  uint32_t lower = 0;
  bool elsewhere = false;
  std::vector<uint8_t> attributes;
  for (size_t i = 0; i < 12 && input->left() > 0; i++) {
    const uint8_t choice = input->byte() % 6;
    const auto data = input->take(input->byte() % 48);
    static const uint16_t kTypes[] = {IFLA_IFNAME, IFLA_MTU,       IFLA_LINK, IFLA_LINK_NETNSID,
                                      IFLA_LINKINFO, IFLA_QDISC};
    std::vector<uint8_t> nested;
    if (choice == 4) {
      add_attribute(&nested, IFLA_INFO_DATA, {1, 2, 3});
      add_attribute(&nested, IFLA_INFO_KIND, data);
      kind = text_in(data, sizeof(Device::kind));
    }
    if (choice == 0) name = text_in(data, sizeof(Device::name));
    if (choice == 1) mtu = word_in(data);
    if (choice == 2) lower = word_in(data);
    elsewhere |= choice == 3;
    add_attribute(&attributes, kTypes[choice], choice == 4 ? nested : data);
  }
  if (elsewhere || lower == index || kind == "veth") lower = 0;
  const fuzz::Exact answer(answer_of(RTM_NEWLINK, fixed, attributes));
  const ssize_t size = check_answer(answer.text(), answer.size(), RTM_NEWLINK);
  expect(size == static_cast<ssize_t>(answer.size()), "a whole answer");
  Device device;
  expect(read_device_twice(answer, answer.size(), index, &device) == 0, "a device");
  expect(device.name == name && device.kind == kind, "its name and its kind");
  expect(device.mtu == mtu && device.lower == lower, "its MTU, and what is below");
  expect(device.type == fixed.ifi_type && device.flags == fixed.ifi_flags, "its type and flags");
}

void a_refusal(fuzz::Input* input) {
  const uint16_t expected = input->half();
  nlmsgerr refusal;
  std::memset(&refusal, 0, sizeof refusal);
  refusal.error = static_cast<int>(input->word());
  const fuzz::Exact answer(answer_of(NLMSG_ERROR, refusal, input->take(input->byte())));
  const ssize_t refused = check_answer(answer.text(), answer.size(), expected);
  expect(refused == (refusal.error < 0 ? refusal.error : -EPROTO), "the kernel's own error");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::Input input(data, size);
  switch (input.byte() % 5) {
    case 0:
      any_bytes(&input);
      break;
    case 1:
      a_route(&input);
      break;
    case 2:
      a_device(&input);
      break;
    case 3:
      a_neighbour(&input);
      break;
    default:
      a_refusal(&input);
  }
  return 0;
}
