// The control messages of a received datagram (GRO, TOS, packet info): any bytes, and well-formed ones
// against a model.
#include <netinet/in.h>
#include <netinet/udp.h>

#include "control_message.h"
#include "kernel/datagram_control.h"

namespace {

using fuzz::expect;
using msg_zerocopy::Arrival;
using msg_zerocopy::kArrivalTruncated;
using msg_zerocopy::kNoTos;

constexpr uint8_t kFill = 0xa5;

Arrival blank() {
  Arrival arrival;
  std::memset(&arrival, 0, sizeof arrival);
  arrival.offset = arrival.bytes = arrival.flags = arrival.name_bytes = 0x5a5a5a5a;
  std::memset(arrival.name, kFill, sizeof arrival.name);
  std::memset(arrival.destination, kFill, sizeof arrival.destination);
  return arrival;
}

// What is not a control message's to say, and what no control message said.
void expect_in_place(const Arrival& arrival) {
  const Arrival before = blank();
  expect(arrival.offset == before.offset && arrival.bytes == before.bytes && (arrival.flags & ~kArrivalTruncated) == before.flags &&
             arrival.name_bytes == before.name_bytes &&
             std::memcmp(arrival.name, before.name, sizeof before.name) == 0,
         "control messages say nothing of the place and the sender");
  const uint32_t version = arrival.destination_version;
  expect(version == 0 || version == 4 || version == 6, "a version of IP, or none");
  if (version == 0) {
    expect(arrival.interface_index == 0, "an interface comes with a destination");
    expect(std::memcmp(arrival.destination, before.destination, sizeof before.destination) == 0,
           "no destination without a version");
  }
}

void any_bytes(fuzz::Input* input) {
  const fuzz::Exact control(input->take(input->left()));
  Arrival arrival = blank();
  read_control(fuzz::message_of(control, 0), &arrival);
  expect_in_place(arrival);
}

uint32_t number_in(const std::vector<uint8_t>& data) {
  int value = 0;
  if (data.size() < 2) return data.empty() ? 0 : data[0];
  std::memcpy(&value, data.data(), data.size() < sizeof value ? data.size() : sizeof value);
  return static_cast<uint32_t>(value);
}

void model_info4(const std::vector<uint8_t>& data, Arrival* model) {
  in_pktinfo info;
  if (data.size() < sizeof info) return;
  std::memcpy(&info, data.data(), sizeof info);
  model->destination_version = 4;
  model->interface_index = static_cast<uint32_t>(info.ipi_ifindex);
  std::memcpy(model->destination, &info.ipi_addr, 4);
}

void model_info6(const std::vector<uint8_t>& data, Arrival* model) {
  in6_pktinfo info;
  if (data.size() < sizeof info) return;
  std::memcpy(&info, data.data(), sizeof info);
  model->destination_version = 6;
  model->interface_index = info.ipi6_ifindex;
  std::memcpy(model->destination, &info.ipi6_addr, 16);
}

void well_formed(fuzz::Input* input) {
  std::vector<uint8_t> control;
  Arrival model = blank();
  model.tos = kNoTos;
  for (size_t i = 0; i < 8 && input->left() > 0; i++) {
    const uint8_t kind = input->byte() % 6;
    const std::vector<uint8_t> data = input->take(input->byte() % 33);
    switch (kind) {
      case 0:
        fuzz::add_control(&control, SOL_UDP, UDP_GRO, data);
        model.segment_size = number_in(data);
        break;
      case 1:
        fuzz::add_control(&control, SOL_IP, IP_TOS, data);
        model.tos = number_in(data);
        break;
      case 2:
        fuzz::add_control(&control, SOL_IPV6, IPV6_TCLASS, data);
        model.tos = number_in(data);
        break;
      case 3:
        fuzz::add_control(&control, SOL_IP, IP_PKTINFO, data);
        model_info4(data, &model);
        break;
      case 4:
        fuzz::add_control(&control, SOL_IPV6, IPV6_PKTINFO, data);
        model_info6(data, &model);
        break;
      default:
        fuzz::add_control(&control, SOL_SOCKET, SO_TIMESTAMPNS, data);
    }
  }
  const fuzz::Exact exact(control);
  Arrival arrival = blank();
  read_control(fuzz::message_of(exact, 0), &arrival);
  expect_in_place(arrival);
  expect(std::memcmp(&arrival, &model, sizeof model) == 0, "what the control messages say");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::Input input(data, size);
  if ((input.byte() & 1) != 0) well_formed(&input);
  else any_bytes(&input);
  return 0;
}
