// Trials of system calls that Node itself does not make. A seccomp filter may kill the caller
// (SECCOMP_RET_KILL_PROCESS, in some hardened containers) and cannot be queried, so under a filter the trial runs in a
// child process, whose death is the answer.
#pragma once

#include <cstddef>

namespace msg_zerocopy {

// What became of a trial, beside -errno: there was no child to be had.
enum { kTrialDone = 0, kTrialKilled = 1 };

// Runs `trial`, which writes what it finds to the last of its arguments: `bytes` of `result`, zeroed. It runs as
// the child of a vfork(2) may: no memory from the heap, no locks, no stdio, and little stack.
int try_apart(void (*trial)(const void* given, void* into), const void* given, void* result,
              size_t bytes);

// The same for anything that can be called and returns what it finds, a plain struct.
template <typename R, typename Trial>
int try_apart(R* result, const Trial& trial) {
  const auto run = [](const void* given, void* into) {
    *static_cast<R*>(into) = (*static_cast<const Trial*>(given))();
  };
  return try_apart(run, &trial, result, sizeof(R));
}

}  // namespace msg_zerocopy
