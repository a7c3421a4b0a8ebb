// What the fuzz targets share: a reader of their input, exact copies of it, and the one way to fail.
// A target takes any bytes. libFuzzer (npm run fuzz) or replay.cc calls it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace fuzz {

// Ends the process in a way that both libFuzzer and a sanitizer report.
inline void expect(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "invariant broken: %s\n", what);
  std::abort();
}

// Takes an input apart, from its start. Behind its end everything is zero.
class Input {
 public:
  Input(const uint8_t* data, size_t size) : at_(data), left_(size) {}

  size_t left() const { return left_; }

  template <typename Number>
  Number number() {
    Number value = 0;
    const size_t bytes = left_ < sizeof value ? left_ : sizeof value;
    if (bytes > 0) std::memcpy(&value, at_, bytes);
    skip(bytes);
    return value;
  }
  uint8_t byte() { return number<uint8_t>(); }
  uint16_t half() { return number<uint16_t>(); }
  uint32_t word() { return number<uint32_t>(); }
  uint64_t long_word() { return number<uint64_t>(); }

  // Exactly `bytes`, filled up with zeros.
  std::vector<uint8_t> take(size_t bytes) {
    std::vector<uint8_t> taken(bytes, 0);
    const size_t there = left_ < bytes ? left_ : bytes;
    if (there > 0) std::memcpy(taken.data(), at_, there);
    skip(there);
    return taken;
  }

 private:
  void skip(size_t bytes) {
    if (bytes == 0) return;
    at_ += bytes;
    left_ -= bytes;
  }

  const uint8_t* at_;
  size_t left_;
};

// A copy on the heap of exactly its size, aligned for anything: a read beyond it is the sanitizer's.
class Exact {
 public:
  explicit Exact(const std::vector<uint8_t>& from) : size_(from.size()) {
    if (size_ == 0) return;
    data_.reset(new uint8_t[size_]);
    std::memcpy(data_.get(), from.data(), size_);
  }
  uint8_t* data() const { return data_.get(); }
  char* text() const { return reinterpret_cast<char*>(data_.get()); }
  size_t size() const { return size_; }

 private:
  std::unique_ptr<uint8_t[]> data_;
  size_t size_;
};

template <typename Value>
void append(std::vector<uint8_t>* to, const Value& value) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(&value);
  to->insert(to->end(), bytes, bytes + sizeof value);
}

}  // namespace fuzz
