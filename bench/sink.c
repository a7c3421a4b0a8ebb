/* Receives one TCP connection and drops it without copying, so that the receiver is no bottleneck.
 * Usage: sink ADDRESS. Says {"event":"ready","port":N} and, at the end of the connection,
 * {"event":"received","bytes":N}. Dies with its parent. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { at_once = 1 << 20, longest_life_seconds = 4 * 3600 };

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static int listen_at(const char *text) {
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
  if (listen(fd, 1) != 0) fail("listen");
  struct sockaddr_in6 bound; /* the port is in the same place for both families */
  length = sizeof bound;
  if (getsockname(fd, (struct sockaddr *)&bound, &length) != 0) fail("getsockname");
  printf("{\"event\":\"ready\",\"port\":%d}\n", ntohs(bound.sin6_port));
  fflush(stdout);
  return fd;
}

int main(int argc, char **argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: sink ADDRESS\n");
    return 2;
  }
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  alarm(longest_life_seconds);
  int listener = listen_at(argv[1]);
  int fd = accept(listener, NULL, NULL);
  if (fd < 0) fail("accept");
  close(listener);
  static char unused[at_once];
  unsigned long long bytes = 0;
  for (;;) {
    ssize_t count = recv(fd, unused, sizeof unused, MSG_TRUNC);
    if (count > 0) {
      bytes += (unsigned long long)count;
      continue;
    }
    if (count < 0 && errno == EINTR) continue;
    break; /* the end, or a reset: either way nothing more comes */
  }
  printf("{\"event\":\"received\",\"bytes\":%llu}\n", bytes);
  return 0;
}
