#include "node/reactor.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "kernel/abi.h"
#include "kernel/tcp.h"

namespace msg_zerocopy {
namespace {

constexpr int kEventsPerWait = 128;
// Sockets with more events than one turn handles are reported again in the next turn, which
// libuv starts because the epoll set is still readable.
constexpr int kWaitsPerWakeup = 8;

// Ranges that no callback waits for are handed to JavaScript together: after this many, or this long.
constexpr size_t kHoldRanges = 16;
constexpr uint64_t kHoldMs = 2;

// After an abort only packets inside a queueing discipline or a device still reference the memory.
constexpr int kLateCloneMs = 200;

}  // namespace

Reactor::Reactor(Napi::Env env, Napi::Uint32Array words, Napi::Function on_records,
                 const StreamShared& shared)
    : env_(env),
      words_(Napi::Persistent(words)),
      record_words_(words.Data()),
      on_records_(Napi::Persistent(on_records)),
      context_(env, "msg-zerocopy"),
      capacity_((words.ElementLength() - 1) / kRecordWords),
      shared_(shared) {}

Reactor::~Reactor() = default;

int Reactor::start() {
  const int epoll = epoll_create();
  if (epoll < 0) return epoll;
  epoll_ = Fd(epoll);
  uv_loop_t* loop = nullptr;
  napi_get_uv_event_loop(env_, &loop);
  auto handles = std::make_unique<LoopHandles>();
  const int initialised = uv_poll_init(loop, &handles->poll, epoll);
  if (initialised < 0) return initialised;
  uv_timer_init(loop, &handles->timer);
  handles_ = handles.release();
  handles_->poll.data = handles_->timer.data = this;
  uv_poll_start(&handles_->poll, UV_READABLE, [](uv_poll_t* handle, int, int) {
    static_cast<Reactor*>(handle->data)->on_readable();
  });
  uv_unref(reinterpret_cast<uv_handle_t*>(&handles_->poll));
  uv_unref(reinterpret_cast<uv_handle_t*>(&handles_->timer));
  return 0;
}

int Reactor::adopt(Fd fd) { return insert(std::move(fd), PortKind::kDatagram, false); }

int Reactor::insert(Fd fd, PortKind kind, bool foreign_entries) {
  uint32_t index;
  if (free_.empty()) {
    index = static_cast<uint32_t>(ports_.size());
    ports_.emplace_back();
  } else {
    index = free_.back();
    free_.pop_back();
  }
  const int added =
      kind == PortKind::kStream ? epoll_add(epoll_.get(), fd.get(), EPOLLET, index) : 0;
  if (added < 0) {
    free_.push_back(index);
    return added;
  }
  ports_[index] = std::make_unique<Port>(std::move(fd), index, kind, foreign_entries);
  open_ports_++;
  return static_cast<int>(index);
}

Port* Reactor::port(uint32_t index) {
  return index < ports_.size() ? ports_[index].get() : nullptr;
}

void Reactor::changed(Port* port) {
  const Standing now = port->standing();
  account(port->accounted, now);
  port->accounted = now;
}

void Reactor::account(Standing before, Standing now) {
  if (now.urgent != before.urgent) {
    urgent_ += now.urgent ? 1u : ~0u;
    if (now.urgent && urgent_ == 1) expect_notices();
  }
  if (now.holds == before.holds) return;
  holders_ += now.holds ? 1u : ~0u;
  if (handles_ == nullptr) return;
  auto* handle = reinterpret_cast<uv_handle_t*>(&handles_->poll);
  if (now.holds && holders_ == 1) uv_ref(handle);
  if (!now.holds && holders_ == 0) uv_unref(handle);
}

int Reactor::send_datagrams(Port* port, const DatagramMetadata* metadata, iovec* pieces, size_t count,
                            int flags) {
  const int sent = port->send_datagrams(epoll_.get(), metadata, pieces, count, flags);
  changed(port);
  return sent;
}

int Reactor::set_reading(Port* port, bool reading) {
  const int set = port->set_reading(epoll_.get(), reading);
  changed(port);
  return set;
}

int Reactor::arm(Port* port) {
  const int armed = port->arm(epoll_.get());
  changed(port);
  return armed;
}

void Reactor::stop_waiting(Port* port) {
  port->stop_waiting();
  changed(port);
}

int Reactor::linger(Port* port) {
  const int lingering = port->linger(epoll_.get());
  changed(port);
  return lingering;
}

int Reactor::abort(Port* port) {
  const int aborted = port->abort();
  changed(port);
  return aborted;
}

void Reactor::set_referenced(Port* port, bool referenced) {
  port->set_referenced(referenced);
  changed(port);
}

void Reactor::abandon(Port* port) { port->abandon(); }

void Reactor::set_eager(Port* port, bool eager) {
  port->set_eager(eager);
  changed(port);
}

void Reactor::detach(Port* port) {
  if (queued_sends_ > 0) submit_batch();
  // Whatever it still waits for, space for a datagram that was given up among it: it is gone.
  account(port->accounted, Standing{false, false});
  // Before the close: epoll keys on the open socket, which libuv's descriptor may keep open.
  port->unwatch(epoll_.get());
  const uint32_t index = port->index();
  ports_[index].reset();
  // Drops its pending records: the number may soon be another port's.
  records_.erase(std::remove_if(records_.begin(), records_.end(),
                                [index](const Record& record) { return record.port == index; }),
                 records_.end());
  (batches_ > 0 ? resting_ : free_).push_back(index);
  open_ports_--;
}

size_t Reactor::reap(Port* port) {
  if (port->kind() == PortKind::kRingStream) ring_->read(&records_);
  else port->drain();
  if (port->sender() == nullptr) port->deliver_ranges(&records_, SIZE_MAX);
  else port->tell_stream(&records_);
  changed(port);
  const uint32_t index = port->index();
  const auto others = std::stable_partition(records_.begin(), records_.end(),
                                            [index](const Record& record) { return record.port == index; });
  const size_t count = std::min(capacity_, static_cast<size_t>(others - records_.begin()));
  if (count > 0) std::memcpy(record_words_, records_.data(), count * sizeof(Record));
  records_.erase(records_.begin(), records_.begin() + static_cast<ptrdiff_t>(count));
  announce_records();
  return count;
}

size_t Reactor::take_records() {
  const size_t count = std::min(capacity_, records_.size());
  if (count > 0) std::memcpy(record_words_, records_.data(), count * sizeof(Record));
  records_.erase(records_.begin(), records_.begin() + static_cast<ptrdiff_t>(count));
  announce_records();
  return count;
}

void Reactor::announce_records() {
  record_words_[capacity_ * kRecordWords] = records_.empty() ? 0 : 1;
}

void Reactor::on_readable() {
  epoll_event events[kEventsPerWait];
  int count;
  int waits = 0;
  size_t held_ranges = 0;
  do {
    count = epoll_wait(epoll_.get(), events, kEventsPerWait, 0);
    for (int i = 0; i < count; i++) {
      if (events[i].data.u64 == kRingTag) {
        ring_->read(&records_);
        continue;
      }
      Port* fired = port(static_cast<uint32_t>(events[i].data.u64));
      if (fired == nullptr) continue;
      if (fired->is_idle_wakeup(events[i].events)) fired->disarm(epoll_.get());
      fired->collect(epoll_.get(), events[i].events, &records_);
      changed(fired);
      held_ranges += fired->held_ranges();
      if (fired->held_ranges() > 0) holding_.push_back(fired->index());
    }
    if (!records_.empty() || holding_.size() >= kHoldRanges || held_ranges >= kHoldRanges) {
      deliver();
      held_ranges = 0;
    }
  } while (count == kEventsPerWait && ++waits < kWaitsPerWakeup);
  if (holding_.empty() || timer_runs_) return;
  timer_runs_ = true;
  uv_timer_start(
      &handles_->timer, [](uv_timer_t* handle) { static_cast<Reactor*>(handle->data)->on_timer(); }, kHoldMs,
      0);
}

void Reactor::on_timer() {
  timer_runs_ = false;
  deliver();
}

void Reactor::deliver() {
  for (const uint32_t index : holding_) {
    // The port may have been detached since, or its ranges fetched; an index may stand here twice.
    if (Port* holder = port(index)) holder->deliver_ranges(&records_, SIZE_MAX);
  }
  holding_.clear();
  if (!records_.empty()) call_javascript();
}

void Reactor::call_javascript() {
  // Taken out first: what JavaScript does may run the loop again (a nested wait, an inspector).
  const std::vector<Record> batch(std::move(records_));
  records_.clear();
  announce_records();
  // A callback may close a port that a later part of the batch names: its number is not given away until then.
  batches_++;
  for (size_t from = 0; from < batch.size();) {
    Napi::HandleScope scope(env_);
    const size_t count = std::min(capacity_, batch.size() - from);
    std::memcpy(record_words_, &batch[from], count * sizeof(Record));
    from += count;
    call_back(on_records_, count);
  }
  if (--batches_ > 0) return;
  free_.insert(free_.end(), resting_.begin(), resting_.end());
  resting_.clear();
}

// Raw Node-API: the C++ wrapper aborts the process where JavaScript can no longer run, and the loop
// still turns then (src/env.cc:Environment::RunCleanup closes handles before it runs cleanup hooks).
// Records of an environment that ends are dropped: release_all() counts ids.
void Reactor::call_back(const Napi::FunctionReference& function, size_t argument) {
  const Napi::HandleScope scope(env_);
  const napi_value value = Napi::Number::New(env_, static_cast<double>(argument));
  const napi_status status =
      napi_make_callback(env_, context_, env_.Global(), function.Value(), 1, &value, nullptr);
  bool thrown = false;
  if (status == napi_ok || napi_is_exception_pending(env_, &thrown) != napi_ok || !thrown) return;
  napi_value error;
  if (napi_get_and_clear_last_exception(env_, &error) == napi_ok) napi_fatal_exception(env_, error);
}

bool Reactor::drain_until_released(Of ports, int timeout_ms) {
  using Clock = std::chrono::steady_clock;
  const auto deadline = Clock::now() + std::chrono::milliseconds(timeout_ms);
  std::vector<pollfd> waiting;
  for (;;) {
    waiting.clear();
    discard_completions();
    for (const auto& port : ports_) {
      if (port == nullptr) continue;
      port->drain();
      if (ports == Of::kThoseAwaited && port->given_up()) continue;
      if (port->pending_sends() > 0) waiting.push_back({port->fd(), 0, 0});
    }
    if (waiting.empty()) return true;
    if (ring_ != nullptr) waiting.push_back({ring_->eventfd(), POLLIN, 0});
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return false;
    // POLLERR is reported without being asked for. A hung-up socket reports POLLHUP for ever, so
    // the wait is bounded to keep a late completion from being polled for in a busy loop.
    if (::poll(waiting.data(), waiting.size(), static_cast<int>(std::min<long>(left, 10))) > 0) {
      bool only_hung_up = true;
      for (const pollfd& entry : waiting) only_hung_up &= (entry.revents & (POLLERR | POLLIN)) == 0;
      if (only_hung_up) ::poll(nullptr, 0, 1);
    }
  }
}

uint32_t Reactor::release_all(int grace_ms) {
  copy_batch();
  drain_until_released(Of::kThoseAwaited, grace_ms);
  uint32_t aborted = 0;
  for (const auto& port : ports_) {
    if (port == nullptr || port->pending_sends() == 0) continue;
    if (port->kind() == PortKind::kDatagram || port->abandoned()) continue;
    port->abort();
    aborted++;
  }
  // The streams' queues are purged; only clones inside a queueing discipline or a device remain.
  // Datagrams cannot be called back: they leave a queue when it is their turn. Nor can a connection be
  // that another process has. Their memory is about to be used again, so its content now is kept.
  if (!drain_until_released(Of::kAll, kLateCloneMs)) freeze_pages();
  return aborted;
}

void Reactor::close(void (*closed)(void*), void* data) {
  ports_.clear();
  batch_thread_.reset();
  batch_.reset();
  const bool has_ring = ring_ != nullptr;
  ring_.reset();
  LoopHandles* handles = handles_;
  handles_ = nullptr;
  handles->closed = closed;
  handles->closed_data = data;
  handles->poll.data = handles->timer.data = handles;
  const auto on_closed = [](uv_handle_t* handle) {
    auto* both = static_cast<LoopHandles*>(handle->data);
    if (--both->open > 0) return;
    both->closed(both->closed_data);
    delete both;
  };
  uv_close(reinterpret_cast<uv_handle_t*>(&handles->poll), on_closed);
  uv_close(reinterpret_cast<uv_handle_t*>(&handles->timer), on_closed);
  if (!has_ring) return;
  handles->open += 3;
  handles->check.data = handles->prepare.data = handles->ring_timer.data = handles;
  uv_close(reinterpret_cast<uv_handle_t*>(&handles->check), on_closed);
  uv_close(reinterpret_cast<uv_handle_t*>(&handles->prepare), on_closed);
  uv_close(reinterpret_cast<uv_handle_t*>(&handles->ring_timer), on_closed);
}

}  // namespace msg_zerocopy
