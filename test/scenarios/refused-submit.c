// A library for LD_PRELOAD: the kernel has no memory for every third request of a ring, as io_uring_enter(2)
// may answer under pressure (io_uring/io_uring.c: io_submit_sqes). Each time it writes a byte to the file named
// by REFUSED_SUBMITS.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

enum { kEnter = 426 };

static void tell(void) {
  const char* path = getenv("REFUSED_SUBMITS");
  const int fd = path == NULL ? -1 : open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0 || write(fd, ".", 1) != 1) abort();
  close(fd);
}

long syscall(long number, ...) {
  static long (*real)(long, ...);
  static __thread int submits;
  if (real == NULL) *(void**)&real = dlsym(RTLD_NEXT, "syscall");
  long a[6];
  va_list arguments;
  va_start(arguments, number);
  for (int i = 0; i < 6; i++) a[i] = va_arg(arguments, long);
  va_end(arguments);
  // The first shows whether there is a ring.
  if (number == kEnter && a[1] > 0 && ++submits % 3 == 0) {
    tell();
    errno = EAGAIN;
    return -1;
  }
  return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
