// Sends on a stream by io_uring: one request for each, and whether this kernel and this process can
// make them at all.
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>

#include "kernel/io_uring_abi.h"

namespace msg_zerocopy {

enum class SendMode { kCopy, kZeroCopy };

struct StreamSend {
  int fd;
  const iovec* pieces;
  size_t count;
  int flags;        // of send(2); MSG_DONTWAIT and MSG_NOSIGNAL are added
  SendMode mode;
  int buffer_slot;  // the registered buffer that holds all pieces; -1: none does
  uint64_t user_data;
};

// Fills a request in. Never parked in the kernel: with MSG_DONTWAIT its result is there when enter()
// returns (io_uring/io_uring.c:io_queue_async, REQ_F_NOWAIT). `message` and `pieces` are read by then.
void fill_stream_send(uring::Sqe* sqe, const StreamSend& send, msghdr* message);

struct RingTrial {
  int error;            // 0: a zero-copy send went through
  const char* step;     // what failed: "setup", "opcode", "send", "filter", "child"
  int buffers_error;    // why memory cannot be registered; 0: it can
  bool vectored_slots;  // a message of several pieces may name registered memory (Linux 6.15)
};

// Makes a ring and sends through it, on a throwaway connection over loopback. Where there is no
// loopback device the send is taken for granted. Under a seccomp filter in a child process, in case that kills:
// then the step is "filter", and "child" where there was none.
RingTrial try_io_uring();

}  // namespace msg_zerocopy
