#include "node/submit_ring.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>

namespace msg_zerocopy {
namespace {

constexpr uint64_t tag(uint32_t port, uint32_t id) { return static_cast<uint64_t>(port) << 32 | id; }

}  // namespace

SubmitRing::~SubmitRing() { slabs_->set_ring(nullptr); }

int SubmitRing::open(RingEntries wanted, bool vectored_slots) {
  vectored_slots_ = vectored_slots;
  owner_ = geteuid();
  const int opened = ring_.open(wanted, RingIssuer::kOneThread);
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

SendResult SubmitRing::send(Port* port, const iovec* pieces, size_t count, int flags) {
  if (!usable()) return {-ECANCELED, false, false};
  // Its own completion needs no wake-up; the next sleep switches wake-ups on.
  set_wakeups(false);
  msghdr message;
  const int slot = count > 1 && !vectored_slots_ ? -1 : slabs_->slot_of(pieces, count);
  const auto id = static_cast<uint32_t>(port->next_ring_id());
  const StreamSend request = {port->fd(), pieces, count, flags, SendMode::kZeroCopy, slot,
                              tag(port->index(), id)};
  fill_stream_send(ring_.prepare(), request, &message);
  const int submitted = ring_.submit();
  if (submitted < 0) {
    // The kernel did not take it, and would find other memory behind those pointers later.
    ring_.revoke();
    return {submitted == -EBUSY ? -EAGAIN : submitted, false, false};
  }
  for (;;) {
    uring::Cqe completion;
    while (ring_.pop(&completion)) {
      if ((completion.flags & uring::kCqeNotif) != 0) {
        held_.push_back(completion);
        continue;
      }
      const bool takes_id = (completion.flags & uring::kCqeMore) != 0;
      if (takes_id) {
        pending_++;
        port->ring_issued();
      }
      return {completion.res, takes_id, slot >= 0};
    }
    // Not posted by the submit: the queue of completions had overflowed.
    const int waited = ring_.wait();
    if (waited < 0) return {waited, false, false};
  }
}

void SubmitRing::take_held(std::vector<Record>* records) {
  for (const uring::Cqe& completion : held_) take(completion, records);
  held_.clear();
}

bool SubmitRing::read(std::vector<Record>* records) {
  uring::Cqe completion;
  bool took_any = !held_.empty();
  take_held(records);
  for (bool entered = false;; entered = true) {
    bool took = false;
    while (ring_.pop(&completion)) {
      take(completion, records);
      took = took_any = true;
    }
    // The flag may be stale: the kernel sets it after it added the work, which may be done by then
    // (io_uring/io_uring.c: io_req_local_work_add), and clears it with the next work only.
    if (!ring_.holds_completions() || (entered && !took)) return took_any;
    if (ring_.enter() < 0) return took_any;
  }
}

// A notification.
void SubmitRing::take(const uring::Cqe& completion, std::vector<Record>* records) {
  const auto index = static_cast<uint32_t>(completion.user_data >> 32);
  const auto id = static_cast<uint32_t>(completion.user_data);
  pending_--;
  Port* port = ports_->port(index);
  if (port == nullptr) return;
  const bool copied = (static_cast<uint32_t>(completion.res) & uring::kNotifUsageZcCopied) != 0;
  port->ring_notified(id, copied);
  ports_->changed(port);
  port->tell_stream(records);
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
