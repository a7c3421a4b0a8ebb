#include "kernel/io_uring_send.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>

#include <cerrno>
#include <cstring>

#include "kernel/apart.h"
#include "kernel/io_uring.h"
#include "kernel/pages.h"
#include "kernel/sys.h"

namespace msg_zerocopy {
namespace {

constexpr size_t kTrialBytes = 4096;

class TrialMemory {
 public:
  TrialMemory() { failed_ = map_pages(kTrialBytes, PageKind::kSmall, &base_); }
  ~TrialMemory() {
    if (base_ != nullptr) unmap_pages(base_, kTrialBytes);
  }
  TrialMemory(const TrialMemory&) = delete;
  TrialMemory& operator=(const TrialMemory&) = delete;
  int failed() const { return failed_; }
  char* base() const { return static_cast<char*>(base_); }

 private:
  void* base_ = nullptr;
  int failed_ = 0;
};

constexpr int kConnectMs = 1000;

// A connected pair over loopback; its sending end is invalid where there is none.
struct Pair {
  Fd listener;
  Fd sender;
};

Pair connect_pair() {
  Pair pair;
  sockaddr_in name;
  std::memset(&name, 0, sizeof name);
  name.sin_family = AF_INET;
  name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof name;
  auto* address = reinterpret_cast<sockaddr*>(&name);
  pair.listener = Fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!pair.listener.valid() || bind(pair.listener.get(), address, length) < 0 ||
      listen(pair.listener.get(), 1) < 0 || getsockname(pair.listener.get(), address, &length) < 0) {
    return pair;
  }
  Fd sender(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!sender.valid()) return pair;
  if (connect(sender.get(), address, length) < 0 && errno != EINPROGRESS) return pair;
  // Over loopback the handshake is usually over by now, accepted or not; not on a busy machine, where
  // the packets are left to ksoftirqd.
  pollfd connected = {sender.get(), POLLOUT, 0};
  if (poll(&connected, 1, kConnectMs) != 1) return pair;
  pair.sender = std::move(sender);
  return pair;
}

// The result of one zero-copy send of `count` pieces; -EINPROGRESS when there was none.
int send_once(IoUring* ring, const StreamSend& send) {
  msghdr message;
  uring::Sqe* sqe = ring->prepare();
  if (sqe == nullptr) return -EBUSY;
  fill_stream_send(sqe, send, &message);
  const int entered = ring->enter();
  if (entered < 0) return entered;
  uring::Cqe completion;
  while (ring->pop(&completion)) {
    if ((completion.flags & uring::kCqeNotif) == 0) return completion.res;
  }
  return -EINPROGRESS;
}

}  // namespace

void fill_stream_send(uring::Sqe* sqe, const StreamSend& send, msghdr* message) {
  const bool zero_copy = send.mode == SendMode::kZeroCopy;
  sqe->fd = send.fd;
  sqe->msg_flags = static_cast<uint32_t>(send.flags | MSG_DONTWAIT | MSG_NOSIGNAL);
  sqe->user_data = send.user_data;
  if (send.count == 1) {
    sqe->opcode = zero_copy ? uring::kOpSendZc : uring::kOpSend;
    sqe->addr = reinterpret_cast<uintptr_t>(send.pieces->iov_base);
    sqe->len = static_cast<uint32_t>(send.pieces->iov_len);
  } else {
    sqe->opcode = zero_copy ? uring::kOpSendmsgZc : uring::kOpSendmsg;
    std::memset(message, 0, sizeof *message);
    message->msg_iov = const_cast<iovec*>(send.pieces);
    message->msg_iovlen = send.count;
    sqe->addr = reinterpret_cast<uintptr_t>(message);
    sqe->len = 1;
  }
  if (!zero_copy) return;
  sqe->ioprio = uring::kSendZcReportUsage;
  if (send.buffer_slot < 0) return;
  sqe->ioprio |= uring::kRecvsendFixedBuf;
  sqe->buf_index = static_cast<uint16_t>(send.buffer_slot);
}

namespace {

// Async-signal-safe: see try_apart().
RingTrial try_here() {
  RingTrial trial = {0, "setup", 0, false};
  const TrialMemory memory;
  IoUring ring;
  trial.error = memory.failed() < 0 ? memory.failed() : ring.open({4, 16}, RingIssuer::kOneThread);
  if (trial.error < 0) return trial;
  trial.step = "opcode";
  for (const uint8_t opcode : {uring::kOpSendZc, uring::kOpSendmsgZc}) {
    const int supported = ring.supports(opcode);
    if (supported <= 0) {
      trial.error = supported < 0 ? supported : -EOPNOTSUPP;
      return trial;
    }
  }
  trial.buffers_error = ring.register_empty_buffers(1);
  if (trial.buffers_error == 0) {
    trial.buffers_error = ring.update_buffer(0, memory.base(), kTrialBytes);
  }
  const Pair pair = connect_pair();
  if (!pair.sender.valid()) return trial;
  trial.step = "send";
  const iovec pieces[2] = {{memory.base(), 64}, {memory.base() + 1024, 64}};
  const int fd = pair.sender.get();
  const int sent = send_once(&ring, {fd, pieces, 1, 0, SendMode::kZeroCopy, -1, 1});
  if (sent < 0) {
    trial.error = sent;
    return trial;
  }
  if (trial.buffers_error < 0) return trial;
  trial.vectored_slots = send_once(&ring, {fd, pieces, 2, 0, SendMode::kZeroCopy, 0, 2}) > 0;
  return trial;
}

}  // namespace

RingTrial try_io_uring() {
  RingTrial trial;
  const int tried = try_apart(&trial, [] { return try_here(); });
  if (tried == kTrialKilled) return {-EPERM, "filter", 0, false};
  if (tried < 0) return {tried, "child", 0, false};
  return trial;
}

}  // namespace msg_zerocopy
