#include "kernel/pages.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

namespace msg_zerocopy {

int map_pages(size_t bytes, PageKind kind, void** base) {
  const int huge = kind == PageKind::kHuge ? MAP_HUGETLB : 0;
  void* mapped =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | huge, -1, 0);
  if (mapped == MAP_FAILED) return -errno;
  // Advice: a kernel without huge pages knows neither, and has nothing to be advised of.
  if (kind == PageKind::kSmall) madvise(mapped, bytes, MADV_NOHUGEPAGE);
  if (kind == PageKind::kTransparentHuge) madvise(mapped, bytes, MADV_HUGEPAGE);
  madvise(mapped, bytes, MADV_DONTFORK);
  *base = mapped;
  return 0;
}

size_t page_bytes() { return static_cast<size_t>(sysconf(_SC_PAGESIZE)); }

int discard_pages(void* base, size_t bytes) {
  return madvise(base, bytes, MADV_DONTNEED) == 0 ? 0 : -errno;
}

void unmap_pages(void* base, size_t bytes) { munmap(base, bytes); }

}  // namespace msg_zerocopy
