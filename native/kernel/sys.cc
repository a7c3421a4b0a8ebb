#include "kernel/sys.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace msg_zerocopy {
namespace {

int result(ssize_t value) { return value < 0 ? -errno : static_cast<int>(value); }

int epoll_control(int epoll, int operation, int fd, uint32_t events, uint64_t data) {
  epoll_event event;
  std::memset(&event, 0, sizeof event);
  event.events = events;
  event.data.u64 = data;
  return result(epoll_ctl(epoll, operation, fd, &event));
}

}  // namespace

void Fd::reset() {
  // The result is ignored on purpose: Linux has freed the number even when close reports EINTR.
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

int duplicate(int fd) { return result(fcntl(fd, F_DUPFD_CLOEXEC, 0)); }

bool is_blocking(int fd) {
  const int flags = fcntl(fd, F_GETFL);
  return flags >= 0 && (flags & O_NONBLOCK) == 0;
}

int get_option(int fd, int level, int name) {
  int value = 0;
  socklen_t length = sizeof value;
  if (getsockopt(fd, level, name, &value, &length) < 0) return -errno;
  return value;
}

int set_option(int fd, int level, int name, int value) {
  return result(setsockopt(fd, level, name, &value, sizeof value));
}

int set_option(int fd, int level, int name, const void* value, size_t bytes) {
  return result(setsockopt(fd, level, name, value, static_cast<socklen_t>(bytes)));
}

int send_message(int fd, const iovec* pieces, size_t count, int flags) {
  const int all_flags = flags | MSG_DONTWAIT | MSG_NOSIGNAL;
  msghdr message;
  std::memset(&message, 0, sizeof message);
  message.msg_iov = const_cast<iovec*>(pieces);
  message.msg_iovlen = count;
  ssize_t sent;
  do {
    // send(2) spares the kernel the import of a message header and a vector.
    sent = count == 1 ? ::send(fd, pieces->iov_base, pieces->iov_len, all_flags)
                      : sendmsg(fd, &message, all_flags);
  } while (sent < 0 && errno == EINTR);
  return result(sent);
}

int shutdown_write(int fd) { return result(shutdown(fd, SHUT_WR)); }

int epoll_create() { return result(epoll_create1(EPOLL_CLOEXEC)); }

int epoll_add(int epoll, int fd, uint32_t events, uint64_t data) {
  return epoll_control(epoll, EPOLL_CTL_ADD, fd, events, data);
}

int epoll_modify(int epoll, int fd, uint32_t events, uint64_t data) {
  return epoll_control(epoll, EPOLL_CTL_MOD, fd, events, data);
}

int epoll_remove(int epoll, int fd) { return epoll_control(epoll, EPOLL_CTL_DEL, fd, 0, 0); }

int wait_unnoticed(pid_t child, int* status) {
  pid_t waited;
  do {
    waited = waitpid(child, status, __WCLONE);
  } while (waited < 0 && errno == EINTR);
  return waited < 0 ? -errno : 0;
}

int freeze_pages() {
  const long child = syscall(SYS_clone, 0, nullptr, nullptr, nullptr, nullptr);
  if (child < 0) return -errno;
  if (child == 0) syscall(SYS_exit_group, 0);
  int status;
  return wait_unnoticed(static_cast<pid_t>(child), &status);
}

uint64_t descriptor_limit() {
  rlimit limit;
  return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : 1024;
}

PinLimits pin_limits() {
  PinLimits limits = {0, false};
  rlimit limit;
  if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0) {
    limits.memlock_bytes = limit.rlim_cur == RLIM_INFINITY ? UINT64_MAX : limit.rlim_cur;
  }
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
  std::memset(data, 0, sizeof data);
  if (syscall(SYS_capget, &header, data) == 0) {
    limits.ipc_lock =
        (data[CAP_TO_INDEX(CAP_IPC_LOCK)].effective & CAP_TO_MASK(CAP_IPC_LOCK)) != 0;
  }
  return limits;
}

}  // namespace msg_zerocopy
