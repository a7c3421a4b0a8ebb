#include "kernel/apart.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "kernel/sys.h"

namespace msg_zerocopy {
namespace {

// Whether a seccomp filter is on for this thread; true where it is unknown.
bool is_filtered() {
  Fd status(open("/proc/thread-self/status", O_RDONLY | O_CLOEXEC));
  char text[4096];
  const ssize_t size = status.valid() ? read(status.get(), text, sizeof text - 1) : -1;
  if (size <= 0) return true;
  text[size] = '\0';
  // A kernel without seccomp has no such line.
  const char* mode = std::strstr(text, "\nSeccomp:\t");
  return mode != nullptr && mode[std::strlen("\nSeccomp:\t")] != '0';
}

constexpr size_t kStackBytes = 128 * 1024;

// Memory for a child, which shares it with its parent: a stack that grows down, and its result at the bottom.
class SharedMemory {
 public:
  SharedMemory() {
    base_ = mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (base_ == MAP_FAILED) failed_ = -errno;
  }
  ~SharedMemory() {
    if (failed_ == 0) munmap(base_, kStackBytes);
  }
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;
  int failed() const { return failed_; }
  void* result() const { return base_; }
  void* stack() const { return static_cast<char*>(base_) + kStackBytes; }

 private:
  void* base_ = nullptr;
  int failed_ = 0;
};

struct Task {
  void (*trial)(const void* given, void* into);
  const void* given;
  void* into;
};

int run_task(void* argument) {
  const auto* task = static_cast<const Task*>(argument);
  // No core file of a child that dies on purpose. A limit of 1 also keeps a core helper from being started.
  const rlimit no_core = {1, 1};
  setrlimit(RLIMIT_CORE, &no_core);
  task->trial(task->given, task->into);
  return 0;
}

// By hand: sscanf(3) and strtol(3) have names that only the newest C library knows (GLIBC_2.38).
int take_number(const char** at) {
  int number = 0;
  for (; **at >= '0' && **at <= '9'; ++*at) number = number * 10 + (**at - '0');
  return number;
}

// Before Linux 5.16 a process that dies with a core takes those with it that share its memory
// (fs/coredump.c:zap_threads). Without sharing, all page tables are copied: that takes milliseconds.
int sharing_flags() {
  utsname name;
  if (uname(&name) < 0) return 0;
  const char* at = name.release;
  const int major = take_number(&at);
  if (*at == '.') at++;
  const int minor = take_number(&at);
  return major > 5 || (major == 5 && minor >= 16) ? CLONE_VM | CLONE_VFORK : 0;
}

}  // namespace

int try_apart(void (*trial)(const void* given, void* into), const void* given, void* result,
              size_t bytes) {
  std::memset(result, 0, bytes);
  if (!is_filtered()) {
    trial(given, result);
    return kTrialDone;
  }
  const SharedMemory shared;
  if (shared.failed() < 0) return shared.failed();
  Task task = {trial, given, shared.result()};
  // The child has libuv's handlers, which would report the child's signals to the parent.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, &before);
  const int child = clone(run_task, shared.stack(), sharing_flags(), &task);
  const int failed = child < 0 ? -errno : 0;
  sigprocmask(SIG_SETMASK, &before, nullptr);
  if (failed < 0) return failed;
  int status = 0;
  const int waited = wait_unnoticed(child, &status);
  if (waited < 0) return waited;
  if (!WIFEXITED(status)) return kTrialKilled;
  std::memcpy(result, shared.result(), bytes);
  return kTrialDone;
}

}  // namespace msg_zerocopy
