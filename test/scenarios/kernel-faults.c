// A library for LD_PRELOAD: answers of the kernel's that this machine's kernel may not give.
//   REFUSE_ZEROCOPY=<errno>,<n>  send(2) and sendmsg(2) with MSG_ZEROCOPY fail after the first n, as on a
//                                socket whose protocol above TCP knows no such flag (net/tls/tls_sw.c:
//                                tls_sw_sendmsg)
//   REFUSE_WATCH=<errno>,<n>     epoll_ctl(2) adds no more of the addon's descriptors after the first n, as
//                                at fs.epoll.max_user_watches; libuv's, not edge-triggered, it adds
//   REFUSE_COPY=<errno>,<n>      one datagram that is sent alone, copied, fails after the first n
//   SWALLOW_ZEROCOPY=<errno>     setsockopt(2) of SO_ZEROCOPY does nothing and succeeds; getsockopt(2) of it says
//                                off, or fails: gVisor (netstack.go: SetSockOpt), with ENOPROTOOPT
//   TRUNCATE_NOTICE=<n>          the n-th entry of an error queue, counted from 0, comes
//                                without its control messages and with MSG_CTRUNC
//   SILENCE_NOTICES=1            no entry of an error queue is ever seen: a platform that takes SO_ZEROCOPY and
//                                does not say when it let go of the memory
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

struct refusal {
  const char* name;
  int is_known;
  int error;
  int left;
};

static int is_refused(struct refusal* refusal) {
  if (!refusal->is_known) {
    const char* given = getenv(refusal->name);
    if (given == NULL || sscanf(given, "%d,%d", &refusal->error, &refusal->left) != 2) {
      refusal->error = 0;
    }
    refusal->is_known = 1;
  }
  if (refusal->error == 0 || refusal->left-- > 0) return 0;
  refusal->left = 0;
  errno = refusal->error;
  return 1;
}

static int is_send_refused(int flags) {
  static struct refusal sends = {.name = "REFUSE_ZEROCOPY"};
  return (flags & MSG_ZEROCOPY) != 0 && is_refused(&sends);
}

int epoll_ctl(int epoll, int operation, int fd, struct epoll_event* event) {
  static int (*real)(int, int, int, struct epoll_event*);
  static struct refusal watches = {.name = "REFUSE_WATCH"};
  if (real == NULL) *(void**)&real = dlsym(RTLD_NEXT, "epoll_ctl");
  const int is_addons = operation == EPOLL_CTL_ADD && (event->events & EPOLLET) != 0;
  return is_addons && is_refused(&watches) ? -1 : real(epoll, operation, fd, event);
}

ssize_t send(int fd, const void* bytes, size_t length, int flags) {
  static ssize_t (*real)(int, const void*, size_t, int);
  if (real == NULL) *(void**)&real = dlsym(RTLD_NEXT, "send");
  return is_send_refused(flags) ? -1 : real(fd, bytes, length, flags);
}

// Of the addon's datagrams, which carry these flags.
static int is_copy_refused(int flags) {
  static struct refusal copies = {.name = "REFUSE_COPY"};
  if (flags != (MSG_DONTWAIT | MSG_NOSIGNAL) || !is_refused(&copies)) return 0;
  copies.error = 0;
  return 1;
}

ssize_t sendmsg(int fd, const struct msghdr* message, int flags) {
  static ssize_t (*real)(int, const struct msghdr*, int);
  if (real == NULL) *(void**)&real = dlsym(RTLD_NEXT, "sendmsg");
  return is_send_refused(flags) || is_copy_refused(flags) ? -1 : real(fd, message, flags);
}

static int is_swallowed(int level, int name) {
  return level == SOL_SOCKET && name == SO_ZEROCOPY && getenv("SWALLOW_ZEROCOPY") != NULL;
}

int setsockopt(int fd, int level, int name, const void* value, socklen_t length) {
  static int (*real)(int, int, int, const void*, socklen_t);
  if (real == NULL) *(void**)&real = dlsym(RTLD_NEXT, "setsockopt");
  return is_swallowed(level, name) ? 0 : real(fd, level, name, value, length);
}

int getsockopt(int fd, int level, int name, void* value, socklen_t* length) {
  static int (*real)(int, int, int, void*, socklen_t*);
  if (real == NULL) *(void**)&real = dlsym(RTLD_NEXT, "getsockopt");
  if (!is_swallowed(level, name)) return real(fd, level, name, value, length);
  errno = atoi(getenv("SWALLOW_ZEROCOPY"));
  if (errno != 0) return -1;
  *(int*)value = 0;
  *length = sizeof(int);
  return 0;
}

ssize_t recvmsg(int fd, struct msghdr* message, int flags) {
  static ssize_t (*real)(int, struct msghdr*, int);
  static int before = -2;
  if (real == NULL) *(void**)&real = dlsym(RTLD_NEXT, "recvmsg");
  const ssize_t received = real(fd, message, flags);
  if (received < 0 || (flags & MSG_ERRQUEUE) == 0) return received;
  if (getenv("SILENCE_NOTICES") != NULL) {
    while (real(fd, message, flags) >= 0) continue;
    return -1;
  }
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
