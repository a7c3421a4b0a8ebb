// The reactor's part of the ring: when a turn of the loop ends, and when completions are read.
//
//   timers, polled sockets … JavaScript prepares nothing, it only asks for the end of the turn
//   check    end of the turn for what was written while polling
//   prepare  end of the turn for what timers and immediates wrote; then the loop may sleep
#include <algorithm>
#include <cstring>

#include "node/reactor.h"

namespace msg_zerocopy {
namespace {

// What is written by callbacks of the sends of one round is sent in the next; after these many the
// loop turns, so that one stream does not keep others waiting.
constexpr int kRoundsPerTurn = 8;

// Notifications that nobody waits for are read this long after the submit that they belong to.
constexpr uint64_t kNoticeMs = 2;

template <void (Reactor::*method)(), typename Handle>
void forward(Handle* handle) {
  (static_cast<Reactor*>(handle->data)->*method)();
}

}  // namespace

int Reactor::open_ring(RingEntries wanted, bool vectored_slots, std::shared_ptr<Slabs> slabs,
                       Napi::Function on_turn_end) {
  auto ring = std::make_unique<SubmitRing>(static_cast<Ports*>(this), std::move(slabs));
  const int opened = ring->open(wanted, vectored_slots);
  if (opened < 0) return opened;
  const int added = epoll_add(epoll_.get(), ring->eventfd(), EPOLLIN | EPOLLET, kRingTag);
  if (added < 0) return added;
  uv_loop_t* loop = nullptr;
  napi_get_uv_event_loop(env_, &loop);
  uv_check_init(loop, &handles_->check);
  uv_prepare_init(loop, &handles_->prepare);
  uv_idle_init(loop, &handles_->idle);
  uv_timer_init(loop, &handles_->ring_timer);
  handles_->check.data = handles_->prepare.data = handles_->idle.data = handles_->ring_timer.data = this;
  uv_check_start(&handles_->check, forward<&Reactor::on_check, uv_check_t>);
  uv_prepare_start(&handles_->prepare, forward<&Reactor::on_prepare, uv_prepare_t>);
  uv_unref(reinterpret_cast<uv_handle_t*>(&handles_->check));
  uv_unref(reinterpret_cast<uv_handle_t*>(&handles_->prepare));
  uv_unref(reinterpret_cast<uv_handle_t*>(&handles_->ring_timer));
  on_turn_end_ = Napi::Persistent(on_turn_end);
  ring_ = std::move(ring);
  return 0;
}

void Reactor::request_turn_end() {
  if (turn_end_requested_) return;
  turn_end_requested_ = true;
  // While an idle handle is active the loop neither sleeps nor ends, wherever in a turn this is.
  uv_idle_start(&handles_->idle, [](uv_idle_t*) {});
}

void Reactor::end_turn() {
  if (!turn_end_requested_) return;
  for (int round = 0; turn_end_requested_ && round < kRoundsPerTurn; round++) {
    turn_end_requested_ = false;
    mark_turn_end(1);
    call_back(on_turn_end_, 0);
    // The environment may have ended in there.
    if (handles_ == nullptr) return;
    mark_turn_end(0);
  }
  if (!turn_end_requested_) uv_idle_stop(&handles_->idle);
}

void Reactor::mark_turn_end(uint32_t mark) {
  const Napi::HandleScope scope(env_);
  words_.Value().Data()[capacity_ * kRecordWords] = mark;
}

void Reactor::on_check() {
  // From here on completions wait for the next submit, if nobody sleeps for them.
  ring_->set_wakeups(false);
  end_turn();
}

void Reactor::on_prepare() {
  end_turn();
  if (handles_ == nullptr) return;
  if (urgent_ == 0 && !quiet_ && ring_->unanswered() == 0) return;
  // The loop may sleep now. Completions that came while wake-ups were off have raised none.
  for (int round = 0; round < kRoundsPerTurn; round++) {
    ring_->set_wakeups(true);
    if (!ring_->has_completions()) return;
    // What comes from here on raises a wake-up, so that nothing was missed where nothing was found.
    if (!read_ring() || handles_ == nullptr) return;
    end_turn();
    if (handles_ == nullptr) return;
  }
  ring_->wake();
}

// A port wants to hear of its notifications at once.
void Reactor::expect_notices() {
  if (ring_ == nullptr || handles_ == nullptr) return;
  ring_->set_wakeups(true);
  if (ring_->has_completions()) ring_->wake();
}

size_t Reactor::submit() {
  std::vector<Record> records;
  ring_->submit(&records, capacity_);
  if (!records.empty()) {
    std::memcpy(words_.Value().Data(), records.data(), records.size() * sizeof(Record));
  }
  submitted_since_timer_ = true;
  if (ring_->pending() > 0 && !ring_timer_runs_) {
    quiet_ = false;
    ring_timer_runs_ = true;
    uv_timer_start(&handles_->ring_timer, forward<&Reactor::on_ring_timer, uv_timer_t>, kNoticeMs, 0);
  }
  return records.size();
}

void Reactor::on_ring_timer() {
  ring_timer_runs_ = false;
  read_ring();
  if (handles_ == nullptr || ring_->pending() == 0 || ring_timer_runs_) return;
  if (!submitted_since_timer_) {
    // A peer that is slow to acknowledge: no use in looking every other millisecond.
    quiet_ = true;
    return;
  }
  submitted_since_timer_ = false;
  ring_timer_runs_ = true;
  uv_timer_start(&handles_->ring_timer, forward<&Reactor::on_ring_timer, uv_timer_t>, kNoticeMs, 0);
}

bool Reactor::read_ring() {
  const bool found = ring_->submit(&records_, SIZE_MAX);
  if (!records_.empty()) call_javascript();
  return found;
}

// At the end of the environment, when nobody is left to be told.
void Reactor::discard_completions() {
  if (ring_ == nullptr) return;
  ring_->set_wakeups(true);
  ring_->forget_wakeup();
  std::vector<Record> nobody;
  ring_->submit(&nobody, SIZE_MAX);
}

}  // namespace msg_zerocopy
