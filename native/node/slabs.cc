#include "node/slabs.h"

#include <algorithm>
#include <cerrno>

namespace msg_zerocopy {
namespace {

bool all_inside(const Slab& slab, const iovec* pieces, size_t count) {
  const char* const begin = static_cast<const char*>(slab.base);
  const char* const end = begin + slab.bytes;
  return std::all_of(pieces, pieces + count, [begin, end](const iovec& piece) {
    const char* const at = static_cast<const char*>(piece.iov_base);
    return at >= begin && at + piece.iov_len <= end;
  });
}

}  // namespace

void Slabs::set_ring(IoUring* ring) {
  ring_ = ring;
  for (const auto& slab : slabs_) slab->slot = -1;
  std::fill(std::begin(taken_), std::end(taken_), false);
}

Slab* Slabs::add(void* base, size_t bytes) {
  slabs_.push_back(std::make_unique<Slab>(Slab{base, bytes, -1}));
  return slabs_.back().get();
}

void Slabs::unregister(Slab* slab) {
  if (slab->slot < 0 || ring_ == nullptr) return;
  // One that could not be emptied still holds its pages.
  const int emptied = ring_->update_buffer(static_cast<uint32_t>(slab->slot), nullptr, 0);
  taken_[slab->slot] = emptied < 0;
  slab->slot = -1;
}

Slab* Slabs::find(void* base) const {
  const auto at = std::find_if(slabs_.begin(), slabs_.end(),
                               [base](const auto& each) { return each->base == base; });
  return at == slabs_.end() ? nullptr : at->get();
}

void Slabs::remove(Slab* slab) {
  // First out of the ring: another mapping may come to the same address, and a request that names the
  // slot would send the old pages for it.
  unregister(slab);
  unmap_pages(slab->base, slab->bytes);
  const auto at = std::find_if(slabs_.begin(), slabs_.end(),
                               [slab](const auto& each) { return each.get() == slab; });
  if (at != slabs_.end()) slabs_.erase(at);
}

int Slabs::register_slab(void* base) {
  Slab* const slab = find(base);
  if (slab == nullptr) return -EINVAL;
  if (slab->slot >= 0) return 0;
  if (ring_ == nullptr) return -ENXIO;
  bool* const free = std::find(std::begin(taken_), std::end(taken_), false);
  if (free == std::end(taken_)) return -ENOBUFS;
  const auto slot = static_cast<int>(free - std::begin(taken_));
  const int updated = ring_->update_buffer(static_cast<uint32_t>(slot), base, slab->bytes);
  if (updated < 0) return updated;
  *free = true;
  slab->slot = slot;
  return 0;
}

int Slabs::close_slab(void* base, SlabContents contents) {
  Slab* const slab = find(base);
  if (slab == nullptr) return -EINVAL;
  unregister(slab);
  return contents == SlabContents::kUnused ? discard_pages(slab->base, slab->bytes) : 0;
}

int Slabs::slot_of(const iovec* pieces, size_t count) const {
  for (const auto& slab : slabs_) {
    if (slab->slot >= 0 && all_inside(*slab, pieces, count)) return slab->slot;
  }
  return -1;
}

size_t Slabs::registered_bytes() const {
  size_t bytes = 0;
  for (const auto& slab : slabs_) bytes += slab->slot >= 0 ? slab->bytes : 0;
  return bytes;
}

}  // namespace msg_zerocopy
