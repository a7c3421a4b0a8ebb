#include "node/submit_ring.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "node/pieces.h"

namespace msg_zerocopy {
namespace {

constexpr uint64_t tag(uint32_t port, uint32_t id) { return static_cast<uint64_t>(port) << 32 | id; }

}  // namespace

SubmitRing::~SubmitRing() { slabs_->set_ring(nullptr); }

int SubmitRing::open(RingEntries wanted, bool vectored_slots) {
  vectored_slots_ = vectored_slots;
  owner_ = geteuid();
  const int opened = ring_.open(wanted);
  if (opened < 0) return opened;
  eventfd_ = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!eventfd_.valid()) return -errno;
  const int registered = ring_.register_eventfd(eventfd_.get());
  if (registered < 0) return registered;
  // Without slots nothing can be registered, and sends name their memory themselves.
  if (ring_.register_empty_buffers(Slabs::kSlots) == 0) slabs_->set_ring(&ring_);
  return 0;
}

bool SubmitRing::usable() const { return geteuid() == owner_; }

// The slot that a zero-copy send of these pieces may name, or -1.
int SubmitRing::named_slot(const iovec* pieces, size_t count, int slot) const {
  if (count > 1 && !vectored_slots_) return -1;
  if (slot >= 0 && slabs_->holds(slot, pieces, count)) return slot;
  return slabs_->slot_of(pieces, count);
}

int SubmitRing::send(Port* port, const iovec* pieces, size_t count, int flags, SendMode mode, int slot,
                     bool* more) {
  *more = false;
  // Its own completion is nothing to be woken for; whoever sleeps next switches wake-ups on.
  set_wakeups(false);
  msghdr message;
  const int named = mode == SendMode::kZeroCopy ? named_slot(pieces, count, slot) : -1;
  const auto id = static_cast<uint32_t>(port->next_ring_id());
  fill_stream_send(ring_.prepare(), {port->fd(), pieces, count, flags, mode, named, tag(port->index(), id)},
                   &message);
  const int submitted = ring_.submit();
  if (submitted < 0) {
    // The kernel did not take it, and would find other memory behind those pointers later.
    ring_.revoke();
    return submitted == -EBUSY ? -EAGAIN : submitted;
  }
  for (;;) {
    uring::Cqe completion;
    while (ring_.pop(&completion)) {
      if ((completion.flags & uring::kCqeNotif) != 0) {
        take(completion, &held_);
        continue;
      }
      *more = (completion.flags & uring::kCqeMore) != 0;
      if (*more) {
        pending_++;
        port->ring_issued();
      }
      return completion.res;
    }
    // Not posted by the submit: the queue of completions had overflowed.
    const int waited = ring_.wait();
    if (waited < 0) return waited;
  }
}

bool SubmitRing::read(std::vector<Record>* records, size_t limit) {
  uring::Cqe completion;
  bool took_any = tell_held(records, limit);
  for (bool entered = false;; entered = true) {
    bool took = false;
    while (records->size() < limit && ring_.pop(&completion)) {
      take(completion, records);
      took = took_any = true;
    }
    // The flag may be stale: the kernel sets it after it added the work, which may be done by then
    // (io_uring/io_uring.c: io_req_local_work_add), and clears it with the next work only.
    if (records->size() >= limit || !ring_.holds_completions() || (entered && !took)) return took_any;
    if (ring_.enter() < 0) return took_any;
  }
}

// Those that were taken out for the result of a send behind them.
bool SubmitRing::tell_held(std::vector<Record>* records, size_t limit) {
  const size_t count = std::min(limit - records->size(), held_.size());
  const auto end = held_.begin() + static_cast<ptrdiff_t>(count);
  records->insert(records->end(), held_.begin(), end);
  held_.erase(held_.begin(), end);
  return count > 0;
}

// A notification.
void SubmitRing::take(const uring::Cqe& completion, std::vector<Record>* records) {
  const auto index = static_cast<uint32_t>(completion.user_data >> 32);
  const auto id = static_cast<uint32_t>(completion.user_data);
  pending_--;
  Port* port = ports_->port(index);
  if (port == nullptr) return;
  const Standing before = port->standing();
  port->ring_notified();
  ports_->changed(*port, before);
  const bool copied = (static_cast<uint32_t>(completion.res) & uring::kNotifUsageZcCopied) != 0;
  records->push_back({index, id, id, kRange | (copied ? kCopied : 0u)});
}

void SubmitRing::set_wakeups(bool on) {
  if (wakeups_ == on) return;
  wakeups_ = on;
  ring_.set_wakeups(on);
}

void SubmitRing::wake() const {
  const uint64_t one = 1;
  // Full only after 2^64 wake-ups.
  if (::write(eventfd_.get(), &one, sizeof one) < 0) return;
}

void SubmitRing::forget_wakeup() const {
  uint64_t count;
  if (::read(eventfd_.get(), &count, sizeof count) < 0) return;
}

}  // namespace msg_zerocopy
