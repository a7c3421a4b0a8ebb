// The memory of pools, page-aligned slabs, each an ArrayBuffer; and what stands in a ring's table of
// registered buffers: slabs, and memory of the program's that is sent again and again.
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
  // The slot of the registered slab that all pieces lie in, or -1.
  int slot_of(const iovec* pieces, size_t count) const;

  // Memory that is not ours: its pages must stay where they are until unregistered. A slot, or -errno.
  int register_memory(void* base, size_t bytes);
  // 0 or -errno. Requests that name the slot keep the pages until they are done.
  int unregister_memory(int slot);
  // Whether all pieces lie in the memory of the slot.
  bool holds(int slot, const iovec* pieces, size_t count) const;

 private:
  IoUring* ring_ = nullptr;
  iovec slots_[kSlots] = {};  // no bytes: free
  std::vector<std::unique_ptr<Slab>> slabs_;
};

}  // namespace msg_zerocopy
