// Sends of several connections by one system call. Those that copy are requests of a ring of its own, whose bytes are
// copied into memory of ours first. Those that reference the program's memory are the owner's to send.
// What is queued is to be handed over at the end of the event loop's turn, and earlier where it lies for half a
// millisecond: JavaScript that goes on computing delays no response for long. Where no further send comes to look at
// the clock, a thread of the owner's does, in watch(), and copies what references memory.
#pragma once

#include <pthread.h>
#include <sys/uio.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "kernel/io_uring.h"

namespace msg_zerocopy {

class SendBatch {
 public:
  static constexpr uint32_t kMostSends = 1024;    // between two calls of take()
  static constexpr size_t kMostBytes = 72 * 1024;  // of one send: a header and 64 KiB

  SendBatch() = default;
  ~SendBatch();  // hands over what is queued
  SendBatch(const SendBatch&) = delete;
  SendBatch& operator=(const SendBatch&) = delete;

  // `results`: room for kMostSends. 0 or -errno.
  int open(int32_t* results);
  // Queues a copy of the pieces for `fd`, which must stay open until it is handed over. The number of its result.
  // kAlone: it is not for a batch, or take() is to come first. kDue: hand over what is queued and try again, for there
  // is no room, or the oldest has waited long enough.
  int queue(int fd, const iovec* pieces, size_t count);
  // The same without a copy: the pieces and their memory must stay until it is handed over.
  int queue_reference(int fd, const iovec* pieces, size_t count);
  // Hands over the sends that copy: then the results of all that was queued since take() are there, bytes that the socket
  // took, or -errno. References whose result is kUnanswered are the caller's to send, who notes their results.
  void submit();
  // The same, and copies what references memory.
  void submit_copies();
  int32_t result(uint32_t number) const { return results_[number]; }
  void note(uint32_t number, int32_t result) { results_[number] = result; }
  static constexpr int32_t kUnanswered = INT32_MIN;
  static constexpr int kAlone = -1;
  static constexpr int kDue = -2;
  // Begins to number anew, behind submit(). How many there were.
  uint32_t take();
  // Sends queued since take().
  uint32_t count() const { return count_; }
  // For a thread of its own: hands over what lies too long, until stop_watching().
  void watch();
  void stop_watching();

  static constexpr uint32_t kRequests = 64;  // queued at a time, of either kind

 private:
  struct Request {
    int fd;
    uint32_t number;
    const char* base;
    size_t bytes;
  };
  struct Reference {
    int fd;
    uint32_t number;
    const iovec* pieces;
    size_t count;
  };
  static constexpr size_t kMemory = 1024 * 1024;
  const char* copy_in(const iovec* pieces, size_t count, size_t bytes);
  bool is_late(uint64_t now) const;
  uint32_t add(uint64_t now);
  void hand_over();
  void hand_over_late();
  void copy_references();
  void sleep_until_queued();
  void read_results();
  void send_unanswered(int entered);

  // Of both threads, under mutex_. count_ is changed by the loop's thread alone. Of POSIX threads only what every
  // glibc since 2.28 has by the same version (scripts/binary-needs.ts): neither trylock nor create.
  pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t wanted_ = PTHREAD_COND_INITIALIZER;
  IoUring ring_;
  std::unique_ptr<char[]> memory_;
  size_t used_ = 0;
  Request requests_[kRequests];
  uint32_t queued_ = 0;
  Reference references_[kRequests];
  uint32_t referenced_ = 0;
  uint32_t count_ = 0;
  int32_t* results_ = nullptr;
  bool sleeps_ = true;
  // Changed under mutex_, read by the thread without it.
  std::atomic<uint64_t> first_at_ = 0;  // when the oldest was queued; 0: nothing is
  std::atomic<uint32_t> handed_over_ = 0;
  std::atomic<bool> ends_ = false;
};

}  // namespace msg_zerocopy
