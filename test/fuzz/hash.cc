// The hash that notices changed memory: the same for the same bytes wherever they lie, another one when
// a word changed.
#include "kernel/hash.h"

#include "target.h"

using fuzz::expect;
using msg_zerocopy::hash_bytes;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::Input input(data, size);
  const size_t shift = input.byte() % 8;
  const uint64_t change = input.long_word();
  const size_t place = input.half();
  const std::vector<uint8_t> bytes = input.take(input.left());

  const fuzz::Exact exact(bytes);
  const uint64_t hash = hash_bytes(exact.data(), exact.size());
  std::vector<uint8_t> shifted(shift, 0xa5);
  shifted.insert(shifted.end(), bytes.begin(), bytes.end());
  const fuzz::Exact elsewhere(shifted);
  expect(hash_bytes(elsewhere.data() + shift, bytes.size()) == hash, "the same wherever the bytes lie");
  if (bytes.empty()) return 0;

  // Within one word of eight bytes, counted from the start.
  const size_t first = place % ((bytes.size() + 7) / 8) * 8;
  bool changed = false;
  for (size_t i = 0; i < 8 && first + i < bytes.size(); i++) {
    const auto bits = static_cast<uint8_t>(change >> (8 * i));
    exact.data()[first + i] ^= bits;
    changed |= bits != 0;
  }
  expect((hash_bytes(exact.data(), exact.size()) != hash) == changed, "a change within a word is noticed");
  return 0;
}
