// Turning JavaScript's buffers into what a system call takes.
#pragma once

#include <napi.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>

namespace msg_zerocopy {

constexpr size_t kMaxPieces = 1024;  // UIO_MAXIOV, include/uapi/linux/uio.h

// Gathers pieces[first..] from `offset` in the first of them into `iov`, which has room for `limit`,
// up to `length` bytes. 0 when the first piece shrank or was detached: then nothing may be sent.
// Pointers and lengths are read anew on every call: a buffer may have been detached or resized since.
size_t gather(napi_env env, napi_value pieces, uint32_t first, size_t offset, size_t length,
              iovec* iov, size_t limit);

}  // namespace msg_zerocopy
