/* The limit Node is measured against: datagrams sent without pause from C over UDP or a raw IPv4
 * socket that brings its own header. Speaks like bench/children/datagram-sender.ts.
 * Usage: cdatagram MODE ADDRESS PORT SIZE SEGMENT COUNT WARMUP SECONDS [SCHEDSTAT...]
 * MODE: udp-send, udp-sendmmsg, udp-gso, udp-gso-zerocopy, raw-sendto, raw-sendmmsg, or udp-flood, which is
 * udp-gso until the receiver is gone. SIZE: bytes of one send; SEGMENT: of one datagram; COUNT: source
 * buffers. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <poll.h>

#include "cwindow.h"

#ifndef UDP_SEGMENT /* Linux 4.18, include/uapi/linux/udp.h */
#define UDP_SEGMENT 103
#endif

enum { drain_every = 16, batch = 64, experimental_protocol = 253 };

struct sender {
  int fd, flags, flood;
  size_t segment, sends_per_step;
  struct sockaddr_in6 address; /* either family; a raw socket is not connected */
  socklen_t address_length;
  struct source source;
  struct totals totals;
  struct iovec pieces[batch];
  struct mmsghdr messages[batch];
};

static void took(struct sender *sender, size_t bytes, int zero_copy) {
  struct totals *totals = &sender->totals;
  totals->bytes += bytes;
  totals->writes += (bytes + sender->segment - 1) / sender->segment;
  if (!zero_copy) return;
  totals->zero_copy_sends++;
  totals->zero_copy_bytes += bytes;
  if (totals->zero_copy_sends % drain_every == 0) drain(sender->fd, totals);
}

static void wait_for_room(struct sender *sender) {
  struct pollfd wait = {.fd = sender->fd, .events = POLLOUT};
  poll(&wait, 1, 100);
  if (sender->flags & MSG_ZEROCOPY) drain(sender->fd, &sender->totals);
}

static void send_one(struct sender *sender, const struct sockaddr *to, socklen_t length) {
  const char *buffer = next_buffer(&sender->source);
  size_t size = sender->source.size;
  int use = sender->flags;
  for (;;) {
    ssize_t count = sendto(sender->fd, buffer, size, use | MSG_DONTWAIT, to, length);
    if (count >= 0) {
      took(sender, (size_t)count, use & MSG_ZEROCOPY);
      return;
    }
    if (errno == EAGAIN) {
      wait_for_room(sender);
    } else if (errno == ENOBUFS) {
      sender->totals.enobufs++;
      if (!(use & MSG_ZEROCOPY) || !drain(sender->fd, &sender->totals)) use = 0;
    } else if (errno == ECONNREFUSED && sender->flood) {
      exit(0);
    } else if (errno != EINTR) {
      fail("send");
    }
  }
}

static void step_connected(void *context) {
  struct sender *sender = context;
  for (size_t i = 0; i < sender->sends_per_step; i++) send_one(sender, NULL, 0);
}

static void step_addressed(void *context) {
  struct sender *sender = context;
  const struct sockaddr *to = (const struct sockaddr *)&sender->address;
  for (size_t i = 0; i < sender->sends_per_step; i++) {
    send_one(sender, to, sender->address_length);
  }
}

static void send_batch(struct sender *sender) {
  for (int i = 0; i < batch; i++) sender->pieces[i].iov_base = next_buffer(&sender->source);
  for (int done = 0; done < batch;) {
    int left = batch - done;
    int count = sendmmsg(sender->fd, sender->messages + done, (unsigned)left, MSG_DONTWAIT);
    if (count >= 0) {
      for (int i = 0; i < count; i++) took(sender, sender->messages[done + i].msg_len, 0);
      done += count;
    } else if (errno == EAGAIN || errno == ENOBUFS) {
      wait_for_room(sender);
    } else if (errno != EINTR) {
      fail("sendmmsg");
    }
  }
}

static void step_batches(void *context) {
  struct sender *sender = context;
  for (size_t i = 0; i < sender->sends_per_step; i += batch) send_batch(sender);
}

static void prepare_batch(struct sender *sender, int addressed) {
  for (int i = 0; i < batch; i++) {
    sender->pieces[i].iov_len = sender->source.size;
    struct msghdr *message = &sender->messages[i].msg_hdr;
    message->msg_iov = &sender->pieces[i];
    message->msg_iovlen = 1;
    if (!addressed) continue;
    message->msg_name = &sender->address;
    message->msg_namelen = sender->address_length;
  }
}

static void parse_address(struct sender *sender, const char *text, int port) {
  struct sockaddr_in *four = (struct sockaddr_in *)&sender->address;
  if (inet_pton(AF_INET6, text, &sender->address.sin6_addr) == 1) {
    sender->address.sin6_family = AF_INET6;
    sender->address.sin6_port = htons((uint16_t)port);
    sender->address_length = sizeof(struct sockaddr_in6);
  } else if (inet_pton(AF_INET, text, &four->sin_addr) == 1) {
    four->sin_family = AF_INET;
    four->sin_port = htons((uint16_t)port);
    sender->address_length = sizeof(struct sockaddr_in);
  } else {
    fprintf(stderr, "cdatagram: '%s' is not an address\n", text);
    exit(2);
  }
}

static void set_option(int fd, int level, int name, int value, const char *what) {
  if (setsockopt(fd, level, name, &value, sizeof value) != 0) fail(what);
}

static void open_udp(struct sender *sender, const char *mode) {
  int family = sender->address.sin6_family;
  sender->fd = socket(family, SOCK_DGRAM, 0);
  if (sender->fd < 0) fail("socket");
  const struct sockaddr *to = (const struct sockaddr *)&sender->address;
  if (connect(sender->fd, to, sender->address_length) != 0) fail("connect");
  if (strncmp(mode, "udp-gso", 7) == 0 || strcmp(mode, "udp-flood") == 0) {
    set_option(sender->fd, IPPROTO_UDP, UDP_SEGMENT, (int)sender->segment, "UDP_SEGMENT");
  }
  if (strcmp(mode, "udp-gso-zerocopy") == 0) {
    set_option(sender->fd, SOL_SOCKET, SO_ZEROCOPY, 1, "SO_ZEROCOPY");
    sender->flags = MSG_ZEROCOPY;
  }
}

/* The kernel fills in length, checksum, identification and source. */
static void open_raw(struct sender *sender) {
  if (sender->address.sin6_family != AF_INET) {
    fputs("cdatagram: raw senders are for IPv4\n", stderr);
    exit(2);
  }
  sender->fd = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
  if (sender->fd < 0) fail("socket");
  set_option(sender->fd, IPPROTO_IP, IP_HDRINCL, 1, "IP_HDRINCL");
  const struct sockaddr_in *four = (const struct sockaddr_in *)&sender->address;
  struct iphdr header = {.version = 4,
                         .ihl = 5,
                         .ttl = 64,
                         .protocol = experimental_protocol,
                         .daddr = four->sin_addr.s_addr};
  for (size_t i = 0; i < sender->source.count; i++) {
    memcpy(next_buffer(&sender->source), &header, sizeof header);
  }
}

int main(int argc, char **argv) {
  if (argc < 9) {
    fprintf(stderr, "usage: cdatagram MODE ADDRESS PORT SIZE SEGMENT COUNT WARMUP SECONDS ...\n");
    return 2;
  }
  const char *mode = argv[1];
  size_t size = (size_t)atoll(argv[4]);
  static struct sender sender;
  sender.segment = (size_t)atoll(argv[5]);
  sender.sends_per_step = (1 << 20) / size > 0 ? (1 << 20) / size : 1;
  sender.source = make_source(size, (size_t)atoll(argv[6]));
  sender.flood = strcmp(mode, "udp-flood") == 0;
  parse_address(&sender, argv[2], atoi(argv[3]));
  int raw = strncmp(mode, "raw-", 4) == 0;
  if (raw) open_raw(&sender);
  else open_udp(&sender, mode);
  int batched = strstr(mode, "sendmmsg") != NULL;
  if (batched) prepare_batch(&sender, raw);
  struct window window = {
      .warmup_ms = atof(argv[7]) * 1e3,
      .measured_ms = atof(argv[8]) * 1e3,
      .schedstats = argv + 9,
      .engine = sender.flags != 0 ? "msg_zerocopy" : "copy",
  };
  void (*step)(void *) = batched ? step_batches : raw ? step_addressed : step_connected;
  run_window(window, step, &sender, &sender.totals);
  return 0;
}
