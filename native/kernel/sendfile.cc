#include "kernel/sendfile.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/stat.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "kernel/sys.h"

#ifndef OVERLAYFS_SUPER_MAGIC  // Linux 4.5, include/uapi/linux/magic.h
#define OVERLAYFS_SUPER_MAGIC 0x794c7630
#endif
#ifndef SYS_openat2  // Linux 5.6, the same number everywhere
#define SYS_openat2 437
#endif
#ifndef SYS_cachestat  // Linux 6.5, the same number everywhere
#define SYS_cachestat 451
#endif

namespace msg_zerocopy {
namespace {

using Clock = std::chrono::steady_clock;

// As many bytes are looked at together, from a multiple of it on, and sent by one call: what is looked at may be gone
// when it is sent.
constexpr uint64_t kStretch = 1024 * 1024;
// Where cachestat() is refused, one page of so many bytes stands for the others: the kernel reads ahead and
// forgets in larger steps.
constexpr uint64_t kSample = 32 * 1024;

// include/uapi/linux/openat2.h, include/uapi/linux/mman.h; older headers lack them.
struct OpenHow {
  uint64_t flags;
  uint64_t mode;
  uint64_t resolve;
};
constexpr uint64_t kResolveCached = 0x20;
struct CacheRange {
  uint64_t offset;
  uint64_t bytes;
};
struct CacheCounts {
  uint64_t cached;
  uint64_t others[4];
};

// Of a mode: sys/stat.h and linux/stat.h cannot be had together everywhere.
constexpr unsigned kTypeMask = 0170000;
constexpr unsigned kRegular = 0100000;

enum class Residency { kResident, kMissing, kUnknown };

uint64_t page_bytes() { return static_cast<uint64_t>(sysconf(_SC_PAGESIZE)); }

// Whether the page of this byte is in memory and up to date. One that is being read is not.
Residency look_at(int file, uint64_t offset) {
  char byte;
  iovec piece = {&byte, 1};
  const ssize_t read = preadv2(file, &piece, 1, static_cast<off_t>(offset), RWF_NOWAIT);
  // At the end of the file there is nothing to wait for.
  if (read >= 0) return Residency::kResident;
  return errno == EAGAIN ? Residency::kMissing : Residency::kUnknown;
}

// Pages of a stretch that the cache holds, those among them that are being read; -errno: since Linux 6.15
// only of files that one owns or may write.
int64_t cached_pages(int file, uint64_t offset, uint64_t count) {
  const CacheRange range = {offset, count};
  CacheCounts counts;
  std::memset(&counts, 0, sizeof counts);
  if (syscall(SYS_cachestat, file, &range, &counts, 0) < 0) return -errno;
  return static_cast<int64_t>(counts.cached);
}

// Whether the pages from `offset` to `end`, whose own were found, are there as well.
bool has_every_page(int file, uint64_t offset, uint64_t end, uint64_t pages) {
  const int64_t cached = cached_pages(file, offset, end - offset + 1);
  if (cached >= 0 && static_cast<uint64_t>(cached) < pages) return false;
  for (uint64_t at = (offset / kSample + 1) * kSample; at < end; at += kSample) {
    if (look_at(file, at) != Residency::kResident) return false;
  }
  return true;
}

// Stretches that were there lately. What was sent within the last second is not what the kernel forgets,
// unless it forgets the file, which its ends show: looking at all of it each time costs an eighth of what
// sending does.
class KnownStretches {
 public:
  bool holds(const FileFacts& file, uint64_t offset, uint64_t end) const {
    const Entry& entry = entries_[place_of(file, offset)];
    return entry.inode == file.inode && entry.device == file.device && entry.changed == file.changed &&
           entry.offset <= offset && entry.end >= end && Clock::now() < entry.until;
  }
  void learn(const FileFacts& file, uint64_t offset, uint64_t end) {
    entries_[place_of(file, offset)] = {file.device, file.inode, file.changed, offset,
                                        end,         Clock::now() + kTrusted};
  }

 private:
  struct Entry {
    uint64_t device = 0;
    uint64_t inode = 0;
    uint64_t changed = 0;
    uint64_t offset = 0;
    uint64_t end = 0;
    Clock::time_point until;
  };
  static constexpr size_t kPlaces = 1024;
  static constexpr std::chrono::milliseconds kTrusted{1000};

  static size_t place_of(const FileFacts& file, uint64_t offset) {
    return (offset / kStretch + file.inode * 31) % kPlaces;
  }

  std::array<Entry, kPlaces> entries_;
};

thread_local KnownStretches stretches;

// The same of a stretch, where the file system knows no RWF_NOWAIT. A read may wait for another machine, or
// for this very process (FUSE): only what is known to lie on a disk of this one is read ahead, and then taken
// to be there for a while.
Residency guess(int file, const FileFacts& facts, uint64_t offset, uint64_t end) {
  struct statfs system;
  if (fstatfs(file, &system) < 0) return Residency::kUnknown;
  switch (static_cast<uint32_t>(system.f_type)) {
    case TMPFS_MAGIC:
    case RAMFS_MAGIC:
      return Residency::kResident;
    case OVERLAYFS_SUPER_MAGIC:
    case SQUASHFS_MAGIC:
      return stretches.holds(facts, offset, end) ? Residency::kResident : Residency::kMissing;
    default:
      return Residency::kUnknown;
  }
}

// Whether `count` bytes from `offset` on, at most a stretch, can be sent without waiting.
Residency residency(int file, uint64_t offset, uint64_t count) {
  const uint64_t page = page_bytes();
  const uint64_t last = offset + count - 1;
  const Residency first = look_at(file, offset);
  if (first == Residency::kMissing) return first;
  if (first == Residency::kResident && last / page == offset / page) return first;
  FileFacts facts;
  if (describe_file(file, &facts) < 0) return first;
  if (offset >= facts.size) return Residency::kResident;
  const uint64_t end = std::min(last, facts.size - 1);
  if (first == Residency::kUnknown) return guess(file, facts, offset, end);
  if (look_at(file, end) != Residency::kResident) return Residency::kMissing;
  const uint64_t pages = end / page - offset / page + 1;
  if (pages <= 2 || stretches.holds(facts, offset, end)) return first;
  if (!has_every_page(file, offset, end, pages)) return Residency::kMissing;
  stretches.learn(facts, offset, end);
  return first;
}

// Bytes up to the next stretch, at most `count`.
uint64_t of_stretch(uint64_t offset, uint64_t count) { return std::min(kStretch - offset % kStretch, count); }

// Waits until one page in `step` bytes is there. 0 or -errno.
int wait_for_pages(int file, uint64_t offset, uint64_t count, uint64_t step) {
  for (uint64_t at = offset; at < offset + count; at = (at / step + 1) * step) {
    char byte;
    const ssize_t read = pread(file, &byte, 1, static_cast<off_t>(at));
    if (read < 0) return -errno;
    if (read == 0) return 0;
  }
  return 0;
}

int send_text(int socket, const char* text, size_t bytes, uint64_t* sent) {
  ssize_t accepted;
  do {
    accepted = send(socket, text, bytes, MSG_MORE | MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (accepted < 0 && errno == EINTR);
  if (accepted < 0) return -errno;
  *sent = static_cast<uint64_t>(accepted);
  return *sent < bytes ? -EAGAIN : 0;
}

int move_range(int socket, const FileRange& range, Clock::time_point until, Moved* moved) {
  uint64_t known = 0;  // bytes that were found in the cache, from where the file stands on
  while (moved->file_bytes < range.count) {
    off_t at = static_cast<off_t>(range.offset + moved->file_bytes);
    if (known == 0) {
      if (moved->file_bytes > 0 && Clock::now() >= until) return kFileTurn;
      known = of_stretch(static_cast<uint64_t>(at), range.count - moved->file_bytes);
      const Residency found = residency(range.file, static_cast<uint64_t>(at), known);
      if (found == Residency::kUnknown) return -EOPNOTSUPP;
      if (found == Residency::kMissing) return kFileCold;
    }
    const ssize_t sent = sendfile(socket, range.file, &at, known);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return -errno;
    if (sent == 0) return kFileEnd;
    moved->file_bytes += static_cast<uint64_t>(sent);
    known -= static_cast<uint64_t>(sent);
  }
  return kFileDone;
}

}  // namespace

int move_file(int socket, const char* text, size_t text_bytes, const FileRange& range, uint64_t microseconds,
              Moved* moved) {
  // It has no flag against waiting; a process that shares the descriptor may have made it blocking.
  if (is_blocking(socket)) return -EINVAL;
  if (text_bytes > 0) {
    const int sent = send_text(socket, text, text_bytes, &moved->text_bytes);
    if (sent < 0) return sent;
  }
  const Clock::time_point begin = Clock::now();
  const int stopped = move_range(socket, range, begin + std::chrono::microseconds(microseconds), moved);
  const auto took = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - begin);
  moved->microseconds = static_cast<uint64_t>(took.count());
  return stopped;
}

int peek_file(int file, uint64_t offset, void* bytes, size_t count) {
  iovec piece = {bytes, count};
  ssize_t read = preadv2(file, &piece, 1, static_cast<off_t>(offset), RWF_NOWAIT);
  if (read < 0 && errno == EOPNOTSUPP) {
    const Residency found = residency(file, offset, of_stretch(offset, count));
    if (found == Residency::kMissing) return -EAGAIN;
    if (found == Residency::kUnknown) return -EOPNOTSUPP;
    read = pread(file, bytes, of_stretch(offset, count), static_cast<off_t>(offset));
  }
  return read < 0 ? -errno : static_cast<int>(read);
}

int warm_file(int file, uint64_t offset, uint64_t count) {
  readahead(file, static_cast<off_t>(offset), 2 * count);
  const int failed = wait_for_pages(file, offset, count, kSample);
  if (failed < 0) return failed;
  // The kernel may have read less than it was asked for. Each page on its own, then.
  for (uint64_t at = offset; at < offset + count; at += kStretch) {
    const uint64_t bytes = std::min(kStretch, offset + count - at);
    if (residency(file, at, bytes) == Residency::kResident) continue;
    const int missing = wait_for_pages(file, at, bytes, page_bytes());
    if (missing < 0) return missing;
  }
  return 0;
}

void note_warm(int file, uint64_t offset, uint64_t count) {
  FileFacts facts;
  if (describe_file(file, &facts) < 0) return;
  const uint64_t end = std::min(offset + count, facts.size);
  while (offset < end) {
    const uint64_t bytes = of_stretch(offset, end - offset);
    stretches.learn(facts, offset, offset + bytes - 1);
    offset += bytes;
  }
}

int describe_file(int file, FileFacts* facts) {
  // Not fstat(): it needs a newer C library than Node does. What the kernel knows is enough, no other machine is
  // to be asked.
  struct statx status;
  const unsigned wanted = STATX_BASIC_STATS;
  const int flags = AT_EMPTY_PATH | AT_STATX_DONT_SYNC;
  if (syscall(SYS_statx, file, "", flags, wanted, &status) < 0) return -errno;
  facts->device = static_cast<uint64_t>(status.stx_dev_major) << 32 | status.stx_dev_minor;
  facts->inode = status.stx_ino;
  facts->changed = static_cast<uint64_t>(status.stx_ctime.tv_sec) * 1000000000 + status.stx_ctime.tv_nsec;
  facts->size = status.stx_size;
  facts->regular = (status.stx_mode & kTypeMask) == kRegular;
  facts->deleted = status.stx_nlink == 0;
  // Files of /proc say 0, those of sysfs a page, whatever they hold.
  facts->sized = facts->size > page_bytes() || status.stx_blocks > 0;
  return 0;
}

int open_cached(const char* path) {
  // Not blocking: a FIFO would wait for its writer.
  const OpenHow how = {O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0, kResolveCached};
  const long opened = syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how);
  return opened < 0 ? -errno : static_cast<int>(opened);
}

}  // namespace msg_zerocopy
