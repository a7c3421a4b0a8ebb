// A library for LD_PRELOAD: system calls that the addon makes fail now and then, those of Node, V8 and
// libuv never. What fails are calls by which the addon gets something, with an errno that the kernel
// has for it; operator new is left alone, because nothing but an end of the process can follow there.
//
//   MSG_ZEROCOPY_FAIL        "<seed> <calls of 1000 that fail>"
//   MSG_ZEROCOPY_FAIL_COUNT  a file of 8 bytes, in which the failures are counted
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { kPerMilleMost = 1000, kUringSetup = 425, kUringRegister = 427 };

static uint64_t state;
static unsigned per_mille;
static uint64_t* failures;

#define REAL(name)                                               \
  static __typeof__(&name) real;                                 \
  if (real == NULL) *(void**)&real = dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void begin(void) {
  const char* plan = getenv("MSG_ZEROCOPY_FAIL");
  const char* file = getenv("MSG_ZEROCOPY_FAIL_COUNT");
  unsigned seed = 0;
  unsigned rate = 0;
  if (plan == NULL || sscanf(plan, "%u %u", &seed, &rate) != 2) return;
  state = seed * 2654435761u + 1;
  per_mille = rate < kPerMilleMost ? rate : kPerMilleMost;
  const int fd = file == NULL ? -1 : open(file, O_RDWR | O_CLOEXEC);
  if (fd < 0) return;
  REAL(mmap);
  void* base = real(NULL, sizeof *failures, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (base != MAP_FAILED) failures = base;
  close(fd);
}

static int by_addon(const void* caller) {
  Dl_info info;
  return dladdr(caller, &info) != 0 && info.dli_fname != NULL &&
         strstr(info.dli_fname, "msg_zerocopy.node") != NULL;
}

// splitmix64 (Steele, Lea, Flood 2014), whose state any thread may advance.
static uint64_t next_random(void) {
  uint64_t z = __atomic_add_fetch(&state, 0x9e3779b97f4a7c15u, __ATOMIC_RELAXED);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

static int fails(const void* caller, int error) {
  if (per_mille == 0 || next_random() % kPerMilleMost >= per_mille) return 0;
  if (!by_addon(caller)) return 0;
  if (failures != NULL) __atomic_add_fetch(failures, 1, __ATOMIC_RELAXED);
  errno = error;
  return 1;
}

#define FAILS(error) fails(__builtin_return_address(0), error)

int fcntl(int fd, int command, ...) {
  REAL(fcntl);
  va_list arguments;
  va_start(arguments, command);
  const long argument = va_arg(arguments, long);
  va_end(arguments);
  if (command == F_DUPFD_CLOEXEC && FAILS(EMFILE)) return -1;
  return real(fd, command, argument);
}

// Under _FILE_OFFSET_BITS=64, and by default on newer systems, the name is another one.
int fcntl64(int fd, int command, ...) {
  REAL(fcntl64);
  va_list arguments;
  va_start(arguments, command);
  const long argument = va_arg(arguments, long);
  va_end(arguments);
  if (command == F_DUPFD_CLOEXEC && FAILS(EMFILE)) return -1;
  return real(fd, command, argument);
}

void* mmap(void* address, size_t length, int protection, int flags, int fd, off_t offset) {
  REAL(mmap);
  if (FAILS(ENOMEM)) return MAP_FAILED;
  return real(address, length, protection, flags, fd, offset);
}

void* mmap64(void* address, size_t length, int protection, int flags, int fd, off_t offset) {
  REAL(mmap64);
  if (FAILS(ENOMEM)) return MAP_FAILED;
  return real(address, length, protection, flags, fd, offset);
}

long syscall(long number, ...) {
  REAL(syscall);
  long a[6];
  va_list arguments;
  va_start(arguments, number);
  for (int i = 0; i < 6; i++) a[i] = va_arg(arguments, long);
  va_end(arguments);
  if ((number == kUringSetup || number == kUringRegister) && FAILS(ENOMEM)) return -1;
  return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

int socket(int domain, int type, int protocol) {
  REAL(socket);
  if (FAILS(ENFILE)) return -1;
  return real(domain, type, protocol);
}

int epoll_create1(int flags) {
  REAL(epoll_create1);
  if (FAILS(EMFILE)) return -1;
  return real(flags);
}

int epoll_ctl(int epoll, int operation, int fd, struct epoll_event* event) {
  REAL(epoll_ctl);
  if (operation == EPOLL_CTL_ADD && FAILS(ENOSPC)) return -1;
  return real(epoll, operation, fd, event);
}

int setsockopt(int fd, int level, int name, const void* value, socklen_t length) {
  REAL(setsockopt);
  if (level == SOL_SOCKET && name == SO_ZEROCOPY && FAILS(ENOMEM)) return -1;
  return real(fd, level, name, value, length);
}

ssize_t send(int fd, const void* bytes, size_t length, int flags) {
  REAL(send);
  if ((flags & MSG_ZEROCOPY) != 0 && FAILS(ENOBUFS)) return -1;
  return real(fd, bytes, length, flags);
}

ssize_t sendmsg(int fd, const struct msghdr* message, int flags) {
  REAL(sendmsg);
  if ((flags & MSG_ZEROCOPY) != 0 && FAILS(ENOBUFS)) return -1;
  return real(fd, message, flags);
}

int sendmmsg(int fd, struct mmsghdr* messages, unsigned count, int flags) {
  REAL(sendmmsg);
  if ((flags & MSG_ZEROCOPY) != 0 && FAILS(ENOBUFS)) return -1;
  return real(fd, messages, count, flags);
}
