// One io_uring: its rings mapped, requests put in, completions taken out. By raw system calls: what
// is used is three of them and two rings, liburing of Debian 12 lacks the newer constants, and no npm
// package carries a maintained one. Knows nothing of sockets' ids, of Node or of libuv.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernel/io_uring_abi.h"
#include "kernel/sys.h"

namespace msg_zerocopy {

struct RingEntries {
  uint32_t submissions;
  uint32_t completions;
};

// Who uses a ring.
enum class RingIssuer {
  // The thread that opens it (IORING_SETUP_SINGLE_ISSUER). Completions are posted inside enter() only: nothing
  // interrupts JavaScript, and a notification that no callback waits for causes no wake-up.
  kOneThread,
  // Any thread, one at a time.
  kAnyThread,
};

class IoUring {
 public:
  IoUring() = default;
  ~IoUring();
  IoUring(const IoUring&) = delete;
  IoUring& operator=(const IoUring&) = delete;

  // 0 or -errno. For as long as the ring lives the kernel refuses with EACCES what this class and
  // io_uring_send.cc do not use: other operations, flags of requests, other registrations.
  int open(RingEntries wanted, RingIssuer issuer);
  // 1 when the kernel knows the operation, 0 when not, or -errno.
  int supports(uint8_t opcode);
  // Has `eventfd` signalled when completions wait and wake-ups are on.
  int register_eventfd(int eventfd);
  int register_empty_buffers(uint32_t count);
  // Puts memory into a slot of the registered buffers; no bytes: empties it.
  int update_buffer(uint32_t slot, void* base, size_t bytes);

  // The next free request, zeroed; nullptr when the queue is full.
  uring::Sqe* prepare();
  uint32_t prepared() const { return sq_local_tail_ - sq_submitted_; }
  // Submits what is prepared. 0 or -errno.
  int submit();
  // The same, and lets the kernel post what it held back.
  int enter();
  // The same, and sleeps until a completion is there.
  int wait();
  // Takes back what is prepared and not submitted; how many requests that were.
  uint32_t revoke();
  // Takes one completion out.
  bool pop(uring::Cqe* completion);
  // The kernel holds completions back until enter(): deferred task work, or an overflow.
  bool holds_completions() const;
  // It does, or some can be taken out.
  bool has_completions() const;
  // Whether eventfd is signalled. Switching on misses nothing: look at holds_completions() after it.
  void set_wakeups(bool on);

  RingEntries entries() const { return entries_; }

 private:
  int map(const uring::Params& params);
  int restrict_and_enable();
  int enter(uint32_t least, uint32_t flags);

  Fd fd_;
  RingEntries entries_ = {0, 0};
  void* rings_ = nullptr;
  size_t rings_bytes_ = 0;
  uring::Sqe* sqes_ = nullptr;
  size_t sqes_bytes_ = 0;
  uint32_t* sq_head_ = nullptr;
  uint32_t* sq_tail_ = nullptr;
  uint32_t* sq_flags_ = nullptr;
  uint32_t* cq_head_ = nullptr;
  uint32_t* cq_tail_ = nullptr;
  uint32_t* cq_flags_ = nullptr;
  uring::Cqe* cqes_ = nullptr;
  uint32_t sq_local_tail_ = 0;
  uint32_t sq_submitted_ = 0;
};

}  // namespace msg_zerocopy
