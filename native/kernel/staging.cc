#include "kernel/staging.h"

#include <cstdlib>

namespace msg_zerocopy {
namespace {

// As many responses as a busy server has in flight; more are allocated as they are needed.
constexpr size_t kSpareBlocks = 256;

}  // namespace

Staging::~Staging() {
  for (StagedBlock* block : spare_) {
    std::free(block->data_);
    delete block;
  }
}

StagedBlock* Staging::take(size_t bytes) {
  held_++;
  if (bytes <= kUsualBytes && !spare_.empty()) {
    StagedBlock* block = spare_.back();
    spare_.pop_back();
    block->holders_ = 1;
    return block;
  }
  auto* block = new StagedBlock;
  block->bytes_ = (bytes + kUsualBytes - 1) / kUsualBytes * kUsualBytes;
  if (block->bytes_ == 0) block->bytes_ = kUsualBytes;
  block->data_ = static_cast<uint8_t*>(std::aligned_alloc(kUsualBytes, block->bytes_));
  if (block->data_ == nullptr) std::abort();
  block->holders_ = 1;
  return block;
}

void Staging::let_go(StagedBlock* block) {
  if (--block->holders_ > 0) return;
  held_--;
  if (block->bytes_ == kUsualBytes && spare_.size() < kSpareBlocks) {
    spare_.push_back(block);
    return;
  }
  std::free(block->data_);
  delete block;
}

}  // namespace msg_zerocopy
