// Which zero-copy sends of one connection the kernel still references, by id. Pure.
//
//   released_below            next
//    |--- released? ---|---------|
//    [ . x . . x x . . ]            ring indexed by id & mask; x = completed out of order
//
// Ids are kept as 64-bit counters; the kernel speaks of them modulo 2^32 and in any order: a reset releases
// the unsent end of the queue before its start.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace msg_zerocopy {

class StagedBlock;

class SendLedger {
 public:
  struct Send {
    uint32_t bytes;          // 0: it failed, and took an id all the same
    bool pending;
    bool reliable;           // a report that the kernel copied it would be true
    StagedBlock* staged;     // memory of ours that it references; nullptr: none
    uint64_t accepted_ns;
  };

  // `first`: the id that the kernel gives to the next zero-copy send of this connection.
  explicit SendLedger(uint64_t first) : base_(first), next_(first) {}

  uint64_t next() const { return next_; }
  // Every id below this one is released.
  uint64_t released_below() const { return base_; }
  uint64_t pending_bytes() const { return pending_bytes_; }
  uint64_t pending_sends() const { return pending_sends_; }

  // Records a send that the kernel accepted; answers its id.
  uint64_t add(uint32_t bytes, bool reliable, StagedBlock* staged, uint64_t accepted_ns) {
    if (next_ - base_ == ring_.size()) grow();
    const uint64_t id = next_++;
    at(id) = {bytes, true, reliable, staged, accepted_ns};
    pending_bytes_ += bytes;
    pending_sends_++;
    return id;
  }

  // Marks the range [lo, hi] of a notification, modulo 2^32, as released. `visit(send, id, is_first)` is
  // called for each send that was pending, lowest id first. Answers how many ids were not pending: 0
  // unless other code sends on this socket.
  template <typename Visit>
  uint64_t complete(uint32_t lo, uint32_t hi, Visit&& visit) {
    const uint64_t from = base_ + static_cast<uint32_t>(lo - static_cast<uint32_t>(base_));
    const uint64_t count = static_cast<uint64_t>(static_cast<uint32_t>(hi - lo)) + 1;
    const uint64_t end = from + count < next_ ? from + count : next_;
    uint64_t strays = from + count - (end > from ? end : from);
    for (uint64_t id = from; id < end; id++) {
      Send& send = at(id);
      if (!send.pending) {
        strays++;
        continue;
      }
      send.pending = false;
      pending_bytes_ -= send.bytes;
      pending_sends_--;
      visit(send, id, id == from);
    }
    while (base_ < next_ && !at(base_).pending) base_++;
    return strays;
  }

 private:
  Send& at(uint64_t id) { return ring_[id & (ring_.size() - 1)]; }

  void grow() {
    std::vector<Send> bigger(ring_.empty() ? 8 : ring_.size() * 2);
    for (uint64_t id = base_; id < next_; id++) bigger[id & (bigger.size() - 1)] = at(id);
    ring_.swap(bigger);
  }

  std::vector<Send> ring_;  // a power of two
  uint64_t base_;
  uint64_t next_;
  uint64_t pending_bytes_ = 0;
  uint64_t pending_sends_ = 0;
};

}  // namespace msg_zerocopy
