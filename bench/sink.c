/* Receives TCP connections and drops what comes without copying, so that the receiver is no
 * bottleneck; or reads it, as a client does.
 * Usage: sink ADDRESS [CONNECTIONS [reads|discards]]. Says {"event":"ready","port":N} and, when so many connections
 * (1) came and ended, {"event":"received","bytes":N}. Dies with its parent. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { at_once = 1 << 20, read_at_once = 1 << 16, events_at_once = 256, longest_life_seconds = 4 * 3600 };

static char unused[at_once];
static size_t room = at_once;
static int flags = MSG_TRUNC;

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static int listen_at(const char *text, int backlog) {
  struct sockaddr_in6 six = {.sin6_family = AF_INET6};
  struct sockaddr_in four = {.sin_family = AF_INET};
  int is_six = inet_pton(AF_INET6, text, &six.sin6_addr) == 1;
  if (!is_six && inet_pton(AF_INET, text, &four.sin_addr) != 1) {
    fprintf(stderr, "sink: '%s' is not an address\n", text);
    exit(2);
  }
  int fd = socket(is_six ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
  if (fd < 0) fail("socket");
  struct sockaddr *address = is_six ? (struct sockaddr *)&six : (struct sockaddr *)&four;
  socklen_t length = is_six ? sizeof six : sizeof four;
  if (bind(fd, address, length) != 0) fail("bind");
  if (listen(fd, backlog) != 0) fail("listen");
  struct sockaddr_in6 bound; /* the port is in the same place for both families */
  length = sizeof bound;
  if (getsockname(fd, (struct sockaddr *)&bound, &length) != 0) fail("getsockname");
  printf("{\"event\":\"ready\",\"port\":%d}\n", ntohs(bound.sin6_port));
  fflush(stdout);
  return fd;
}

/* A sender that ends resets connections, and of a burst of resets the backlog of a device drops some: the keep-alive
 * finds those (the accepted sockets inherit it). */
static void keep_alive(int listener) {
  int on = 1;
  int one_second = 1;
  if (setsockopt(listener, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on) != 0) fail("SO_KEEPALIVE");
  if (setsockopt(listener, IPPROTO_TCP, TCP_KEEPIDLE, &one_second, sizeof one_second) != 0) fail("TCP_KEEPIDLE");
  if (setsockopt(listener, IPPROTO_TCP, TCP_KEEPINTVL, &one_second, sizeof one_second) != 0) fail("TCP_KEEPINTVL");
}

/* One connection, with nothing between two receives. */
static unsigned long long receive_one(int listener) {
  int fd = accept(listener, NULL, NULL);
  if (fd < 0) fail("accept");
  close(listener);
  unsigned long long bytes = 0;
  for (;;) {
    ssize_t count = recv(fd, unused, room, flags);
    if (count > 0) {
      bytes += (unsigned long long)count;
      continue;
    }
    if (count < 0 && errno == EINTR) continue;
    return bytes; /* the end, or a reset: either way nothing more comes */
  }
}

static void watch(int epoll, int fd) {
  struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) fail("epoll_ctl");
}

static unsigned long long receive_many(int listener, int left) {
  int epoll = epoll_create1(0);
  if (epoll < 0) fail("epoll_create1");
  watch(epoll, listener);
  unsigned long long bytes = 0;
  struct epoll_event events[events_at_once];
  while (left > 0) {
    int ready = epoll_wait(epoll, events, events_at_once, -1);
    for (int i = 0; i < ready; i++) {
      int fd = events[i].data.fd;
      if (fd == listener) {
        int accepted = accept(listener, NULL, NULL);
        if (accepted < 0) fail("accept");
        watch(epoll, accepted);
        continue;
      }
      ssize_t count = recv(fd, unused, room, flags | MSG_DONTWAIT);
      if (count > 0) bytes += (unsigned long long)count;
      if (count > 0 || (count < 0 && (errno == EINTR || errno == EAGAIN))) continue;
      close(fd);
      left--;
    }
  }
  return bytes;
}

int main(int argc, char **argv) {
  int connections = argc >= 3 ? atoi(argv[2]) : 1;
  if (argc < 2 || argc > 4 || connections < 1) {
    fprintf(stderr, "usage: sink ADDRESS [CONNECTIONS [reads|discards]]\n");
    return 2;
  }
  if (argc == 4 && strcmp(argv[3], "reads") == 0) {
    room = read_at_once;
    flags = 0;
  }
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  alarm(longest_life_seconds);
  int listener = listen_at(argv[1], connections);
  keep_alive(listener);
  unsigned long long bytes =
      connections == 1 ? receive_one(listener) : receive_many(listener, connections);
  printf("{\"event\":\"received\",\"bytes\":%llu}\n", bytes);
  return 0;
}
