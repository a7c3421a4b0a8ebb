// Runs a program for which the kernel has no io_uring: a seccomp filter answers io_uring_setup(2) with
// the errno asked for, as container runtimes (EPERM) and kernels without CONFIG_IO_URING (ENOSYS) do, or
// kills, as some hardened containers do:
//   KILL           who makes any call of io_uring; Node from 22 on does by itself, and dies
//   KILL-REGISTER  who makes io_uring_register, which Node does not
//   KILL-FORK      who makes that, or a process by clone(2)
//   KILL-PACKET    who opens a packet socket
// Usage: refuse-io-uring EPERM|ENOSYS|KILL... program [argument ...]
#define _GNU_SOURCE
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef __NR_io_uring_setup
#define __NR_io_uring_setup 425
#define __NR_io_uring_enter 426
#define __NR_io_uring_register 427
#endif

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define ARCHITECTURE AUDIT_ARCH_RISCV64
#elif defined(__powerpc64__) && defined(__LITTLE_ENDIAN__)
#define ARCHITECTURE AUDIT_ARCH_PPC64LE
#elif defined(__s390x__)
#define ARCHITECTURE AUDIT_ARCH_S390X
#else
#error "unknown architecture"
#endif

// The filter is a list of calls, each with what becomes of who makes it.
static struct sock_filter instructions[64] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};
static unsigned short length = 3;

static void add(struct sock_filter instruction) { instructions[length++] = instruction; }

static void refuse(unsigned call, unsigned action) {
  add((struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)));
  add((struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1));
  add((struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action));
}

// Refuses a call whose first argument has, of the bits of `mask`, these.
static void refuse_with(unsigned call, unsigned mask, unsigned bits, unsigned action) {
  // The lower half of 64 bits.
  const int swapped = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__;
  const unsigned first = offsetof(struct seccomp_data, args) + (swapped ? 4 : 0);
  add((struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)));
  add((struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 4));
  add((struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, first));
  add((struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, mask));
  add((struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, bits, 0, 1));
  add((struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action));
}

static int refuse_named(const char *name) {
  const unsigned kill = SECCOMP_RET_KILL_PROCESS;
  if (strcmp(name, "EPERM") == 0) {
    refuse(__NR_io_uring_setup, SECCOMP_RET_ERRNO | EPERM);
  } else if (strcmp(name, "ENOSYS") == 0) {
    refuse(__NR_io_uring_setup, SECCOMP_RET_ERRNO | ENOSYS);
  } else if (strcmp(name, "KILL-PACKET") == 0) {
    refuse_with(__NR_socket, 0xffff, AF_PACKET, kill);
  } else if (strcmp(name, "KILL") == 0) {
    refuse(__NR_io_uring_setup, kill);
    refuse(__NR_io_uring_enter, kill);
    refuse(__NR_io_uring_register, kill);
  } else if (strcmp(name, "KILL-REGISTER") == 0) {
    refuse(__NR_io_uring_register, kill);
  } else if (strcmp(name, "KILL-FORK") == 0) {
    refuse(__NR_io_uring_register, kill);
    refuse_with(__NR_clone, CLONE_THREAD, 0, kill);
  } else {
    return -1;
  }
  add((struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  return 0;
}

static int install(const struct sock_fprog *program) {
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program) == 0) return 0;
  // Without CAP_SYS_ADMIN a filter may only be set by who gives up gaining privileges (seccomp(2)).
  if (errno != EACCES || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return -1;
  return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program);
}

int main(int argc, char **argv) {
  if (argc < 3 || refuse_named(argv[1]) < 0) {
    fprintf(stderr, "usage: refuse-io-uring EPERM|ENOSYS|KILL... program [argument ...]\n");
    return 2;
  }
  const struct sock_fprog program = {.len = length, .filter = instructions};
  if (install(&program) < 0) {
    perror("refuse-io-uring: seccomp");
    return 2;
  }
  execvp(argv[2], argv + 2);
  perror(argv[2]);
  return 127;
}
