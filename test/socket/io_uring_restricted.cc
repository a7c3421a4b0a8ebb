// A ring as this package makes it, and the same made by hand without restrictions: what either lets through.
// Built and run by io-uring-restricted.test.ts; prints one line for each outcome.
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>

#include "kernel/io_uring.h"

namespace {

using msg_zerocopy::IoUring;
namespace uring = msg_zerocopy::uring;

constexpr uint8_t kOpNop = 0;
constexpr uint8_t kOpOpenat = 18;
constexpr uint8_t kOpConnect = 16;
constexpr uint8_t kOpSocket = 45;
constexpr uint8_t kSqeAsync = 1u << 4;
constexpr uint32_t kRegisterFiles = 2;
constexpr uint32_t kRegisterPersonality = 9;

std::string name_of(int result) { return result < 0 ? strerrorname_np(-result) : "done"; }

void tell(const char* what, int result) { std::printf("%s: %s\n", what, name_of(result).c_str()); }

// The result of one request; `fill` has the rest of it.
template <typename Fill>
int submit(IoUring* ring, uint8_t opcode, Fill fill) {
  uring::Sqe* sqe = ring->prepare();
  if (sqe == nullptr) return -EBUSY;
  sqe->opcode = opcode;
  fill(sqe);
  const int waited = ring->wait();
  if (waited < 0) return waited;
  uring::Cqe completion;
  return ring->pop(&completion) ? completion.res : -EINPROGRESS;
}

int register_by_hand(int ring, uint32_t opcode, const void* argument, uint32_t count) {
  const long done = syscall(SYS_io_uring_register, ring, opcode, argument, count);
  return done < 0 ? -errno : static_cast<int>(done);
}

// The lowest descriptor that is free is the next one to be opened.
int next_descriptor() {
  const int fd = dup(0);
  close(fd);
  return fd;
}

int try_out() {
  IoUring ring;
  const int fd = next_descriptor();
  const int opened = ring.open({4, 16}, msg_zerocopy::RingIssuer::kOneThread);
  tell("open", opened);
  if (opened < 0) return 1;
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) return 1;
  const int received = eventfd(0, EFD_CLOEXEC);

  tell("send", submit(&ring, uring::kOpSend, [&](uring::Sqe* sqe) {
         sqe->fd = pair[0];
         sqe->addr = reinterpret_cast<uintptr_t>("bytes");
         sqe->len = 5;
       }));
  char bytes[8] = "";
  std::printf("received: %.*s\n", static_cast<int>(read(pair[1], bytes, sizeof bytes)), bytes);

  tell("openat", submit(&ring, kOpOpenat, [](uring::Sqe* sqe) {
         sqe->fd = AT_FDCWD;
         sqe->addr = reinterpret_cast<uintptr_t>("/dev/null");
       }));
  tell("socket", submit(&ring, kOpSocket, [](uring::Sqe* sqe) {
         sqe->fd = AF_UNIX;
         sqe->off = SOCK_STREAM;
       }));
  tell("connect", submit(&ring, kOpConnect, [&](uring::Sqe* sqe) { sqe->fd = pair[0]; }));
  tell("nop", submit(&ring, kOpNop, [](uring::Sqe*) {}));
  tell("a flag", submit(&ring, uring::kOpSend, [&](uring::Sqe* sqe) {
         sqe->flags = kSqeAsync;
         sqe->fd = pair[0];
         sqe->addr = reinterpret_cast<uintptr_t>("bytes");
         sqe->len = 5;
       }));

  tell("eventfd", ring.register_eventfd(received));
  tell("files", register_by_hand(fd, kRegisterFiles, pair, 2));
  tell("personality", register_by_hand(fd, kRegisterPersonality, nullptr, 0));
  tell("other restrictions", register_by_hand(fd, uring::kRegisterRestrictions, nullptr, 0));
  return 0;
}

}  // namespace

int main() { return try_out(); }
