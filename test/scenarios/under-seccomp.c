// Runs a program under a seccomp filter, as container runtimes do; or says what becomes of calls that containers
// are not to make, each on a line of its own.
// Usage: under-seccomp FILE program [argument ...]     FILE: the filter, an array of struct sock_filter
//        under-seccomp FILE --probe
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static void tell(const char* call, long result) {
  printf("%s: %s\n", call, result < 0 ? strerrorname_np(errno) : "done");
}

static long clone_with(unsigned long flags) {
  const long pid = syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
  if (pid == 0) _exit(0);
  return pid;
}

static int probe(void) {
  setvbuf(stdout, NULL, _IONBF, 0);
  tell("bpf", syscall(SYS_bpf, 0, NULL, 0));
  tell("clone", clone_with(0));
  tell("clone into a user namespace", clone_with(CLONE_NEWUSER));
  tell("clone into a network namespace", clone_with(CLONE_NEWNET));
  tell("clone3", syscall(SYS_clone3, NULL, 0));
  tell("keyctl", syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, 0, 0, 0, 0));
  tell("mount", mount("none", "/", NULL, MS_PRIVATE, NULL));
  tell("perf_event_open", syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0));
  tell("personality", syscall(SYS_personality, 0xffffffff));
  tell("personality, without randomisation", syscall(SYS_personality, 0x40000));
  tell("socket of AF_INET", socket(AF_INET, SOCK_STREAM, 0));
  tell("socket of AF_VSOCK", socket(AF_VSOCK, SOCK_STREAM, 0));
  tell("socket of AF_ALG", socket(AF_ALG, SOCK_SEQPACKET, 0));
  tell("unshare", unshare(CLONE_NEWNET));
  tell("userfaultfd", syscall(SYS_userfaultfd, 0));
  tell("a call that no kernel has", syscall(4000));
  return 0;
}

int main(int argc, char** argv) {
  static struct sock_filter instructions[BPF_MAXINSNS];
  if (argc < 3) return 2;
  const int file = open(argv[1], O_RDONLY | O_CLOEXEC);
  const ssize_t bytes = file < 0 ? -1 : read(file, instructions, sizeof instructions);
  if (bytes <= 0 || bytes % (ssize_t)sizeof instructions[0] != 0) {
    perror(argv[1]);
    return 1;
  }
  struct sock_fprog program = {(unsigned short)((size_t)bytes / sizeof instructions[0]), instructions};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
      syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0) {
    perror("seccomp");
    return 1;
  }
  if (strcmp(argv[2], "--probe") == 0) return probe();
  execvp(argv[2], argv + 2);
  perror(argv[2]);
  return 127;
}
