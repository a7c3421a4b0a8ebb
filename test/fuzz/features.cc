// The features of a device, as ethtool answers: any names and any bits.
#include <string>

#include "kernel/route_answer.h"
#include "target.h"

using fuzz::expect;
using msg_zerocopy::DeviceFeature;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::Input input(data, size);
  const uint32_t count = input.byte();
  const fuzz::Exact bits(input.take((count + 31) / 32 * sizeof(ethtool_get_features_block)));
  const fuzz::Exact names(input.take(size_t{count} * ETH_GSTRING_LEN));
  std::vector<DeviceFeature> found(1);  // what is there stays
  found[0].name[0] = 'x';
  read_features(names.text(), reinterpret_cast<const ethtool_get_features_block*>(bits.data()), count, &found);
  expect(found[0].name[0] == 'x', "appends");

  size_t next = 1;
  for (uint32_t i = 0; i < count; i++) {
    std::string name(names.text() + size_t{i} * ETH_GSTRING_LEN, ETH_GSTRING_LEN);
    name = name.substr(0, name.find('\0'));
    if (name.empty()) continue;
    expect(next < found.size(), "every feature that has a name");
    const DeviceFeature& feature = found[next++];
    expect(feature.name == name, "its name");
    ethtool_get_features_block block;
    std::memcpy(&block, bits.data() + i / 32 * sizeof block, sizeof block);
    const auto bit = [i](uint32_t word) { return ((word >> (i % 32)) & 1) != 0; };
    expect(feature.active == bit(block.active), "on or off");
    expect(feature.changeable == (bit(block.available) && !bit(block.never_changed)), "changeable or not");
  }
  expect(next == found.size(), "and no other");
  return 0;
}
