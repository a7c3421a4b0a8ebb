// A library for LD_PRELOAD: after every io_uring_enter() of a ring with deferred work the flag
// IORING_SQ_TASKRUN stays set although there is no work. The kernel does that when it adds work on one
// CPU while another runs it (io_uring/io_uring.c: io_req_local_work_add sets the flag behind the work),
// rarely, and for as long as nothing else comes.
#define _GNU_SOURCE
#include <stdint.h>
#include <sys/mman.h>
#include <sys/types.h>

#include "syscall_preload.h"

enum { kMostRings = 16 };
static const uint32_t kSetupDeferTaskrun = 1u << 13;
static const uint32_t kSqTaskrun = 1u << 2;

// struct io_uring_params begins with ten words; sq_off.flags is the fifth word behind them.
enum { kFlagsWord = 2, kSqOffFlagsWord = 10 + 4 };

static struct {
  int fd;
  uint32_t flags_offset;
  char* base;
} rings[kMostRings];
static int ring_count;

static void keep_flag_set(int fd) {
  for (int i = 0; i < ring_count; i++) {
    if (rings[i].fd != fd || rings[i].base == NULL) continue;
    uint32_t* flags = (uint32_t*)(rings[i].base + rings[i].flags_offset);
    __atomic_fetch_or(flags, kSqTaskrun, __ATOMIC_SEQ_CST);
  }
}

long syscall(long number, ...) {
  va_list list;
  va_start(list, number);
  const struct syscall_arguments a = take_arguments(list);
  va_end(list);
  const long result = real_syscall(number, &a);
  if (number == kIoUringSetup && result >= 0 && ring_count < kMostRings) {
    const uint32_t* params = (const uint32_t*)a.at[1];
    if ((params[kFlagsWord] & kSetupDeferTaskrun) != 0) {
      rings[ring_count].fd = (int)result;
      rings[ring_count++].flags_offset = params[kSqOffFlagsWord];
    }
  }
  if (number == kIoUringEnter && result >= 0) keep_flag_set((int)a.at[0]);
  return result;
}

void* mmap(void* address, size_t length, int protection, int flags, int fd, off_t offset) {
  static void* (*real)(void*, size_t, int, int, int, off_t);
  if (real == NULL) *(void**)&real = dlsym(RTLD_NEXT, "mmap");
  void* base = real(address, length, protection, flags, fd, offset);
  for (int i = 0; i < ring_count; i++) {
    if (fd >= 0 && rings[i].fd == fd && offset == 0 && base != MAP_FAILED) rings[i].base = base;
  }
  return base;
}

// Under _FILE_OFFSET_BITS=64 the name is another one.
void* mmap64(void* address, size_t length, int protection, int flags, int fd, off_t offset) {
  return mmap(address, length, protection, flags, fd, offset);
}
