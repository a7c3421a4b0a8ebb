// Sends bytes of files from the page cache to a socket (sendfile(2)), and checks first whether they are cached: a call
// that finds a page missing would block the event loop until the disk has it.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

namespace msg_zerocopy {

// Why moving stopped before a failure.
enum FileStop : int {
  kFileDone = 0,  // all that was wanted
  kFileEnd = 1,   // the file has no more bytes
  kFileCold = 2,  // the next bytes are not in the page cache
  kFileTurn = 3,  // the time is over
};

struct Moved {
  uint64_t text_bytes = 0;
  uint64_t file_bytes = 0;
  uint64_t microseconds = 0;  // that it took
};

struct FileRange {
  int file;
  uint64_t offset;
  uint64_t count;
};

// Sends `text` and behind it, in the same packets, a range of a file, for about as long as it is given; never
// waits: -EINVAL on a blocking socket. A FileStop, or -errno: -EAGAIN when the socket takes no more,
// -EOPNOTSUPP when it is unknown whether reading would wait. `moved` says how far it came.
int move_file(int socket, const char* text, size_t text_bytes, const FileRange& range, uint64_t microseconds,
              Moved* moved);

// Reads at most `count` bytes of what move_file() would send next. Bytes, 0 at the end
// of the file, or -errno: -EAGAIN when they are not in the page cache.
int peek_file(int file, uint64_t offset, void* bytes, size_t count);

// Has the page cache hold `count` bytes from `offset` on, and lets the kernel begin with as many behind them.
// Waits for the disk. 0 or -errno.
int warm_file(int file, uint64_t offset, uint64_t count);

// The thread that sends learns of it: where a file system cannot say what is in memory (overlay), this counts.
void note_warm(int file, uint64_t offset, uint64_t count);

struct FileFacts {
  uint64_t device = 0;
  uint64_t inode = 0;
  uint64_t changed = 0;  // when, in nanoseconds
  uint64_t size = 0;
  bool regular = false;
  bool sized = false;    // false: it may hold more or fewer bytes than its size says
  bool deleted = false;  // no name leads to it any more
};

// 0 or -errno.
int describe_file(int file, FileFacts* facts);

// Opens for reading what the kernel can find without waiting for a disk or another machine: a descriptor, or
// -errno; -EAGAIN when it cannot (Linux 5.12; older ones answer -EINVAL or -ENOSYS).
int open_cached(const char* path);

}  // namespace msg_zerocopy
