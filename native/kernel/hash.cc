#include "kernel/hash.h"

#include <cstring>

namespace msg_zerocopy {
namespace {

constexpr size_t kWord = sizeof(uint64_t);
// Independent chains of multiplications, so that the processor works on all of them at once.
constexpr size_t kLanes = 4;

// Odd, so that a multiplication loses nothing; the bits are those of the fraction of the golden ratio.
constexpr uint64_t kMultiplier = 0x9e3779b97f4a7c15;
constexpr uint64_t kSeeds[kLanes] = {0x243f6a8885a308d3, 0x13198a2e03707344, 0xa4093822299f31d0,
                                     0x082efa98ec4e6c89};  // of pi

inline uint64_t step(uint64_t lane, uint64_t word) {
  lane = (lane ^ word) * kMultiplier;
  return lane ^ (lane >> 32);
}

inline uint64_t word_at(const uint8_t* at) {
  uint64_t word;
  std::memcpy(&word, at, kWord);
  return word;
}

}  // namespace

uint64_t hash_bytes(const uint8_t* data, size_t size) {
  uint64_t lanes[kLanes] = {kSeeds[0], kSeeds[1], kSeeds[2], kSeeds[3]};
  const uint8_t* at = data;
  size_t left = size;
  for (; left >= kLanes * kWord; left -= kLanes * kWord, at += kLanes * kWord) {
    for (size_t i = 0; i < kLanes; i++) lanes[i] = step(lanes[i], word_at(at + i * kWord));
  }
  for (size_t i = 0; left > 0; i++) {
    const size_t take = left < kWord ? left : kWord;
    uint64_t word = 0;
    std::memcpy(&word, at, take);
    lanes[i] = step(lanes[i], word);
    at += take;
    left -= take;
  }
  uint64_t hash = size;
  for (const uint64_t lane : lanes) hash = step(hash, lane);
  return step(hash, 0);
}

}  // namespace msg_zerocopy
