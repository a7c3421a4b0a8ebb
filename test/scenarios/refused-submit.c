// A library for LD_PRELOAD: the kernel has no memory for every third request of a ring, as io_uring_enter(2)
// may answer under pressure (io_uring/io_uring.c: io_submit_sqes). Each time it writes a byte to the file named
// by REFUSED_SUBMITS. Of several requests it takes the first half, then has no memory for the rest. Only rings that
// start disabled, as the addon's do: libuv takes a short answer for a bug, and waits for what was not taken.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "syscall_preload.h"

enum { kMostDescriptors = 1024, kSetupRDisabled = 1 << 6 };

// The third word of struct io_uring_params.
enum { kFlagsWord = 2 };

static char is_addons[kMostDescriptors];

static void tell(void) {
  const char* path = getenv("REFUSED_SUBMITS");
  const int fd = path == NULL ? -1 : open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0 || write(fd, ".", 1) != 1) abort();
  close(fd);
}

long syscall(long number, ...) {
  static __thread int submits, refuses_rest;
  va_list list;
  va_start(list, number);
  struct syscall_arguments a = take_arguments(list);
  va_end(list);
  if (number == kIoUringSetup) {
    const unsigned flags = ((const unsigned*)a.at[1])[kFlagsWord];
    const long ring = real_syscall(number, &a);
    if (ring >= 0 && ring < kMostDescriptors) is_addons[ring] = (flags & kSetupRDisabled) != 0;
    // The first two of a ring may be those that show whether there is one.
    submits = 0;
    return ring;
  }
  const int submits_some = number == kIoUringEnter && a.at[0] < kMostDescriptors && is_addons[a.at[0]] && a.at[1] > 0;
  if (submits_some && !refuses_rest && ++submits % 3 == 0) {
    refuses_rest = 1;
    if (a.at[1] > 1) {
      a.at[1] /= 2;
      return real_syscall(number, &a);
    }
  }
  if (submits_some && refuses_rest) {
    refuses_rest = 0;
    tell();
    errno = EAGAIN;
    return -1;
  }
  return real_syscall(number, &a);
}
