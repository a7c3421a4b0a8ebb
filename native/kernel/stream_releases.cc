// Releases of one connection's sends: ids, pinned bytes, staged headers, and what is reported to JavaScript.
#include "kernel/clock.h"
#include "kernel/stream_sender.h"

namespace msg_zerocopy {
namespace {

constexpr uint64_t kSample = 8;  // copies from which JavaScript looks at a route

}  // namespace

void StreamSender::released(uint32_t lo, uint32_t hi, bool copied) {
  const uint64_t now = now_ns();
  int64_t bytes = 0;
  const uint64_t strays = ledger_.complete(lo, hi, [&](SendLedger::Send& send, uint64_t id, bool is_first) {
    if (send.staged != nullptr) shared_->staging->let_go(send.staged);
    if (send.bytes == 0) return;
    bytes += send.bytes;
    words_[kNotifications]++;
    shared_->latency.observe(static_cast<double>(now - send.accepted_ns) / 1e6);
    // The flag of the error queue speaks for the first id of a merged range only; by the ring, that a send
    // was not copied is never said wrongly.
    const bool reliable = engine_ == StreamEngine::kIoUring ? !copied || send.reliable : is_first;
    if (reporting_) fates_.push_back({static_cast<uint32_t>(id), copied, !reliable});
    if (!reliable) {
      words_[kUnknownSends]++;
      return;
    }
    words_[kKnownSends]++;
    known_++;
    if (copied) {
      words_[kKernelCopiedSends]++;
      words_[kKnownCopies]++;
      known_copies_++;
    }
    if (id == probe_id_) {
      words_[kProbe] = copied ? 2 : 1;
      news_ = true;
    }
  });
  if (known_copies_ > 0 && known_ >= kSample) news_ = true;
  words_[kStrayNotifications] += static_cast<double>(strays);
  progress_ = true;
  shared_->pins->add(-bytes);
  if (busy_ && ledger_.pending_sends() == 0) {
    busy_ = false;
    shared_->busy_rings--;
  }
  show();
}

void StreamSender::lost(uint32_t entries) { words_[kLostNotifications] += entries; }

bool StreamSender::take_progress() {
  const bool progress = progress_;
  progress_ = false;
  return progress;
}

bool StreamSender::take_news() {
  const bool news = news_;
  if (news) known_ = known_copies_ = 0;
  news_ = false;
  return news;
}

}  // namespace msg_zerocopy
