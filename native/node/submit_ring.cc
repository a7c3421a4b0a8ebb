#include "node/submit_ring.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>

namespace msg_zerocopy {
namespace {

constexpr size_t kMostAtOnce = 64;
constexpr int kUnanswered = INT32_MIN;

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

void SubmitRing::send(RingSend* sends, size_t count) {
  if (!usable()) {
    for (size_t i = 0; i < count; i++) sends[i].result = {-ECANCELED, false, false};
    return;
  }
  // Their own completions need no wake-up; the next sleep switches wake-ups on.
  set_wakeups(false);
  const size_t most = std::min<size_t>(kMostAtOnce, ring_.entries().submissions);
  for (size_t from = 0; from < count; from += most) send_some(sends + from, std::min(most, count - from));
}

void SubmitRing::send_some(RingSend* sends, size_t count) {
  msghdr messages[kMostAtOnce];
  for (size_t i = 0; i < count; i++) {
    RingSend* const send = &sends[i];
    const int slot = send->count > 1 && !vectored_slots_ ? -1 : slabs_->slot_of(send->pieces, send->count);
    send->result = {kUnanswered, false, slot >= 0};
    const auto id = static_cast<uint32_t>(send->port->next_ring_id());
    const StreamSend request = {send->port->fd(), send->pieces, send->count, send->flags, SendMode::kZeroCopy, slot,
                                tag(send->port->index(), id)};
    fill_stream_send(ring_.prepare(), request, &messages[i]);
  }
  const int submitted = ring_.submit();
  // The kernel did not take the last ones, and would find other memory behind those pointers later.
  const size_t taken = count - (submitted < 0 ? ring_.revoke() : 0);
  for (size_t i = taken; i < count; i++) sends[i].result = {submitted == -EBUSY ? -EAGAIN : submitted, false, false};
  read_results(sends, taken);
}

// Results come in the order of the requests, unless the kernel set one aside.
void SubmitRing::read_results(RingSend* sends, size_t count) {
  const auto is_of = [](const RingSend& send, uint64_t user_data) {
    return send.port->index() == static_cast<uint32_t>(user_data >> 32);
  };
  for (size_t answered = 0; answered < count;) {
    uring::Cqe completion;
    while (answered < count && ring_.pop(&completion)) {
      if ((completion.flags & uring::kCqeNotif) != 0) {
        held_.push_back(completion);
        continue;
      }
      size_t at = answered;
      if (!is_of(sends[at], completion.user_data)) {
        for (at = 0; !is_of(sends[at], completion.user_data);) at++;
      }
      RingSend* const send = &sends[at];
      send->result.result = completion.res;
      send->result.takes_id = (completion.flags & uring::kCqeMore) != 0;
      if (send->result.takes_id) {
        pending_++;
        send->port->ring_issued();
      }
      answered++;
    }
    if (answered == count) return;
    // Not posted by the submit: the queue of completions had overflowed.
    if (ring_.wait() == 0) continue;
    // The kernel took them and may send them yet: an error that passes would have them sent twice.
    for (size_t i = 0; i < count; i++) {
      if (sends[i].result.result == kUnanswered) sends[i].result.result = -EIO;
    }
    return;
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
