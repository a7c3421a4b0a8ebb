/* What the C senders of the bench share: source memory, and the two snapshots that a measured window
 * lies between, in the words of bench/protocol.ts. */
#ifndef BENCH_CWINDOW_H
#define BENCH_CWINDOW_H

#include <linux/errqueue.h>
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

enum { slack_seconds = 60 };

struct totals {
  unsigned long long bytes, writes, zero_copy_sends, zero_copy_bytes, kernel_copied_sends;
  unsigned long long unknown_sends, notifications, enobufs;
};

struct source {
  char *memory;
  size_t size, count, next;
};

__attribute__((noreturn)) static inline void fail(const char *what) {
  perror(what);
  exit(1);
}

static inline double now_ms(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return (double)at.tv_sec * 1e3 + (double)at.tv_nsec / 1e6;
}

static inline long long microseconds(struct timeval value) {
  return value.tv_sec * 1000000LL + value.tv_usec;
}

struct times {
  unsigned long long ran, waited;
};

static inline struct times times_of(const char *file) {
  struct times times = {0, 0};
  FILE *stream = fopen(file, "r");
  if (stream == NULL) return times;
  if (fscanf(stream, "%llu %llu", &times.ran, &times.waited) != 2) times.ran = times.waited = 0;
  fclose(stream);
  return times;
}

static inline void print_snapshot(const char *name, const struct totals *totals,
                                  char **schedstats) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  unsigned long long kernel_threads = 0;
  for (char **file = schedstats; *file != NULL; file++) kernel_threads += times_of(*file).ran;
  printf("\"%s\":{\"at\":%.3f,\"user\":%lld,\"system\":%lld,\"kernelThreads\":%llu,"
         "\"waited\":%llu,\"bytes\":%llu,\"writes\":%llu,\"zeroCopy\":{\"zeroCopySends\":%llu,"
         "\"zeroCopyBytes\":%llu,\"kernelCopiedSends\":%llu,\"unknownSends\":%llu,"
         "\"notifications\":%llu,\"enobufs\":%llu}}",
         name, now_ms(), microseconds(usage.ru_utime), microseconds(usage.ru_stime),
         kernel_threads, times_of("/proc/self/schedstat").waited, totals->bytes, totals->writes,
         totals->zero_copy_sends, totals->zero_copy_bytes, totals->kernel_copied_sends,
         totals->unknown_sends, totals->notifications, totals->enobufs);
}

/* `count` buffers of `size` bytes side by side, on small pages, each touched. */
static inline struct source make_source(size_t size, size_t count) {
  size_t length = (count * size + 4095) & ~(size_t)4095;
  char *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) fail("mmap");
  madvise(memory, length, MADV_NOHUGEPAGE);
  for (size_t i = 0; i < length; i++) memory[i] = (char)(i * 31 + (i >> 12));
  return (struct source){memory, size, count, 0};
}

static inline char *next_buffer(struct source *source) {
  char *buffer = source->memory + source->next * source->size;
  source->next = (source->next + 1) % source->count;
  return buffer;
}

static inline void take_notice(const struct cmsghdr *cmsg, struct totals *totals) {
  struct sock_extended_err error;
  memcpy(&error, CMSG_DATA(cmsg), sizeof error);
  if (error.ee_errno != 0 || error.ee_origin != SO_EE_ORIGIN_ZEROCOPY) return;
  totals->notifications++;
  /* The kernel merges ranges without comparing their codes: the code is that of the first send. */
  totals->unknown_sends += (uint32_t)(error.ee_data - error.ee_info);
  if (error.ee_code & SO_EE_CODE_ZEROCOPY_COPIED) totals->kernel_copied_sends++;
}

/* Takes every notification that is there; says whether there was one. */
static inline int drain(int fd, struct totals *totals) {
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

struct window {
  double warmup_ms, measured_ms;
  /* Names of files, ended by NULL, as the command line has them. */
  char **schedstats;
  const char *engine;
};

/* Calls `step`, which is to send about a megabyte, until both parts of the window are over, and
 * prints the result. Never outlives its parent for long. */
static inline void run_window(struct window window, void (*step)(void *), void *context,
                              const struct totals *totals) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  alarm((unsigned)((window.warmup_ms + window.measured_ms) / 1e3) + slack_seconds);
  double start = now_ms() + window.warmup_ms;
  while (now_ms() < start) step(context);
  printf("{\"event\":\"result\",");
  print_snapshot("start", totals, window.schedstats);
  double end = now_ms() + window.measured_ms;
  while (now_ms() < end) step(context);
  printf(",");
  print_snapshot("end", totals, window.schedstats);
  printf(",\"engine\":\"%s\"}\n", window.engine);
  fflush(stdout);
}

#endif
