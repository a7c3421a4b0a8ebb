/* The limit Node is measured against: one TCP connection written without pause from C, by copy or
 * with MSG_ZEROCOPY. Speaks like bench/children/stream-sender.ts.
 * Usage: csend copy|zerocopy ADDRESS PORT SIZE FOOTPRINT WARMUP SECONDS [SCHEDSTAT...] */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>

#include "cwindow.h"

enum { drain_every = 16 };

static int connect_to(const char *text, int port) {
  struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
  struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  int is_six = inet_pton(AF_INET6, text, &six.sin6_addr) == 1;
  if (!is_six && inet_pton(AF_INET, text, &four.sin_addr) != 1) {
    fprintf(stderr, "csend: '%s' is not an address\n", text);
    exit(2);
  }
  int fd = socket(is_six ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
  if (fd < 0) fail("socket");
  struct sockaddr *address = is_six ? (struct sockaddr *)&six : (struct sockaddr *)&four;
  if (connect(fd, address, is_six ? sizeof six : sizeof four) != 0) fail("connect");
  return fd;
}

struct stream {
  int fd, flags;
  size_t check_every;
  struct source source;
  struct totals totals;
};

/* Writes one buffer to its end. */
static void write_next(struct stream *stream) {
  struct totals *totals = &stream->totals;
  const char *buffer = next_buffer(&stream->source);
  size_t size = stream->source.size, done = 0;
  int use = stream->flags;
  while (done < size) {
    ssize_t count = send(stream->fd, buffer + done, size - done, use | MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count >= 0) {
      done += (size_t)count;
      totals->bytes += (unsigned long long)count;
      if (use != 0) {
        totals->zero_copy_sends++;
        totals->zero_copy_bytes += (unsigned long long)count;
        if (totals->zero_copy_sends % drain_every == 0) drain(stream->fd, totals);
      }
      use = stream->flags;
    } else if (errno == EAGAIN) {
      struct pollfd wait = {.fd = stream->fd, .events = POLLOUT};
      poll(&wait, 1, 100);
      /* else POLLERR makes the next poll return at once */
      if (stream->flags != 0) drain(stream->fd, totals);
    } else if (errno == ENOBUFS) {
      totals->enobufs++;
      if (!drain(stream->fd, totals)) use = 0;
    } else if (errno != EINTR) {
      fail("send");
    }
  }
  totals->writes++;
}

static void step(void *context) {
  struct stream *stream = context;
  for (size_t i = 0; i < stream->check_every; i++) write_next(stream);
}

int main(int argc, char **argv) {
  if (argc < 8) {
    fprintf(stderr, "usage: csend copy|zerocopy ADDRESS PORT SIZE FOOTPRINT WARMUP SECONDS ...\n");
    return 2;
  }
  int flags = strcmp(argv[1], "zerocopy") == 0 ? MSG_ZEROCOPY : 0;
  int fd = connect_to(argv[2], atoi(argv[3]));
  int one = 1;
  if (flags != 0 && setsockopt(fd, SOL_SOCKET, SO_ZEROCOPY, &one, sizeof one) != 0) {
    fail("setsockopt(SO_ZEROCOPY)");
  }
  size_t size = (size_t)atoll(argv[4]), footprint = (size_t)atoll(argv[5]);
  size_t count = footprint / size > 0 ? footprint / size : 1;
  struct stream stream = {
      .fd = fd,
      .flags = flags,
      .check_every = (1 << 20) / size > 0 ? (1 << 20) / size : 1,
      .source = make_source(size, count),
  };
  struct window window = {
      .warmup_ms = atof(argv[6]) * 1e3,
      .measured_ms = atof(argv[7]) * 1e3,
      .schedstats = argv + 8,
      .engine = flags != 0 ? "msg_zerocopy" : "copy",
  };
  run_window(window, step, &stream, &stream.totals);
  return 0;
}
