// The reactor's part of the ring: when its notifications are read.
#include "node/reactor.h"

#include <cerrno>

namespace msg_zerocopy {
namespace {

// Callbacks of notifications may send what is notified at once; after these many rounds the loop turns.
constexpr int kRoundsPerTurn = 8;

// Notifications that no callback waits for are read this long after their send.
constexpr uint64_t kNoticeMs = 2;

template <void (Reactor::*method)(), typename Handle>
void forward(Handle* handle) {
  (static_cast<Reactor*>(handle->data)->*method)();
}

}  // namespace

int Reactor::open_ring(RingEntries wanted, bool vectored_slots, std::shared_ptr<Slabs> slabs) {
  auto ring = std::make_unique<SubmitRing>(static_cast<Ports*>(this), std::move(slabs));
  const int opened = ring->open(wanted, vectored_slots);
  if (opened < 0) return opened;
  const int added = epoll_add(epoll_.get(), ring->eventfd(), EPOLLIN | EPOLLET, kRingTag);
  if (added < 0) return added;
  uv_loop_t* loop = nullptr;
  napi_get_uv_event_loop(env_, &loop);
  uv_check_init(loop, &handles_->check);
  uv_prepare_init(loop, &handles_->prepare);
  uv_timer_init(loop, &handles_->ring_timer);
  handles_->check.data = handles_->prepare.data = handles_->ring_timer.data = this;
  uv_check_start(&handles_->check, forward<&Reactor::on_check, uv_check_t>);
  uv_prepare_start(&handles_->prepare, forward<&Reactor::on_prepare, uv_prepare_t>);
  uv_unref(reinterpret_cast<uv_handle_t*>(&handles_->check));
  uv_unref(reinterpret_cast<uv_handle_t*>(&handles_->prepare));
  uv_unref(reinterpret_cast<uv_handle_t*>(&handles_->ring_timer));
  ring_ = std::move(ring);
  return 0;
}

int Reactor::open_batch(int32_t* results, Napi::Function on_batch) {
  if (ring_ == nullptr || batch_ != nullptr) return -EALREADY;
  auto batch = std::make_unique<SendBatch>();
  const int opened = batch->open(results);
  if (opened < 0) return opened;
  auto thread = std::make_unique<BatchThread>();
  const int started = thread->start(batch.get());
  if (started < 0) return started;
  on_batch_ = Napi::Persistent(on_batch);
  queued_ = std::make_unique<QueuedSend[]>(SendBatch::kRequests + 1);
  batch_ = std::move(batch);
  batch_thread_ = std::move(thread);
  return 0;
}

int Reactor::queue(int fd, const iovec* pieces, size_t count) {
  if (batch_ == nullptr || handles_ == nullptr) return -1;
  int number = batch_->queue(fd, pieces, count);
  if (number == SendBatch::kDue) {
    submit_batch();
    number = batch_->queue(fd, pieces, count);
  }
  return queued(number);
}

// Its callback is to come, also where nothing else keeps the event loop.
int Reactor::queued(int number) {
  if (number < 0) return -1;
  if (number == 0) uv_ref(reinterpret_cast<uv_handle_t*>(&handles_->prepare));
  return number;
}

void Reactor::submit_batch() {
  if (batch_ == nullptr) return;
  batch_->submit();
  if (queued_sends_ > 0) send_queued();
}

void Reactor::copy_batch() {
  if (batch_ == nullptr) return;
  batch_->submit_copies();
  if (queued_sends_ > 0) send_queued();
}

// A turn's callbacks have run: what they queued goes out, and its callbacks run.
void Reactor::finish_batch() {
  if (batch_ == nullptr || batch_->count() == 0) return;
  uv_unref(reinterpret_cast<uv_handle_t*>(&handles_->prepare));
  submit_batch();
  const Napi::HandleScope scope(env_);
  call_back(on_batch_, batch_->take());
}

// From here on completions wait until they are read, unless the loop sleeps for them.
void Reactor::on_check() {
  ring_->set_wakeups(false);
  finish_batch();
}

void Reactor::on_prepare() {
  for (int round = 0; round < kRoundsPerTurn; round++) finish_batch();
  if (handles_ == nullptr) return;
  // What callbacks go on queueing is the next turn's.
  if (batch_ != nullptr && batch_->count() > 0) ring_->wake();
  if (urgent_ == 0 && !quiet_) return;
  // The loop may sleep now. Completions that came while wake-ups were off have raised none.
  for (int round = 0; round < kRoundsPerTurn; round++) {
    ring_->set_wakeups(true);
    if (!ring_->has_completions()) return;
    // What comes from here on raises a wake-up, so that nothing was missed where nothing was found.
    if (!read_ring() || handles_ == nullptr) return;
  }
  ring_->wake();
}

// A port wants to hear of its notifications at once.
void Reactor::expect_notices() {
  if (ring_ == nullptr || handles_ == nullptr) return;
  ring_->set_wakeups(true);
  if (ring_->has_completions()) ring_->wake();
}

void Reactor::sent_by_ring() {
  ring_->take_held(&records_);
  announce_records();
  sent_since_timer_ = true;
  if (ring_->pending() == 0 || ring_timer_runs_) return;
  quiet_ = false;
  ring_timer_runs_ = true;
  uv_timer_start(&handles_->ring_timer, forward<&Reactor::on_ring_timer, uv_timer_t>, kNoticeMs, 0);
}

void Reactor::on_ring_timer() {
  ring_timer_runs_ = false;
  read_ring();
  if (handles_ == nullptr || ring_->pending() == 0 || ring_timer_runs_) return;
  if (!sent_since_timer_) {
    // A peer that is slow to acknowledge: no use in looking every other millisecond.
    quiet_ = true;
    return;
  }
  sent_since_timer_ = false;
  ring_timer_runs_ = true;
  uv_timer_start(&handles_->ring_timer, forward<&Reactor::on_ring_timer, uv_timer_t>, kNoticeMs, 0);
}

bool Reactor::read_ring() {
  const bool found = ring_->read(&records_);
  if (!records_.empty()) call_javascript();
  return found;
}

// At the end of the environment, when JavaScript can no longer be called.
void Reactor::discard_completions() {
  if (ring_ == nullptr) return;
  ring_->set_wakeups(true);
  ring_->forget_wakeup();
  std::vector<Record> dropped;
  ring_->read(&dropped);
}

}  // namespace msg_zerocopy
