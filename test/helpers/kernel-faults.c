// A library for LD_PRELOAD: answers of the kernel's that this machine's kernel may not give.
//   REFUSE_ZEROCOPY=<errno>,<n>  send(2) and sendmsg(2) with MSG_ZEROCOPY fail after the first n, as on a
//                                socket whose protocol above TCP knows no such flag (net/tls/tls_sw.c:
//                                tls_sw_sendmsg)
//   TRUNCATE_NOTICE=<n>          the n-th entry of an error queue, counted from 0, comes
//                                without its control messages and with MSG_CTRUNC
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

static int is_refused(int flags) {
  static int left = -1;
  static int refusal = 0;
  if ((flags & MSG_ZEROCOPY) == 0) return 0;
  if (left < 0) {
    const char* given = getenv("REFUSE_ZEROCOPY");
    left = 0;
    if (given == NULL || sscanf(given, "%d,%d", &refusal, &left) != 2) refusal = 0;
  }
  if (refusal == 0) return 0;
  if (left > 0) {
    left--;
    return 0;
  }
  errno = refusal;
  return 1;
}

ssize_t send(int fd, const void* bytes, size_t length, int flags) {
  static ssize_t (*real)(int, const void*, size_t, int);
  if (real == NULL) *(void**)&real = dlsym(RTLD_NEXT, "send");
  return is_refused(flags) ? -1 : real(fd, bytes, length, flags);
}

ssize_t sendmsg(int fd, const struct msghdr* message, int flags) {
  static ssize_t (*real)(int, const struct msghdr*, int);
  if (real == NULL) *(void**)&real = dlsym(RTLD_NEXT, "sendmsg");
  return is_refused(flags) ? -1 : real(fd, message, flags);
}

ssize_t recvmsg(int fd, struct msghdr* message, int flags) {
  static ssize_t (*real)(int, struct msghdr*, int);
  static int before = -2;
  if (real == NULL) *(void**)&real = dlsym(RTLD_NEXT, "recvmsg");
  const ssize_t received = real(fd, message, flags);
  if (received < 0 || (flags & MSG_ERRQUEUE) == 0) return received;
  if (before == -2) {
    const char* given = getenv("TRUNCATE_NOTICE");
    before = given == NULL ? -1 : atoi(given);
  }
  if (before == 0) {
    message->msg_controllen = 0;
    message->msg_flags |= MSG_CTRUNC;
  }
  if (before >= 0) before--;
  return received;
}
