/* The limit Node is measured against: one TCP connection written without pause from C, by copy or
 * with MSG_ZEROCOPY. Speaks like bench/children/stream-sender.ts.
 * Usage: csend copy|zerocopy ADDRESS PORT SIZE FOOTPRINT WARMUP SECONDS [SCHEDSTAT...] */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { drain_every = 16, slack_seconds = 60 };

struct totals {
  unsigned long long bytes, writes, zero_copy_sends, zero_copy_bytes, kernel_copied_sends;
  unsigned long long unknown_sends, notifications, enobufs;
};

struct source {
  const char *memory;
  size_t size, count, next;
};

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static double now_ms(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return (double)at.tv_sec * 1e3 + (double)at.tv_nsec / 1e6;
}

static long long microseconds(struct timeval value) {
  return value.tv_sec * 1000000LL + value.tv_usec;
}

struct times {
  unsigned long long ran, waited;
};

static struct times times_of(const char *file) {
  struct times times = {0, 0};
  FILE *stream = fopen(file, "r");
  if (stream == NULL) return times;
  if (fscanf(stream, "%llu %llu", &times.ran, &times.waited) != 2) times.ran = times.waited = 0;
  fclose(stream);
  return times;
}

static void print_snapshot(const char *name, const struct totals *totals, char **schedstats) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  unsigned long long kernel_threads = 0;
  for (char **file = schedstats; *file != NULL; file++) kernel_threads += times_of(*file).ran;
  printf("\"%s\":{\"at\":%.3f,\"user\":%lld,\"system\":%lld,\"kernelThreads\":%llu,"
         "\"waited\":%llu,\"bytes\":%llu,\"writes\":%llu,\"zeroCopy\":{\"zeroCopySends\":%llu,"
         "\"zeroCopyBytes\":%llu,\"kernelCopiedSends\":%llu,\"unknownSends\":%llu,"
         "\"notifications\":%llu,"
         "\"enobufs\":%llu}}",
         name, now_ms(), microseconds(usage.ru_utime), microseconds(usage.ru_stime),
         kernel_threads, times_of("/proc/self/schedstat").waited, totals->bytes, totals->writes, totals->zero_copy_sends,
         totals->zero_copy_bytes, totals->kernel_copied_sends, totals->unknown_sends,
         totals->notifications, totals->enobufs);
}

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

static struct source make_source(size_t size, size_t footprint) {
  size_t count = footprint / size > 0 ? footprint / size : 1;
  size_t length = (count * size + 4095) & ~(size_t)4095;
  char *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) fail("mmap");
  madvise(memory, length, MADV_NOHUGEPAGE);
  for (size_t i = 0; i < length; i++) memory[i] = (char)(i * 31 + (i >> 12));
  return (struct source){memory, size, count, 0};
}

static void take_notice(const struct cmsghdr *cmsg, struct totals *totals) {
  struct sock_extended_err error;
  memcpy(&error, CMSG_DATA(cmsg), sizeof error);
  if (error.ee_errno != 0 || error.ee_origin != SO_EE_ORIGIN_ZEROCOPY) return;
  totals->notifications++;
  /* The kernel merges ranges without comparing their codes: the code is that of the first send. */
  totals->unknown_sends += (uint32_t)(error.ee_data - error.ee_info);
  if (error.ee_code & SO_EE_CODE_ZEROCOPY_COPIED) totals->kernel_copied_sends++;
}

static int drain(int fd, struct totals *totals) {
  int found = 0;
  for (;;) {
    char control[128];
    struct msghdr message = {.msg_control = control, .msg_controllen = sizeof control};
    if (recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) return found;
    found = 1;
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(&message);
    for (; cmsg != NULL; cmsg = CMSG_NXTHDR(&message, cmsg)) take_notice(cmsg, totals);
  }
}

/* Writes one buffer to its end. */
static void write_next(int fd, int flags, struct source *source, struct totals *totals) {
  const char *buffer = source->memory + source->next * source->size;
  source->next = (source->next + 1) % source->count;
  size_t done = 0;
  int use = flags;
  while (done < source->size) {
    ssize_t count = send(fd, buffer + done, source->size - done, use | MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count >= 0) {
      done += (size_t)count;
      totals->bytes += (unsigned long long)count;
      if (use != 0) {
        totals->zero_copy_sends++;
        totals->zero_copy_bytes += (unsigned long long)count;
        if (totals->zero_copy_sends % drain_every == 0) drain(fd, totals);
      }
      use = flags;
    } else if (errno == EAGAIN) {
      struct pollfd wait = {.fd = fd, .events = POLLOUT};
      poll(&wait, 1, 100);
      if (flags != 0) drain(fd, totals); /* else POLLERR makes the next poll return at once */
    } else if (errno == ENOBUFS) {
      totals->enobufs++;
      if (!drain(fd, totals)) use = 0;
    } else if (errno != EINTR) {
      fail("send");
    }
  }
  totals->writes++;
}

int main(int argc, char **argv) {
  if (argc < 8) {
    fprintf(stderr, "usage: csend copy|zerocopy ADDRESS PORT SIZE FOOTPRINT WARMUP SECONDS ...\n");
    return 2;
  }
  double warmup_ms = atof(argv[6]) * 1e3, measured_ms = atof(argv[7]) * 1e3;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  alarm((unsigned)((warmup_ms + measured_ms) / 1e3) + slack_seconds);
  int flags = strcmp(argv[1], "zerocopy") == 0 ? MSG_ZEROCOPY : 0;
  int fd = connect_to(argv[2], atoi(argv[3]));
  int one = 1;
  if (flags != 0 && setsockopt(fd, SOL_SOCKET, SO_ZEROCOPY, &one, sizeof one) != 0) {
    fail("setsockopt(SO_ZEROCOPY)");
  }
  struct source source = make_source((size_t)atoll(argv[4]), (size_t)atoll(argv[5]));
  struct totals totals = {0};
  size_t check_every = (1 << 20) / source.size > 0 ? (1 << 20) / source.size : 1;
  double start = now_ms() + warmup_ms;
  while (now_ms() < start)
    for (size_t i = 0; i < check_every; i++) write_next(fd, flags, &source, &totals);
  printf("{\"event\":\"result\",");
  print_snapshot("start", &totals, argv + 8);
  double end = now_ms() + measured_ms;
  while (now_ms() < end)
    for (size_t i = 0; i < check_every; i++) write_next(fd, flags, &source, &totals);
  printf(",");
  print_snapshot("end", &totals, argv + 8);
  printf(",\"engine\":\"%s\"}\n", flags != 0 ? "msg_zerocopy" : "copy");
  fflush(stdout);
  return 0;
}
