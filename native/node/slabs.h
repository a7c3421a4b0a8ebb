// The memory of pools, page-aligned slabs, each an ArrayBuffer; and which of them stand in a ring's table of
// registered buffers.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <memory>
#include <vector>

#include "kernel/io_uring.h"
#include "kernel/pages.h"

namespace msg_zerocopy {

struct Slab {
  void* base;
  size_t bytes;
  int slot;  // among the registered buffers; -1: not registered
};

// What a slab that is closed has in it.
enum class SlabContents {
  kUnused = 0,     // nothing that is still read
  kMaybeRead = 1,  // pieces that were not given back
};

class Slabs {
 public:
  static constexpr uint32_t kSlots = 256;

  // The ring that memory may be registered with; nullptr when it is gone.
  void set_ring(IoUring* ring);

  Slab* add(void* base, size_t bytes);
  // Unregisters and unmaps.
  void remove(Slab* slab);
  // 0 or -errno: ENOMEM when memlock is used up, ENOBUFS when all slots are taken.
  int register_slab(void* base);
  // Out of the ring, and its memory back to the system where it is unused; it stays mapped: a view may exist.
  // 0 or -errno.
  int close_slab(void* base, SlabContents contents);
  // The slot of the registered slab that all pieces lie in, or -1.
  int slot_of(const iovec* pieces, size_t count) const;

  // Bytes of the slabs that are registered.
  size_t registered_bytes() const;

 private:
  void unregister(Slab* slab);
  Slab* find(void* base) const;

  IoUring* ring_ = nullptr;
  bool taken_[kSlots] = {};
  std::vector<std::unique_ptr<Slab>> slabs_;
};

}  // namespace msg_zerocopy
