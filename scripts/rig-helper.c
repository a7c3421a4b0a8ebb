// What the rig needs of the kernel and iproute2 cannot ask for here: XDP programs (no libbpf, no
// clang), device features (no ethtool), a packet tap, and a sender that counts its completions.
// Knows only the device of the network namespace it is started in; scripts/rig/ decides where.
// Every subcommand exits 0, or prints one line with the errno's name and exits 1 (2: usage).
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/errqueue.h>
#include <linux/ethtool.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netdb.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef BPF_F_XDP_HAS_FRAGS  // Linux 5.18, include/uapi/linux/bpf.h
#define BPF_F_XDP_HAS_FRAGS (1U << 5)
#endif

enum { kExitFailed = 1, kExitUsage = 2 };

static const char* errno_name(int error) {
#ifdef __GLIBC__
  const char* name = strerrorname_np(error);
  if (name != NULL) return name;
#endif
  return strerror(error);
}

__attribute__((noreturn, format(printf, 2, 3))) static void fail(int error, const char* format,
                                                                  ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs("rig-helper: ", stderr);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  if (error != 0) fprintf(stderr, ": %s (%s)", errno_name(error), strerror(error));
  fputc('\n', stderr);
  exit(kExitFailed);
}

static unsigned interface_index(const char* name) {
  unsigned index = if_nametoindex(name);
  if (index == 0) fail(errno, "no interface '%s' in this network namespace", name);
  return index;
}

static long parse_number(const char* text, long min, long max, const char* what) {
  char* end = NULL;
  errno = 0;
  long value = strtol(text, &end, 10);
  if (errno != 0 || end == text || *end != '\0' || value < min || value > max) {
    fprintf(stderr, "rig-helper: %s must be %ld to %ld, not '%s'\n", what, min, max, text);
    exit(kExitUsage);
  }
  return value;
}

// ---- XDP -------------------------------------------------------------------------------------

#define INSN(op, dst, offset, immediate) \
  (struct bpf_insn) { .code = (op), .dst_reg = (dst), .off = (offset), .imm = (immediate) }
#define RETURN_INSNS(verdict) \
  INSN(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, verdict), INSN(BPF_JMP | BPF_EXIT, 0, 0, 0)

// Lets `drop_permille` of 1000 packets vanish and passes the rest. The certain cases are two
// instructions without a random number: the zero-copy rig measures with one of them in the path.
static int load_xdp_program(long drop_permille) {
  struct bpf_insn certain[] = {RETURN_INSNS(drop_permille == 0 ? XDP_PASS : XDP_DROP)};
  struct bpf_insn random[] = {
      INSN(BPF_JMP | BPF_CALL, 0, 0, BPF_FUNC_get_prandom_u32),
      INSN(BPF_ALU | BPF_MOD | BPF_K, BPF_REG_0, 0, 1000),
      INSN(BPF_JMP | BPF_JGE | BPF_K, BPF_REG_0, 2, (int32_t)drop_permille),
      RETURN_INSNS(XDP_DROP),
      RETURN_INSNS(XDP_PASS),
  };
  int is_certain = drop_permille == 0 || drop_permille == 1000;
  static char log[4096];
  union bpf_attr attr;
  memset(&attr, 0, sizeof(attr));
  attr.prog_type = BPF_PROG_TYPE_XDP;
  attr.insns = (uintptr_t)(is_certain ? certain : random);
  attr.insn_cnt = is_certain ? sizeof(certain) / sizeof(certain[0])
                             : sizeof(random) / sizeof(random[0]);
  attr.license = (uintptr_t) "MIT";
  // Without this flag the generic hook linearises a fragmented packet, which the sender is told of
  // as a copy (net/core/dev.c:netif_skb_check_for_xdp). With it the packet is copied into the
  // receiver's own pages and the sender's are let go untouched.
  attr.prog_flags = BPF_F_XDP_HAS_FRAGS;
  attr.log_level = 1;
  attr.log_size = sizeof(log);
  attr.log_buf = (uintptr_t)log;
  int fd = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));
  if (fd < 0) {
    int error = errno;
    if (log[0] != '\0') fputs(log, stderr);
    fail(error, "bpf(BPF_PROG_LOAD) of the XDP program");
  }
  return fd;
}

static void add_attribute(struct nlmsghdr* header, uint16_t type, const void* data, size_t size) {
  struct rtattr* attribute = (struct rtattr*)((char*)header + NLMSG_ALIGN(header->nlmsg_len));
  attribute->rta_type = type;
  attribute->rta_len = (uint16_t)RTA_LENGTH(size);
  memcpy(RTA_DATA(attribute), data, size);
  header->nlmsg_len = NLMSG_ALIGN(header->nlmsg_len) + RTA_ALIGN(attribute->rta_len);
}

// The kernel's own sentence about a refusal, where it sent one (NLMSGERR_ATTR_MSG).
static const char* refusal_text(const struct nlmsghdr* header, const char* end) {
  if ((header->nlmsg_flags & NLM_F_ACK_TLVS) == 0) return "";
  const struct nlmsgerr* error = NLMSG_DATA(header);
  // Without NETLINK_CAP_ACK a refusal repeats the whole request before its attributes.
  const char* at = (const char*)&error->msg + NLMSG_ALIGN(error->msg.nlmsg_len);
  const struct rtattr* attribute = (const struct rtattr*)at;
  long left = end - at;
  for (; RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left)) {
    if (attribute->rta_type == NLMSGERR_ATTR_MSG) return RTA_DATA(attribute);
  }
  return "";
}

// Attaches `program_fd`, or detaches with -1. By rtnetlink and not by a BPF link, because a link
// goes when its descriptor does; this one stays until replaced, detached, or the device goes, and
// swaps one program for another without a gap. `mode` is XDP_FLAGS_SKB_MODE (generic) or
// XDP_FLAGS_DRV_MODE (native).
static void set_xdp_program(const char* name, int program_fd, uint32_t mode) {
  struct {
    struct nlmsghdr header;
    struct ifinfomsg info;
    char attributes[64];
  } request;
  memset(&request, 0, sizeof(request));
  request.header.nlmsg_len = NLMSG_LENGTH(sizeof(request.info));
  request.header.nlmsg_type = RTM_SETLINK;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
  request.info.ifi_family = AF_UNSPEC;
  request.info.ifi_index = (int)interface_index(name);
  struct rtattr* nest = (struct rtattr*)((char*)&request + request.header.nlmsg_len);
  add_attribute(&request.header, IFLA_XDP | NLA_F_NESTED, "", 0);
  int32_t fd = program_fd;
  add_attribute(&request.header, IFLA_XDP_FD, &fd, sizeof(fd));
  add_attribute(&request.header, IFLA_XDP_FLAGS, &mode, sizeof(mode));
  nest->rta_len = (uint16_t)((char*)&request + request.header.nlmsg_len - (char*)nest);

  int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (netlink < 0) fail(errno, "socket(AF_NETLINK)");
  int on = 1;  // best effort: only the wording of a refusal depends on it
  setsockopt(netlink, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
  if (send(netlink, &request, request.header.nlmsg_len, 0) < 0) fail(errno, "send(AF_NETLINK)");
  union {
    struct nlmsghdr header;
    char bytes[4096];
  } answer;
  ssize_t size = recv(netlink, &answer, sizeof(answer), 0);
  if (size < 0) fail(errno, "recv(AF_NETLINK)");
  if (!NLMSG_OK(&answer.header, (size_t)size) || answer.header.nlmsg_type != NLMSG_ERROR) {
    fail(EPROTO, "RTM_SETLINK with IFLA_XDP on '%s'", name);
  }
  const struct nlmsgerr* error = NLMSG_DATA(&answer.header);
  if (error->error != 0) {
    const char* text = refusal_text(&answer.header, answer.bytes + size);
    fail(-error->error, "RTM_SETLINK with IFLA_XDP on '%s'%s%s", name, *text ? ": " : "", text);
  }
  close(netlink);
}

// ---- device features -------------------------------------------------------------------------

static void set_feature(const char* name, const char* feature, const char* state) {
  static const struct {
    const char* name;
    uint32_t set, get;
  } kFeatures[] = {
      {"tso", ETHTOOL_STSO, ETHTOOL_GTSO}, {"gso", ETHTOOL_SGSO, ETHTOOL_GGSO},
      {"gro", ETHTOOL_SGRO, ETHTOOL_GGRO}, {"sg", ETHTOOL_SSG, ETHTOOL_GSG},
      {"tx", ETHTOOL_STXCSUM, ETHTOOL_GTXCSUM},
  };
  const size_t count = sizeof(kFeatures) / sizeof(kFeatures[0]);
  size_t index = 0;
  while (index < count && strcmp(kFeatures[index].name, feature) != 0) ++index;
  int is_on = strcmp(state, "on") == 0;
  if (index == count || (!is_on && strcmp(state, "off") != 0)) {
    fputs("rig-helper: feature IFNAME tso|gso|gro|sg|tx on|off\n", stderr);
    exit(kExitUsage);
  }
  interface_index(name);  // the message of the ioctl alone would not name the interface
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) fail(errno, "socket(AF_INET)");
  struct ethtool_value value = {.cmd = kFeatures[index].set, .data = (uint32_t)is_on};
  struct ifreq request;
  memset(&request, 0, sizeof(request));
  strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  request.ifr_data = (void*)&value;
  if (ioctl(fd, SIOCETHTOOL, &request) < 0) {
    fail(errno, "SIOCETHTOOL: %s %s on '%s'", feature, state, name);
  }
  // The call succeeds for a fixed feature too, so ask what became of it.
  value.cmd = kFeatures[index].get;
  if (ioctl(fd, SIOCETHTOOL, &request) < 0) fail(errno, "SIOCETHTOOL: reading %s", feature);
  if ((value.data != 0) != is_on) {
    fail(EOPNOTSUPP, "%s of '%s' stays %s", feature, name, is_on ? "off" : "on");
  }
  close(fd);
}

// ---- tap -------------------------------------------------------------------------------------

// Holds a packet socket open, as tcpdump would, until standard input ends. It reads nothing: the
// kernel copies for a tap before it looks whether there is room in the tap's queue.
static void hold_tap(const char* name) {
  int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  if (fd < 0) fail(errno, "socket(AF_PACKET)");
  struct sockaddr_ll address = {
      .sll_family = AF_PACKET,
      .sll_protocol = htons(ETH_P_ALL),
      .sll_ifindex = (int)interface_index(name),
  };
  if (bind(fd, (struct sockaddr*)&address, sizeof(address)) < 0) fail(errno, "bind(AF_PACKET)");
  puts("ready");
  fflush(stdout);
  char ignored[256];
  ssize_t size;
  do {
    size = read(STDIN_FILENO, ignored, sizeof(ignored));
  } while (size > 0 || (size < 0 && errno == EINTR));
  close(fd);
}

// ---- zero-copy probe -------------------------------------------------------------------------

enum { kChunkBytes = 64 * 1024, kPatternBytes = 1024 * 1024, kStallMs = 30 * 1000 };

struct probe {
  int fd;
  uint64_t sends, completed, copied;
};

// Takes every notification that is there; returns how many sends they covered.
static uint64_t reap_completions(struct probe* probe) {
  uint64_t before = probe->completed;
  for (;;) {  // ends with EAGAIN: the queue is bounded by the sends in flight
    char control[128];
    struct msghdr message = {.msg_control = control, .msg_controllen = sizeof(control)};
    if (recvmsg(probe->fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) {
      if (errno == EAGAIN) break;
      fail(errno, "recvmsg(MSG_ERRQUEUE)");
    }
    for (struct cmsghdr* c = CMSG_FIRSTHDR(&message); c != NULL; c = CMSG_NXTHDR(&message, c)) {
      struct sock_extended_err notice;
      memcpy(&notice, CMSG_DATA(c), sizeof(notice));
      if (notice.ee_origin != SO_EE_ORIGIN_ZEROCOPY) fail(EPROTO, "a foreign error-queue entry");
      uint64_t count = (uint64_t)(uint32_t)(notice.ee_data - notice.ee_info) + 1;
      probe->completed += count;
      if (notice.ee_code & SO_EE_CODE_ZEROCOPY_COPIED) probe->copied += count;
    }
  }
  return probe->completed - before;
}

// Waits for `events` or for completions (POLLERR needs no asking).
static void wait_for(struct probe* probe, short events) {
  struct pollfd poll_fd = {.fd = probe->fd, .events = events};
  int ready = poll(&poll_fd, 1, kStallMs);
  if (ready < 0) fail(errno, "poll");
  if (ready == 0) fail(ETIMEDOUT, "no progress: %lu sends", (unsigned long)probe->sends);
  if (reap_completions(probe) == 0 && (poll_fd.revents & (POLLERR | POLLHUP))) {
    int error = 0;
    socklen_t size = sizeof(error);
    getsockopt(probe->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0 || (poll_fd.revents & POLLHUP)) fail(error, "the connection ended early");
  }
}

static int connect_to(const char* address, const char* port) {
  struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
                           .ai_socktype = SOCK_STREAM};
  struct addrinfo* found = NULL;
  int problem = getaddrinfo(address, port, &hints, &found);
  if (problem != 0) fail(EINVAL, "%s port %s: %s", address, port, gai_strerror(problem));
  int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) fail(errno, "socket");
  if (connect(fd, found->ai_addr, found->ai_addrlen) < 0) fail(errno, "connect %s", address);
  freeaddrinfo(found);
  int on = 1;
  if (setsockopt(fd, SOL_SOCKET, SO_ZEROCOPY, &on, sizeof(on)) < 0) fail(errno, "SO_ZEROCOPY");
  return fd;
}

// Byte i of the stream is a function of i modulo kPatternBytes, which scripts/rig/pattern.ts knows
// too: the receiver's hash then proves what arrived.
static char* make_pattern(void) {
  void* memory = NULL;
  if (posix_memalign(&memory, 4096, kPatternBytes) != 0) fail(ENOMEM, "posix_memalign");
  char* bytes = memory;
  for (uint32_t i = 0; i < kPatternBytes; ++i) bytes[i] = (char)(i * 31 + (i >> 8) * 17 + (i >> 16));
  return bytes;
}

static void run_zero_copy_probe(const char* address, const char* port, const char* bytes) {
  long total = parse_number(bytes, 1, 1L << 40, "BYTES");
  char* pattern = make_pattern();
  struct probe probe = {.fd = connect_to(address, port)};
  for (long sent = 0; sent < total;) {
    long offset = sent % kPatternBytes;
    long size = kChunkBytes;
    if (size > kPatternBytes - offset) size = kPatternBytes - offset;
    if (size > total - sent) size = total - sent;
    ssize_t accepted = send(probe.fd, pattern + offset, (size_t)size,
                            MSG_ZEROCOPY | MSG_DONTWAIT | MSG_NOSIGNAL);
    if (accepted > 0) {
      sent += accepted;
      probe.sends += 1;
      reap_completions(&probe);
    } else if (errno == EAGAIN) {
      wait_for(&probe, POLLOUT);
    } else if (errno == ENOBUFS) {
      wait_for(&probe, 0);  // optmem_max is full of notifications: only they can make room
    } else {
      fail(errno, "send(MSG_ZEROCOPY)");
    }
  }
  while (probe.completed < probe.sends) wait_for(&probe, 0);
  close(probe.fd);
  free(pattern);
  printf("{\"sends\":%lu,\"completed\":%lu,\"copied\":%lu}\n", (unsigned long)probe.sends,
         (unsigned long)probe.completed, (unsigned long)probe.copied);
}

// ---- command line ----------------------------------------------------------------------------

static const char kUsage[] =
    "usage: rig-helper xdp-pass IFNAME | xdp-drop IFNAME | xdp-detach IFNAME\n"
    "       rig-helper xdp-drop-random IFNAME PERMILLE | xdp-drop-native IFNAME\n"
    "       rig-helper xdp-attach IFNAME DESCRIPTOR\n"
    "       rig-helper feature IFNAME tso|gso|gro|sg|tx on|off\n"
    "       rig-helper tap IFNAME                  until standard input ends\n"
    "       rig-helper zc-probe ADDRESS PORT BYTES\n";

int main(int argc, char** argv) {
  const char* command = argc > 1 ? argv[1] : "";
  if (argc == 3 && strcmp(command, "xdp-pass") == 0) {
    set_xdp_program(argv[2], load_xdp_program(0), XDP_FLAGS_SKB_MODE);
  } else if (argc == 3 && strcmp(command, "xdp-drop") == 0) {
    set_xdp_program(argv[2], load_xdp_program(1000), XDP_FLAGS_SKB_MODE);
  } else if (argc == 3 && strcmp(command, "xdp-drop-native") == 0) {
    set_xdp_program(argv[2], load_xdp_program(1000), XDP_FLAGS_DRV_MODE);
  } else if (argc == 4 && strcmp(command, "xdp-drop-random") == 0) {
    long permille = parse_number(argv[3], 0, 1000, "PERMILLE");
    set_xdp_program(argv[2], load_xdp_program(permille), XDP_FLAGS_SKB_MODE);
  } else if (argc == 4 && strcmp(command, "xdp-attach") == 0) {
    const int fd = (int)parse_number(argv[3], 0, INT32_MAX, "DESCRIPTOR");
    set_xdp_program(argv[2], fd, XDP_FLAGS_SKB_MODE);
  } else if (argc == 3 && strcmp(command, "xdp-detach") == 0) {
    set_xdp_program(argv[2], -1, XDP_FLAGS_SKB_MODE);
  } else if (argc == 5 && strcmp(command, "feature") == 0) {
    set_feature(argv[2], argv[3], argv[4]);
  } else if (argc == 3 && strcmp(command, "tap") == 0) {
    hold_tap(argv[2]);
  } else if (argc == 5 && strcmp(command, "zc-probe") == 0) {
    run_zero_copy_probe(argv[2], argv[3], argv[4]);
  } else {
    fputs(kUsage, stderr);
    return kExitUsage;
  }
  return 0;
}
