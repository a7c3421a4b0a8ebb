// For libraries for LD_PRELOAD that stand between the addon and syscall(2).
#pragma once
#include <dlfcn.h>
#include <stdarg.h>
#include <stddef.h>

enum { kIoUringSetup = 425, kIoUringEnter = 426 };

struct syscall_arguments {
  long at[6];
};

static struct syscall_arguments take_arguments(va_list list) {
  struct syscall_arguments a;
  for (int i = 0; i < 6; i++) a.at[i] = va_arg(list, long);
  return a;
}

// The kernel's answer.
static long real_syscall(long number, const struct syscall_arguments* a) {
  static long (*real)(long, ...);
  if (real == NULL) *(void**)&real = dlsym(RTLD_NEXT, "syscall");
  return real(number, a->at[0], a->at[1], a->at[2], a->at[3], a->at[4], a->at[5]);
}
