#include "node/env.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>

namespace msg_zerocopy {
namespace {

// Sends that have a turn of the event loop count as busy; and how many such turns, beyond those that were not,
// have sends share a call. One connection that is answered in each turn never waits for others.
constexpr uint32_t kBusySends = 4;
constexpr uint32_t kBusyTurns = 8;

}  // namespace

Env::~Env() = default;

int Env::start(Napi::Uint32Array words, Napi::Function on_records, int grace_ms,
               Napi::Float64Array latency, Napi::Float64Array log) {
  // Its handles are in the loop, and its ports belong to the copy of lib/ that started it.
  if (reactor_ != nullptr) return -EALREADY;
  latency_words_ = Napi::Persistent(latency);
  log_words_ = Napi::Persistent(log);
  StreamShared shared = {&pins_, &staging_, {}, {}};
  shared.latency.words = latency.Data();
  shared.latency.bounds = (latency.ElementLength() - 2) / 2;
  shared.log.words = log.Data();
  auto reactor = std::make_unique<Reactor>(env_, words, on_records, shared);
  const int started = reactor->start();
  if (started < 0) return started;
  reactor_ = std::move(reactor);
  grace_ms_ = grace_ms;
  napi_add_async_cleanup_hook(env_, cleanup, this, &hook_);
  return 0;
}

void Env::share_datagram_words(Napi::Uint32Array metadata, Napi::Uint32Array arrivals) {
  // The references keep the memory where it is: lib/datagram/metadata.ts never detaches it.
  metadata_words_ = Napi::Persistent(metadata);
  arrival_words_ = Napi::Persistent(arrivals);
  metadata_ = reinterpret_cast<const DatagramMetadata*>(metadata.Data());
  arrivals_ = reinterpret_cast<Arrival*>(arrivals.Data());
}

void Env::share_batch_words(Napi::Int32Array words) {
  batch_reference_ = Napi::Persistent(words);
  batch_words_ = words.Data();
  napi_get_uv_event_loop(env_, &loop_);
}

void Env::sent() {
  if (batch_words_ == nullptr) return;
  uv_metrics_t metrics;
  uv_metrics_info(loop_, &metrics);
  sends_++;
  if (metrics.loop_count == turn_) return;
  if (sends_ > kBusySends) busy_turns_ = std::min(busy_turns_ + 1, 2 * kBusyTurns);
  else if (busy_turns_ > 0) busy_turns_--;
  turn_ = metrics.loop_count;
  sends_ = 0;
  int32_t* const pays = &batch_words_[SendBatch::kMostSends];
  if (busy_turns_ >= kBusyTurns) *pays = 1;
  else if (busy_turns_ == 0) *pays = 0;
}

// Runs before the environment's memory is freed, and not at all in process.exit() of the main thread
// or in a crash: there the memory stays as it is and the kernel delivers what it accepted.
void Env::cleanup(napi_async_cleanup_hook_handle handle, void* data) {
  Env* self = static_cast<Env*>(data);
  const uint32_t aborted = self->reactor_->release_all(self->grace_ms_);
  if (aborted > 0 && self->grace_ms_ > 0) {
    std::fprintf(stderr,
                 "msg-zerocopy: %u connection(s) were reset at exit, because the peer had not "
                 "acknowledged data whose memory was about to be freed\n",
                 aborted);
  }
  self->reactor_->close(
      [](void* closing) {
        Env* ended = static_cast<Env*>(closing);
        ended->reactor_.reset();
        napi_remove_async_cleanup_hook(ended->hook_);
      },
      self);
  static_cast<void>(handle);
}

}  // namespace msg_zerocopy
