#include "node/submit_ring.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "node/pieces.h"

namespace msg_zerocopy {
namespace {

// Pieces of all requests of one submit; more than that and it is submitted in between.
constexpr size_t kPieces = 8 * kMaxPieces;

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
  messages_.resize(ring_.entries().submissions);
  pieces_.resize(kPieces);
  // Without slots nothing can be registered, and sends name their memory themselves.
  if (ring_.register_empty_buffers(Slabs::kSlots) == 0) slabs_->set_ring(&ring_);
  return 0;
}

bool SubmitRing::usable() const { return geteuid() == owner_; }

iovec* SubmitRing::space(size_t* limit) {
  *limit = std::min(kMaxPieces, pieces_.size() - pieces_used_);
  return pieces_.data() + pieces_used_;
}

// The slot that a zero-copy send of these pieces may name, or -1.
int SubmitRing::named_slot(const iovec* pieces, size_t count, int slot) const {
  if (count > 1 && !vectored_slots_) return -1;
  if (slot >= 0 && slabs_->holds(slot, pieces, count)) return slot;
  return slabs_->slot_of(pieces, count);
}

int SubmitRing::prepare(Port* port, size_t count, int flags, SendMode mode, int slot) {
  uring::Sqe* sqe = ring_.prepare();
  if (sqe == nullptr) return -EBUSY;
  const iovec* pieces = pieces_.data() + pieces_used_;
  const int named = mode == SendMode::kZeroCopy ? named_slot(pieces, count, slot) : -1;
  const auto id = static_cast<uint32_t>(port->next_ring_id());
  fill_stream_send(sqe, {port->fd(), pieces, count, flags, mode, named, tag(port->index(), id)},
                   &messages_[messages_used_]);
  pieces_used_ += count;
  messages_used_++;
  prepared_.push_back(port->index());
  const Standing before = port->standing();
  port->ring_prepared();
  unanswered_++;
  ports_->changed(*port, before);
  return 0;
}

bool SubmitRing::submit(std::vector<Record>* records, size_t limit) {
  uring::Cqe completion;
  bool took_any = false;
  for (bool entered = false;; entered = true) {
    bool took = false;
    while (records->size() < limit && ring_.pop(&completion)) {
      take(completion, records);
      took = took_any = true;
    }
    if (records->size() >= limit) return took_any;
    if (ring_.prepared() == 0) {
      // The flag may be stale: the kernel sets it after it added the work, which may be done by then
      // (io_uring/io_uring.c: io_req_local_work_add), and clears it with the next work only.
      if (!ring_.holds_completions() || (entered && !took)) break;
    }
    const int error = ring_.enter();
    // Of a part that the kernel took before, the results are there all the same.
    if (error < 0) revoke(error);
    prepared_.clear();
    pieces_used_ = messages_used_ = 0;
    if (error >= 0) continue;
    while (records->size() < limit && ring_.pop(&completion)) {
      take(completion, records);
      took_any = true;
    }
    break;
  }
  return tell_refused(records, limit) || took_any;
}

// The kernel took none of what is left: it would find other memory behind those pointers later.
void SubmitRing::revoke(int error) {
  const uint32_t count = ring_.revoke();
  for (size_t i = prepared_.size() - count; i < prepared_.size(); i++) {
    unanswered_--;
    Port* port = ports_->port(prepared_[i]);
    if (port == nullptr) continue;
    const Standing before = port->standing();
    port->ring_answered();
    ports_->changed(*port, before);
    const int told = error == -EBUSY ? -EAGAIN : error;
    refused_.push_back({prepared_[i], static_cast<uint32_t>(told), 0, kResult});
  }
}

bool SubmitRing::tell_refused(std::vector<Record>* records, size_t limit) {
  const size_t count = std::min(limit - records->size(), refused_.size());
  const auto end = refused_.begin() + static_cast<ptrdiff_t>(count);
  records->insert(records->end(), refused_.begin(), end);
  refused_.erase(refused_.begin(), end);
  return count > 0;
}

void SubmitRing::take(const uring::Cqe& completion, std::vector<Record>* records) {
  const auto index = static_cast<uint32_t>(completion.user_data >> 32);
  const auto id = static_cast<uint32_t>(completion.user_data);
  Port* port = ports_->port(index);
  if ((completion.flags & uring::kCqeNotif) != 0) {
    pending_--;
    if (port == nullptr) return;
    const Standing before = port->standing();
    port->ring_notified();
    ports_->changed(*port, before);
    const bool copied = (static_cast<uint32_t>(completion.res) & uring::kNotifUsageZcCopied) != 0;
    records->push_back({index, id, id, kRange | (copied ? kCopied : 0u)});
    return;
  }
  const bool more = (completion.flags & uring::kCqeMore) != 0;
  unanswered_--;
  if (more) pending_++;
  if (port == nullptr) return;
  const Standing before = port->standing();
  port->ring_answered();
  if (more) port->ring_issued();
  ports_->changed(*port, before);
  records->push_back({index, static_cast<uint32_t>(completion.res), 0, kResult | (more ? kMore : 0u)});
}

void SubmitRing::set_wakeups(bool on) {
  if (wakeups_ == on) return;
  wakeups_ = on;
  ring_.set_wakeups(on);
}

void SubmitRing::wake() const {
  const uint64_t one = 1;
  // Full only after 2^64 wake-ups.
  if (write(eventfd_.get(), &one, sizeof one) < 0) return;
}

void SubmitRing::forget_wakeup() const {
  uint64_t count;
  if (read(eventfd_.get(), &count, sizeof count) < 0) return;
}

}  // namespace msg_zerocopy
