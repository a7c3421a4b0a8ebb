// Bytes that zero-copy sends have pinned. RLIMIT_MEMLOCK and memory belong to the process, so all of its
// environments count together: the only thing here that they share.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace msg_zerocopy {

class Pins {
 public:
  explicit Pins(size_t page_bytes) : page_bytes_(page_bytes) {}
  ~Pins() { process_ -= environment_; }
  Pins(const Pins&) = delete;
  Pins& operator=(const Pins&) = delete;

  // Adds to what this environment has pinned; answers the process's total.
  int64_t add(int64_t delta) {
    environment_ += delta;
    return process_ += delta;
  }
  int64_t total() const { return process_; }

  // Bytes that the process may pin at present.
  void set_budget(int64_t bytes) { budget_ = bytes; }
  int64_t budget() const { return budget_; }

  // Bytes that one more send may pin, on a connection that has `pending` of at most `most` pinned. The
  // kernel charges a send two pages more than its bytes need (net/core/skbuff.c:mm_account_pinned_pages).
  int64_t room(int64_t pending, int64_t most) const {
    const int64_t of_socket = most - pending;
    const int64_t of_process = budget_ - process_;
    const int64_t least = of_socket < of_process ? of_socket : of_process;
    const int64_t room = least - 2 * static_cast<int64_t>(page_bytes_);
    return room > 0 ? room : 0;
  }

 private:
  static inline std::atomic<int64_t> process_{0};
  int64_t environment_ = 0;
  int64_t budget_ = INT64_MAX;
  const size_t page_bytes_;
};

}  // namespace msg_zerocopy
