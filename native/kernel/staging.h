// Memory of our own for the small chunks of a write, an HTTP header above all: they are copied here so
// that they ride in one send with the large chunk beside them. A block is held by the call that fills it
// and by every send that the kernel has not released.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace msg_zerocopy {

class Staging;

class StagedBlock {
 public:
  uint8_t* data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  friend class Staging;
  uint8_t* data_ = nullptr;
  size_t bytes_ = 0;
  uint32_t holders_ = 0;
};

class Staging {
 public:
  // What most headers fit into: one page, so that a header is one fragment of a packet.
  static constexpr size_t kUsualBytes = 4096;

  Staging() = default;
  ~Staging();
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  // A block of at least `bytes`, held once.
  StagedBlock* take(size_t bytes);
  void hold(StagedBlock* block) { block->holders_++; }
  // The last to let go gives the block back.
  void let_go(StagedBlock* block);
  // Blocks in use.
  size_t held() const { return held_; }

 private:
  std::vector<StagedBlock*> spare_;
  size_t held_ = 0;
};

}  // namespace msg_zerocopy
