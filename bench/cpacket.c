/* The limit Node is measured against: Ethernet frames (IPv4, UDP) produced and sent without pause
 * from C by a packet socket that bypasses the queueing discipline. Speaks and produces like
 * bench/children/packet-sender.ts.
 * Usage: cpacket MODE PRODUCE DEVICE SIZE SEGMENT COUNT BATCH WARMUP SECONDS [SCHEDSTAT...]
 * MODE: sendto, sendmmsg or ring (PACKET_TX_RING, TPACKET_V2). PRODUCE: counter writes headers and a
 * counter into every frame and the whole of one frame a batch; whole writes every frame whole. SIZE:
 * bytes from the IP header on; SEGMENT: UDP payload the device is to cut it into, or 0; COUNT: source
 * buffers or ring frames. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stddef.h>

#include "cwindow.h"

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4 /* Linux 6.2, include/uapi/linux/virtio_net.h */
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

enum { discard_port = 9, most_batch = 64, page = 4096 };
enum { ip_at = sizeof(struct ethhdr), udp_at = ip_at + sizeof(struct iphdr) };
enum { headers_end = udp_at + sizeof(struct udphdr) };
/* Where the kernel looks for the data of a frame to send: net/packet/af_packet.c:tpacket_parse_header */
enum { data_at = TPACKET2_HDRLEN - sizeof(struct sockaddr_ll) };

struct sender {
  int fd, whole;
  size_t offload_bytes; /* of the virtio header before each frame, or 0 */
  size_t frame_bytes, ip_bytes, batch;
  struct virtio_net_hdr offload;
  unsigned char headers[headers_end];
  uint32_t counter;
  struct source source;
  char *ring;
  size_t ring_frame_bytes, ring_count, ring_next;
  struct totals totals;
  struct iovec pieces[most_batch];
  struct mmsghdr messages[most_batch];
};

static uint16_t checksum(const void *data, size_t size, uint32_t sum) {
  const unsigned char *bytes = data;
  for (size_t i = 0; i + 1 < size; i += 2) sum += (uint32_t)(bytes[i] << 8 | bytes[i + 1]);
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return (uint16_t)sum;
}

static void make_headers(struct sender *sender, size_t segment) {
  struct ethhdr *ethernet = (struct ethhdr *)sender->headers;
  memcpy(ethernet->h_dest, "\x02\0\0\0\0\x02", ETH_ALEN);
  memcpy(ethernet->h_source, "\x02\0\0\0\0\x01", ETH_ALEN);
  ethernet->h_proto = htons(ETH_P_IP);
  struct iphdr ip = {.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_UDP};
  ip.tot_len = htons((uint16_t)sender->ip_bytes);
  ip.saddr = inet_addr("198.18.0.1");
  ip.daddr = inet_addr("198.18.0.2");
  ip.check = htons((uint16_t)~checksum(&ip, sizeof ip, 0));
  size_t udp_bytes = sender->ip_bytes - sizeof ip;
  struct udphdr udp = {.source = htons(discard_port), .dest = htons(discard_port)};
  udp.len = htons((uint16_t)udp_bytes);
  if (segment > 0) {
    /* The device finishes what starts with the sum over the pseudo header. */
    uint32_t sum = IPPROTO_UDP + (uint32_t)udp_bytes;
    udp.check = htons(checksum(&ip.saddr, 8, sum));
    sender->offload_bytes = sizeof sender->offload;
    sender->offload = (struct virtio_net_hdr){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
                                              .gso_type = VIRTIO_NET_HDR_GSO_UDP_L4,
                                              .hdr_len = headers_end,
                                              .gso_size = (uint16_t)segment,
                                              .csum_start = udp_at,
                                              .csum_offset = offsetof(struct udphdr, check)};
  }
  memcpy(sender->headers + ip_at, &ip, sizeof ip);
  memcpy(sender->headers + udp_at, &udp, sizeof udp);
}

/* `place` has room for the virtio header, if there is one, and the frame. */
static void produce(struct sender *sender, char *place, size_t index) {
  memcpy(place, &sender->offload, sender->offload_bytes);
  char *frame = place + sender->offload_bytes;
  memcpy(frame, sender->headers, headers_end);
  uint32_t counter = sender->counter++;
  memcpy(frame + headers_end, &counter, sizeof counter);
  if (!sender->whole && index != 0) return;
  size_t at = headers_end + sizeof counter;
  memset(frame + at, (int)counter, sender->frame_bytes - at);
}

static void took(struct sender *sender, size_t frames) {
  sender->totals.writes += frames;
  sender->totals.bytes += frames * sender->ip_bytes;
}

static void wait_for_room(struct sender *sender) {
  struct pollfd wait = {.fd = sender->fd, .events = POLLOUT};
  poll(&wait, 1, 100);
}

static void send_singly(void *context) {
  struct sender *sender = context;
  size_t size = sender->offload_bytes + sender->frame_bytes;
  for (size_t i = 0; i < sender->batch; i++) {
    char *place = next_buffer(&sender->source);
    produce(sender, place, i);
    while (sendto(sender->fd, place, size, MSG_DONTWAIT, NULL, 0) < 0) {
      if (errno != EAGAIN && errno != ENOBUFS) fail("sendto");
      wait_for_room(sender);
    }
    took(sender, 1);
  }
}

static void send_together(void *context) {
  struct sender *sender = context;
  for (size_t i = 0; i < sender->batch; i++) {
    sender->pieces[i].iov_base = next_buffer(&sender->source);
    produce(sender, sender->pieces[i].iov_base, i);
  }
  for (size_t done = 0; done < sender->batch;) {
    unsigned left = (unsigned)(sender->batch - done);
    int count = sendmmsg(sender->fd, sender->messages + done, left, MSG_DONTWAIT);
    if (count < 0 && errno != EAGAIN && errno != ENOBUFS) fail("sendmmsg");
    if (count < 0) wait_for_room(sender);
    else done += (size_t)count;
  }
  took(sender, sender->batch);
}

static volatile struct tpacket2_hdr *ring_frame(struct sender *sender, size_t index) {
  return (volatile struct tpacket2_hdr *)(sender->ring + index * sender->ring_frame_bytes);
}

static void kick(struct sender *sender) {
  if (send(sender->fd, NULL, 0, MSG_DONTWAIT) < 0 && errno != EAGAIN && errno != ENOBUFS) {
    fail("send(PACKET_TX_RING)");
  }
}

static void send_by_ring(void *context) {
  struct sender *sender = context;
  for (size_t i = 0; i < sender->batch; i++) {
    volatile struct tpacket2_hdr *header = ring_frame(sender, sender->ring_next);
    while (__atomic_load_n(&header->tp_status, __ATOMIC_ACQUIRE) != TP_STATUS_AVAILABLE) {
      kick(sender);
      wait_for_room(sender);
    }
    produce(sender, (char *)header + data_at, i);
    header->tp_len = (uint32_t)(sender->offload_bytes + sender->frame_bytes);
    __atomic_store_n(&header->tp_status, TP_STATUS_SEND_REQUEST, __ATOMIC_RELEASE);
    sender->ring_next = (sender->ring_next + 1) % sender->ring_count;
  }
  kick(sender);
  took(sender, sender->batch);
}

static void open_socket(struct sender *sender, const char *device) {
  sender->fd = socket(AF_PACKET, SOCK_RAW, 0);
  if (sender->fd < 0) fail("socket(AF_PACKET)");
  int one = 1;
  socklen_t length = sizeof one;
  if (setsockopt(sender->fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, length) != 0) fail("bypass");
  if (sender->offload_bytes > 0 &&
      setsockopt(sender->fd, SOL_PACKET, PACKET_VNET_HDR, &one, length) != 0) {
    fail("PACKET_VNET_HDR");
  }
  struct sockaddr_ll address = {.sll_family = AF_PACKET,
                                .sll_ifindex = (int)if_nametoindex(device)};
  if (bind(sender->fd, (struct sockaddr *)&address, sizeof address) != 0) fail("bind");
}

static void open_ring(struct sender *sender, size_t count) {
  int version = TPACKET_V2;
  if (setsockopt(sender->fd, SOL_PACKET, PACKET_VERSION, &version, sizeof version) != 0) {
    fail("PACKET_VERSION");
  }
  size_t needed = data_at + sender->offload_bytes + sender->frame_bytes, size = 2048;
  while (size < needed) size *= 2;
  struct tpacket_req request = {.tp_frame_size = (unsigned)size, .tp_frame_nr = (unsigned)count};
  request.tp_block_size = (unsigned)(size < page ? page : size);
  request.tp_block_nr = (unsigned)(count * size / request.tp_block_size);
  if (setsockopt(sender->fd, SOL_PACKET, PACKET_TX_RING, &request, sizeof request) != 0) {
    fail("PACKET_TX_RING");
  }
  sender->ring = mmap(NULL, count * size, PROT_READ | PROT_WRITE, MAP_SHARED, sender->fd, 0);
  if (sender->ring == MAP_FAILED) fail("mmap(PACKET_TX_RING)");
  sender->ring_frame_bytes = size;
  sender->ring_count = count;
}

static void prepare_batch(struct sender *sender) {
  for (size_t i = 0; i < sender->batch; i++) {
    sender->pieces[i].iov_len = sender->offload_bytes + sender->frame_bytes;
    sender->messages[i].msg_hdr.msg_iov = &sender->pieces[i];
    sender->messages[i].msg_hdr.msg_iovlen = 1;
  }
}

int main(int argc, char **argv) {
  static struct sender sender;
  if (argc >= 10) {
    sender.ip_bytes = (size_t)atoll(argv[4]);
    sender.batch = (size_t)atoll(argv[7]);
  }
  if (sender.batch < 1 || sender.batch > most_batch || sender.ip_bytes < 64) {
    fputs("usage: cpacket MODE PRODUCE DEVICE SIZE SEGMENT COUNT BATCH WARMUP SECONDS ...\n", stderr);
    return 2;
  }
  const char *mode = argv[1];
  sender.whole = strcmp(argv[2], "whole") == 0;
  sender.frame_bytes = ETH_HLEN + sender.ip_bytes;
  make_headers(&sender, (size_t)atoll(argv[5]));
  open_socket(&sender, argv[3]);
  size_t count = (size_t)atoll(argv[6]);
  int ring = strcmp(mode, "ring") == 0;
  if (ring) open_ring(&sender, count);
  else sender.source = make_source(sender.offload_bytes + sender.frame_bytes, count);
  prepare_batch(&sender);
  struct window window = {
      .warmup_ms = atof(argv[8]) * 1e3,
      .measured_ms = atof(argv[9]) * 1e3,
      .schedstats = argv + 10,
      .engine = ring ? "tx_ring" : "copy",
  };
  void (*step)(void *) = ring                            ? send_by_ring
                         : strcmp(mode, "sendmmsg") == 0 ? send_together
                                                         : send_singly;
  run_window(window, step, &sender, &sender.totals);
  return 0;
}
