// Descriptors and one wrapper per system call. Every wrapper answers a value >= 0 or -errno.
// Knows nothing of sockets' protocols, of Node or of libuv.
#pragma once

#include <sys/socket.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <utility>

namespace msg_zerocopy {

// Sole owner of one descriptor.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  ~Fd() { reset(); }
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  void reset();

 private:
  int fd_ = -1;
};

// Duplicates `fd` with CLOEXEC. The duplicate names the same open socket, so it stays valid when
// the owner of `fd` closes its number.
int duplicate(int fd);

bool is_blocking(int fd);

int get_option(int fd, int level, int name);           // an int-valued getsockopt
int set_option(int fd, int level, int name, int value);  // an int-valued setsockopt
int set_option(int fd, int level, int name, const void* value, size_t bytes);
int send_message(int fd, const iovec* pieces, size_t count, int flags);
int shutdown_write(int fd);

int epoll_create();
int epoll_add(int epoll, int fd, uint32_t events, uint64_t data);
int epoll_modify(int epoll, int fd, uint32_t events, uint64_t data);
int epoll_remove(int epoll, int fd);

// Waits for a child that was cloned without an exit signal: no SIGCHLD handler learns of it, and no
// other wait finds it. 0 or -errno.
int wait_unnoticed(pid_t child, int* status);

// Makes every page of this process copy-on-write, as a fork does: what the kernel still sends from
// keeps its content, and later writes of ours go to fresh pages. A page that something else references
// is never written in place (mm/memory.c:wp_can_reuse_anon_folio; Linux 5.9). It does not reach memory that
// is registered with a ring: the fork copies such pages for the child, and ours stay writable in place
// (mm/memory.c:copy_present_page). 0 or -errno.
int freeze_pages();

// The soft RLIMIT_NOFILE of this process.
uint64_t descriptor_limit();

// What bounds how much memory may be pinned.
struct PinLimits {
  uint64_t memlock_bytes;  // soft RLIMIT_MEMLOCK; UINT64_MAX when unlimited
  bool ipc_lock;           // CAP_IPC_LOCK is effective: memlock is not charged
};
PinLimits pin_limits();

}  // namespace msg_zerocopy
