/* Asks an http server for the same URL again and again over keep-alive connections. Bodies are dropped
 * without copying, so that the server is saturated before this is.
 * Usage: load ADDRESS PORT CONNECTIONS RATE WARMUP SECONDS [reads|discards]
 * `reads`: bodies are copied, as a client's are.
 * RATE 0: every connection asks again as soon as it was answered. Otherwise so many requests a second,
 * evenly spaced over all connections, whether or not earlier ones were answered; a latency counts from
 * the moment a request was due. Says {"event":"load",...} at the end: what was asked within SECONDS
 * behind WARMUP, latencies in µs. Dies with its parent. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>

#include "cwindow.h"

enum { head_room = 2048, body_at_once = 1 << 20, read_at_once = 1 << 16, events_at_once = 256, drain_seconds = 5 };
enum { sub_bits = 7, sub_buckets = 1 << sub_bits, buckets = 64 * sub_buckets };

static const uint64_t second = 1000000000;
/* The server is warmed up at full speed, then has a pause to calm down before it is measured. */
static const double part_at_full_speed = 0.8;

struct connection {
  int fd;
  uint64_t due;
  size_t head_length, body_left;
  int in_body;
  char head[head_room];
};

/* Numbers of connections, or due times: whoever is longest in it goes first. */
struct queue {
  uint64_t *entries;
  size_t room, first, length;
};

struct load {
  int epoll, timer;
  struct connection *connections;
  size_t count, busy;
  char request[256];
  size_t request_length;
  struct queue idle, waiting;
  uint64_t interval, next_due; /* 0: no rate */
  int open;
  size_t room;
  int flags;
  uint64_t from, until;
  uint64_t latencies[buckets], requests;
};

static uint64_t now_ns(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return (uint64_t)at.tv_sec * second + (uint64_t)at.tv_nsec;
}

static void put(struct queue *queue, uint64_t entry) {
  if (queue->length == queue->room) {
    size_t room = queue->room == 0 ? 1024 : queue->room * 2;
    uint64_t *entries = malloc(room * sizeof *entries);
    if (entries == NULL) fail("malloc");
    for (size_t i = 0; i < queue->length; i++) {
      entries[i] = queue->entries[(queue->first + i) % queue->room];
    }
    free(queue->entries);
    *queue = (struct queue){entries, room, 0, queue->length};
  }
  queue->entries[(queue->first + queue->length++) % queue->room] = entry;
}

static uint64_t take(struct queue *queue) {
  uint64_t entry = queue->entries[queue->first];
  queue->first = (queue->first + 1) % queue->room;
  queue->length--;
  return entry;
}

/* Buckets of less than 1 % of their value. */
static size_t bucket_of(uint64_t value) {
  if (value < sub_buckets) return value;
  unsigned shift = 63u - (unsigned)__builtin_clzll(value) - sub_bits;
  return ((size_t)shift + 1) * sub_buckets + (size_t)(value >> shift) - sub_buckets;
}

static double middle_of(size_t bucket) {
  if (bucket < sub_buckets) return (double)bucket;
  size_t shift = bucket / sub_buckets - 1;
  return ((double)(bucket % sub_buckets + sub_buckets) + 0.5) * (double)(1ull << shift);
}

static double quantile_us(const struct load *load, double part) {
  double wanted = part * (double)load->requests;
  uint64_t seen = 0;
  for (size_t i = 0; i < buckets; i++) {
    seen += load->latencies[i];
    if (seen > 0 && (double)seen >= wanted) return middle_of(i) / 1e3;
  }
  return 0;
}

static int connect_to(const char *text, int port) {
  struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
  struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  int is_six = inet_pton(AF_INET6, text, &six.sin6_addr) == 1;
  if (!is_six && inet_pton(AF_INET, text, &four.sin_addr) != 1) {
    fprintf(stderr, "load: '%s' is not an address\n", text);
    exit(2);
  }
  int fd = socket(is_six ? AF_INET6 : AF_INET, SOCK_STREAM, 0), one = 1;
  if (fd < 0) fail("socket");
  struct sockaddr *address = is_six ? (struct sockaddr *)&six : (struct sockaddr *)&four;
  if (connect(fd, address, is_six ? sizeof six : sizeof four) != 0) fail("connect");
  if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0) fail("TCP_NODELAY");
  return fd;
}

static void ask(struct load *load, struct connection *connection, uint64_t due) {
  connection->due = due;
  connection->head_length = 0;
  connection->in_body = 0;
  load->busy++;
  ssize_t count = send(connection->fd, load->request, load->request_length, MSG_NOSIGNAL);
  if (count != (ssize_t)load->request_length) fail("send");
}

static void answered(struct load *load, struct connection *connection) {
  uint64_t now = now_ns();
  load->busy--;
  if (connection->due >= load->from && connection->due < load->until) {
    load->latencies[bucket_of(now - connection->due)]++;
    load->requests++;
  }
  if (load->waiting.length > 0) {
    ask(load, connection, take(&load->waiting));
  } else if (load->open || now >= load->until) {
    put(&load->idle, (uint64_t)(connection - load->connections));
  } else {
    ask(load, connection, now);
  }
}

static void bad_answer(const struct connection *connection) {
  fprintf(stderr, "load: not an answer to go on with: %.*s\n", (int)connection->head_length,
          connection->head);
  exit(1);
}

/* Once the head is complete, the part of the body that came with it is taken off. */
static void parse_head(struct connection *connection) {
  const char *head = connection->head;
  const char *end = memmem(head, connection->head_length, "\r\n\r\n", 4);
  if (end == NULL) {
    if (connection->head_length == head_room - 1) bad_answer(connection);
    return;
  }
  connection->head[connection->head_length] = 0;
  const char *length = strcasestr(head, "\r\ncontent-length:");
  if (strncmp(head, "HTTP/1.1 200 ", 13) != 0 || length == NULL || length > end) {
    bad_answer(connection);
  }
  size_t body = strtoull(length + 17, NULL, 10);
  size_t came = connection->head_length - (size_t)(end + 4 - head);
  if (came > body) bad_answer(connection);
  connection->body_left = body - came;
  connection->in_body = 1;
}

/* What is there of one answer. */
static void receive(struct load *load, struct connection *connection) {
  static char unused[body_at_once];
  for (;;) {
    ssize_t count;
    if (connection->in_body) {
      size_t left = connection->body_left;
      count = recv(connection->fd, unused, left < load->room ? left : load->room,
                   load->flags | MSG_DONTWAIT);
      if (count > 0) connection->body_left -= (size_t)count;
    } else {
      size_t length = connection->head_length;
      count = recv(connection->fd, connection->head + length, head_room - 1 - length, MSG_DONTWAIT);
      if (count > 0) {
        connection->head_length += (size_t)count;
        parse_head(connection);
      }
    }
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (count < 0) fail("recv");
    if (count == 0) {
      fprintf(stderr, "load: the server closed a connection\n");
      exit(1);
    }
    if (connection->in_body && connection->body_left == 0) {
      answered(load, connection);
      return;
    }
  }
}

static void start_rate(struct load *load) {
  load->open = 1;
  load->next_due = now_ns() + load->interval;
  struct itimerspec at = {
      .it_value = {(time_t)(load->next_due / second), (long)(load->next_due % second)},
      .it_interval = {(time_t)(load->interval / second), (long)(load->interval % second)},
  };
  if (timerfd_settime(load->timer, TFD_TIMER_ABSTIME, &at, NULL) != 0) fail("timerfd_settime");
}

static void ask_what_is_due(struct load *load, uint64_t now) {
  uint64_t expired;
  if (read(load->timer, &expired, sizeof expired) < 0 && errno != EAGAIN) fail("read");
  for (; load->next_due <= now && load->next_due < load->until; load->next_due += load->interval) {
    if (load->idle.length == 0) put(&load->waiting, load->next_due);
    else ask(load, &load->connections[take(&load->idle)], load->next_due);
  }
}

static void run(struct load *load, uint64_t rate_from) {
  struct epoll_event events[events_at_once];
  for (;;) {
    uint64_t now = now_ns();
    if (load->interval != 0 && !load->open && now >= rate_from) start_rate(load);
    if (now >= load->until && load->busy == 0) return;
    if (now >= load->until + drain_seconds * second) {
      /* A large file may take longer; whoever asks for the next when the last is there misses nothing. */
      if (load->interval == 0) return;
      fprintf(stderr, "load: %zu requests were not answered\n", load->busy);
      exit(1);
    }
    int count = epoll_wait(load->epoll, events, events_at_once, 20);
    if (count < 0 && errno != EINTR) fail("epoll_wait");
    for (int i = 0; i < count; i++) {
      if (events[i].data.ptr == NULL) ask_what_is_due(load, now_ns());
      else receive(load, events[i].data.ptr);
    }
  }
}

static void watch(struct load *load, int fd, struct connection *connection) {
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
  if (epoll_ctl(load->epoll, EPOLL_CTL_ADD, fd, &event) != 0) fail("epoll_ctl");
}

static double cpu_seconds(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return (double)(microseconds(usage.ru_utime) + microseconds(usage.ru_stime)) / 1e6;
}

int main(int argc, char **argv) {
  if (argc != 7 && argc != 8) {
    fprintf(stderr, "usage: load ADDRESS PORT CONNECTIONS RATE WARMUP SECONDS [reads|discards]\n");
    return 2;
  }
  double rate = atof(argv[4]), warmup = atof(argv[5]), seconds = atof(argv[6]);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  alarm((unsigned)(warmup + seconds) + slack_seconds);
  static struct load load;
  int reads = argc == 8 && strcmp(argv[7], "reads") == 0;
  load.room = reads ? read_at_once : body_at_once;
  load.flags = reads ? 0 : MSG_TRUNC;
  load.epoll = epoll_create1(0);
  load.timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
  if (load.epoll < 0 || load.timer < 0) fail("epoll_create1, timerfd_create");
  watch(&load, load.timer, NULL);
  load.count = (size_t)atoll(argv[3]);
  load.connections = calloc(load.count, sizeof *load.connections);
  if (load.connections == NULL) fail("calloc");
  load.request_length = (size_t)snprintf(load.request, sizeof load.request,
                                         "GET / HTTP/1.1\r\nHost: %s:%s\r\n\r\n", argv[1], argv[2]);
  load.interval = rate > 0 ? (uint64_t)((double)second / rate) : 0;
  for (size_t i = 0; i < load.count; i++) {
    load.connections[i].fd = connect_to(argv[1], atoi(argv[2]));
    watch(&load, load.connections[i].fd, &load.connections[i]);
  }
  uint64_t start = now_ns();
  load.from = start + (uint64_t)(warmup * 1e9);
  load.until = load.from + (uint64_t)(seconds * 1e9);
  double before = cpu_seconds();
  for (size_t i = 0; i < load.count; i++) ask(&load, &load.connections[i], now_ns());
  run(&load, start + (uint64_t)(warmup * part_at_full_speed * 1e9));
  double busy = (cpu_seconds() - before) / ((double)(now_ns() - start) / 1e9);
  printf("{\"event\":\"load\",\"requests\":%llu,\"p50\":%.1f,\"p99\":%.1f,\"busy\":%.3f}\n",
         (unsigned long long)load.requests, quantile_us(&load, 0.5), quantile_us(&load, 0.99), busy);
  return 0;
}
