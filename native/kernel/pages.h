// Page-aligned memory of our own, and what kind of pages stands behind it.
#pragma once

#include <cstddef>

namespace msg_zerocopy {

enum class PageKind {
  kSmall = 0,            // pages of the base size, never merged into huge ones
  kHuge = 1,             // MAP_HUGETLB, or an error
  kTransparentHuge = 2,  // huge where the kernel finds some
};

// Bytes of a page of the base size.
size_t page_bytes();

// Maps zeroed memory. 0 or -errno. A child process does not inherit it: pages that a device or a ring
// holds would be copied at every fork.
int map_pages(size_t bytes, PageKind kind, void** base);
// Gives the memory back to the system; the mapping stays, and reads as zeros. 0 or -errno: EINVAL of huge pages
// before Linux 5.18.
int discard_pages(void* base, size_t bytes);
void unmap_pages(void* base, size_t bytes);

}  // namespace msg_zerocopy
