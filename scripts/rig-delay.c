// The rig's round trip: what the receiver sends back is read from a tun device in the namespace that this
// is started in, and written, a fixed time later, into one in the sender's. netem is not in every kernel.
// Exits 0 once both devices are there; a child goes on until it is killed, as all that runs in the sender's
// namespace is when the rig goes down. Failures print one line and exit 1 (2: usage).
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum {
  kMostDelayMs = 10000,
  // Packets that wait. ACKs: one or two for each 64 KiB, so that these are more than any window holds.
  kPackets = 16384,
  kPacketBytes = 2048,  // more than the devices' MTU of 1500
  kNanosPerMilli = 1000000,
};

static const int64_t kNanosPerSecond = 1000000000;

struct packet {
  int64_t due;
  ssize_t bytes;
  char data[kPacketBytes];
};

static struct packet packets[kPackets];

__attribute__((noreturn)) static void fail(const char* what) {
  fprintf(stderr, "rig-delay: %s: %s\n", what, strerror(errno));
  exit(1);
}

static int64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * kNanosPerSecond + time.tv_nsec;
}

static int open_tun(const char* name) {
  int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) fail("/dev/net/tun");
  struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
  snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
  if (ioctl(fd, TUNSETIFF, &request) < 0) fail(name);
  return fd;
}

static void enter_namespace(const char* path) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || setns(fd, CLONE_NEWNET) < 0) fail(path);
  close(fd);
}

// A reader of our output must not wait for the child.
static void let_go_of_streams(void) {
  int null = open("/dev/null", O_RDWR);
  if (null < 0) fail("/dev/null");
  for (int fd = 0; fd <= 2; ++fd) dup2(null, fd);
  if (null > 2) close(null);
}

static void forward(int from, int to, int64_t delay) {
  uint32_t first = 0;
  uint32_t waiting = 0;
  for (;;) {
    while (waiting < kPackets) {
      struct packet* last = &packets[(first + waiting) % kPackets];
      last->bytes = read(from, last->data, sizeof(last->data));
      if (last->bytes <= 0) break;
      last->due = now() + delay;
      waiting += 1;
    }
    // A packet that the device does not take is lost, as on any network.
    for (; waiting > 0 && packets[first].due <= now(); --waiting) {
      ssize_t written = write(to, packets[first].data, (size_t)packets[first].bytes);
      (void)written;
      first = (first + 1) % kPackets;
    }
    struct pollfd in = {.fd = from, .events = waiting < kPackets ? POLLIN : 0};
    int64_t wait = waiting > 0 ? packets[first].due - now() : 0;
    if (wait < 0) wait = 0;
    struct timespec timeout = {.tv_sec = wait / kNanosPerSecond, .tv_nsec = wait % kNanosPerSecond};
    if (ppoll(&in, 1, waiting > 0 ? &timeout : NULL, NULL) < 0 && errno != EINTR) return;
  }
}

int main(int argc, char** argv) {
  long delay = argc == 5 ? strtol(argv[4], NULL, 10) : 0;
  if (delay < 1 || delay > kMostDelayMs) {
    fputs("usage: rig-delay DEVICE SENDER_NAMESPACE SENDER_DEVICE MILLISECONDS\n", stderr);
    return 2;
  }
  int from = open_tun(argv[1]);
  enter_namespace(argv[2]);
  int to = open_tun(argv[3]);
  pid_t child = fork();
  if (child < 0) fail("fork");
  if (child > 0) return 0;
  setsid();
  let_go_of_streams();
  prctl(PR_SET_TIMERSLACK, 1);
  forward(from, to, (int64_t)delay * kNanosPerMilli);
  return 1;
}
