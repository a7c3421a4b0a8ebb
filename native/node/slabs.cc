#include "node/slabs.h"

#include <algorithm>
#include <cerrno>

namespace msg_zerocopy {
namespace {

bool all_inside(const iovec& memory, const iovec* pieces, size_t count) {
  const char* const begin = static_cast<const char*>(memory.iov_base);
  const char* const end = begin + memory.iov_len;
  return std::all_of(pieces, pieces + count, [begin, end](const iovec& piece) {
    const char* const at = static_cast<const char*>(piece.iov_base);
    return at >= begin && at + piece.iov_len <= end;
  });
}

}  // namespace

void Slabs::set_ring(IoUring* ring) {
  ring_ = ring;
  for (const auto& slab : slabs_) slab->slot = -1;
  std::fill(std::begin(slots_), std::end(slots_), iovec{nullptr, 0});
}

Slab* Slabs::add(void* base, size_t bytes) {
  slabs_.push_back(std::make_unique<Slab>(Slab{base, bytes, -1}));
  return slabs_.back().get();
}

void Slabs::remove(Slab* slab) {
  // First out of the ring: another mapping may come to the same address, and a request that names the
  // slot would send the old pages for it.
  if (slab->slot >= 0) unregister_memory(slab->slot);
  unmap_pages(slab->base, slab->bytes);
  const auto at = std::find_if(slabs_.begin(), slabs_.end(),
                               [slab](const auto& each) { return each.get() == slab; });
  if (at != slabs_.end()) slabs_.erase(at);
}

int Slabs::register_slab(void* base) {
  const auto at = std::find_if(slabs_.begin(), slabs_.end(),
                               [base](const auto& each) { return each->base == base; });
  if (at == slabs_.end()) return -EINVAL;
  if ((*at)->slot >= 0) return 0;
  const int slot = register_memory((*at)->base, (*at)->bytes);
  if (slot < 0) return slot;
  (*at)->slot = slot;
  return 0;
}

int Slabs::slot_of(const iovec* pieces, size_t count) const {
  for (const auto& slab : slabs_) {
    if (slab->slot >= 0 && all_inside({slab->base, slab->bytes}, pieces, count)) return slab->slot;
  }
  return -1;
}

int Slabs::register_memory(void* base, size_t bytes) {
  if (ring_ == nullptr) return -ENXIO;
  if (base == nullptr || bytes == 0) return -EINVAL;
  iovec* const free = std::find_if(std::begin(slots_), std::end(slots_),
                                   [](const iovec& slot) { return slot.iov_len == 0; });
  if (free == std::end(slots_)) return -ENOBUFS;
  const auto slot = static_cast<int>(free - std::begin(slots_));
  const int updated = ring_->update_buffer(static_cast<uint32_t>(slot), base, bytes);
  if (updated < 0) return updated;
  *free = {base, bytes};
  return slot;
}

int Slabs::unregister_memory(int slot) {
  if (slot < 0 || slot >= static_cast<int>(kSlots)) return -EINVAL;
  if (ring_ == nullptr) return 0;
  const int emptied = ring_->update_buffer(static_cast<uint32_t>(slot), nullptr, 0);
  // One that could not be emptied still holds its pages.
  if (emptied == 0) slots_[slot] = {nullptr, 0};
  return emptied;
}

bool Slabs::holds(int slot, const iovec* pieces, size_t count) const {
  if (slot < 0 || slot >= static_cast<int>(kSlots)) return false;
  return all_inside(slots_[slot], pieces, count);
}

}  // namespace msg_zerocopy
