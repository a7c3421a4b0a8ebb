// A policer of the rig: an XDP program that lets packets through at a rate, and drops what comes faster. It
// has a bucket and no queue, so that a burst beyond the bucket is lost, as in a switch with a small buffer.
// Loads the program, and becomes `rig-helper xdp-attach`, which attaches it. Failures print one line and exit
// 1 (2: usage).
#define _GNU_SOURCE
#include <errno.h>
#include <linux/bpf.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef BPF_F_XDP_HAS_FRAGS  // Linux 5.18, include/uapi/linux/bpf.h
#define BPF_F_XDP_HAS_FRAGS (1U << 5)
#endif

enum {
  kFractionBits = 10,
  kGetBufferLength = 188,  // BPF_FUNC_xdp_get_buff_len, Linux 5.18: the fragments' bytes, too
};

static const double kNanosPerSecond = 1e9;

__attribute__((noreturn)) static void fail(const char* what) {
  fprintf(stderr, "rig-policer: %s: %s\n", what, strerror(errno));
  exit(1);
}

static int bpf(enum bpf_cmd command, union bpf_attr* attr) {
  return (int)syscall(SYS_bpf, command, attr, sizeof(*attr));
}

static int make_map(void) {
  union bpf_attr attr;
  memset(&attr, 0, sizeof(attr));
  attr.map_type = BPF_MAP_TYPE_ARRAY;
  attr.key_size = sizeof(uint32_t);
  attr.value_size = sizeof(uint64_t);
  attr.max_entries = 1;
  const int fd = bpf(BPF_MAP_CREATE, &attr);
  if (fd < 0) fail("bpf(BPF_MAP_CREATE)");
  return fd;
}

#define INSN(op, dst, src, offset, immediate) \
  ((struct bpf_insn){                         \
      .code = (op), .dst_reg = (dst), .src_reg = (src), .off = (offset), .imm = (immediate)})
#define MOVE(dst, src) INSN(BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0)
#define ADD(dst, src) INSN(BPF_ALU64 | BPF_ADD | BPF_X, dst, src, 0, 0)
#define BY_NUMBER(op, dst, number) INSN(BPF_ALU64 | (op) | BPF_K, dst, 0, 0, number)
#define JUMP_IF_GREATER(a, b, offset) INSN(BPF_JMP | BPF_JGT | BPF_X, a, b, offset, 0)
#define CALL(function) INSN(BPF_JMP | BPF_CALL, 0, 0, 0, function)
#define EXIT INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)

// The map holds the time at which all that was let through would have left a link of this rate. A packet that would
// leave it more than `burst` after now is dropped (the generic cell rate algorithm). One CPU runs it: the receiver's.
static int load(int map, int32_t cost, int32_t burst) {
  const struct bpf_insn program[] = {
      CALL(kGetBufferLength),
      MOVE(BPF_REG_7, BPF_REG_0),
      BY_NUMBER(BPF_MUL, BPF_REG_7, cost),
      BY_NUMBER(BPF_RSH, BPF_REG_7, kFractionBits),
      CALL(BPF_FUNC_ktime_get_ns),
      MOVE(BPF_REG_8, BPF_REG_0),
      INSN(BPF_ST | BPF_MEM | BPF_W, BPF_REG_10, 0, -4, 0),
      MOVE(BPF_REG_2, BPF_REG_10),
      BY_NUMBER(BPF_ADD, BPF_REG_2, -4),
      INSN(BPF_LD | BPF_IMM | BPF_DW, BPF_REG_1, BPF_PSEUDO_MAP_FD, 0, map),
      INSN(0, 0, 0, 0, 0),
      CALL(BPF_FUNC_map_lookup_elem),
      INSN(BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_0, 0, 9, 0),
      INSN(BPF_LDX | BPF_MEM | BPF_DW, BPF_REG_1, BPF_REG_0, 0, 0),
      JUMP_IF_GREATER(BPF_REG_1, BPF_REG_8, 1),
      MOVE(BPF_REG_1, BPF_REG_8),
      ADD(BPF_REG_1, BPF_REG_7),
      BY_NUMBER(BPF_ADD, BPF_REG_8, burst),
      JUMP_IF_GREATER(BPF_REG_1, BPF_REG_8, 3),
      INSN(BPF_STX | BPF_MEM | BPF_DW, BPF_REG_0, BPF_REG_1, 0, 0),
      BY_NUMBER(BPF_MOV, BPF_REG_0, XDP_PASS),
      EXIT,
      BY_NUMBER(BPF_MOV, BPF_REG_0, XDP_DROP),
      EXIT,
  };
  static char log[4096];
  union bpf_attr attr;
  memset(&attr, 0, sizeof(attr));
  attr.prog_type = BPF_PROG_TYPE_XDP;
  attr.insns = (uintptr_t)program;
  attr.insn_cnt = sizeof(program) / sizeof(program[0]);
  attr.license = (uintptr_t) "MIT";
  attr.prog_flags = BPF_F_XDP_HAS_FRAGS;  // as in rig-helper.c
  attr.log_level = 1;
  attr.log_size = sizeof(log);
  attr.log_buf = (uintptr_t)log;
  const int fd = bpf(BPF_PROG_LOAD, &attr);
  if (fd < 0) {
    fputs(log, stderr);
    fail("bpf(BPF_PROG_LOAD)");
  }
  return fd;
}

static double parse(const char* text) {
  char* end = NULL;
  const double value = strtod(text, &end);
  return *text != '\0' && *end == '\0' ? value : 0;
}

int main(int argc, char** argv) {
  const double rate = argc == 5 ? parse(argv[3]) : 0;
  const double bucket = argc == 5 ? parse(argv[4]) : 0;
  const double cost = rate > 0 ? kNanosPerSecond * (1 << kFractionBits) / rate : 0;
  const double burst = rate > 0 ? kNanosPerSecond * bucket / rate : 0;
  if (!(cost >= 1 && cost <= INT32_MAX && burst >= 1 && burst <= INT32_MAX)) {
    fputs("usage: rig-policer RIG-HELPER IFNAME BYTES-PER-SECOND BUCKET-BYTES\n", stderr);
    return 2;
  }
  // Not CLOEXEC: bpf(2) makes its descriptors so.
  const int fd = dup(load(make_map(), (int32_t)cost, (int32_t)burst));
  if (fd < 0) fail("dup");
  char number[16];
  snprintf(number, sizeof(number), "%d", fd);
  execl(argv[1], argv[1], "xdp-attach", argv[2], number, (char*)NULL);
  fail(argv[1]);
}
