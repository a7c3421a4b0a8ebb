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

// After an abort only packets inside a queueing discipline or a device still reference the memory.
constexpr int kLateCloneMs = 200;

// A duplicate is only taken while a quarter of the descriptors is free, so that a server goes on
// accepting.
bool near_descriptor_limit(int fd) {
  return static_cast<uint64_t>(fd) >= descriptor_limit() / 4 * 3;
}

}  // namespace

Reactor::Reactor(Napi::Env env, Napi::Uint32Array words, Napi::Function on_records)
    : env_(env),
      words_(Napi::Persistent(words)),
      on_records_(Napi::Persistent(on_records)),
      context_(env, "msg-zerocopy"),
      capacity_(words.ElementLength() / kRecordWords) {}

Reactor::~Reactor() = default;

int Reactor::start() {
  const int epoll = epoll_create();
  if (epoll < 0) return epoll;
  epoll_ = Fd(epoll);
  uv_loop_t* loop = nullptr;
  napi_get_uv_event_loop(env_, &loop);
  poll_ = new uv_poll_t;
  const int initialised = uv_poll_init(loop, poll_, epoll);
  if (initialised < 0) {
    delete poll_;
    poll_ = nullptr;
    return initialised;
  }
  poll_->data = this;
  uv_poll_start(poll_, UV_READABLE, [](uv_poll_t* handle, int, int) {
    static_cast<Reactor*>(handle->data)->on_readable();
  });
  uv_unref(reinterpret_cast<uv_handle_t*>(poll_));
  return 0;
}

int Reactor::attach(int fd, bool ours) {
  const int checked = check_tcp(fd);
  if (checked < 0) return checked;
  Fd copy(duplicate(fd));
  if (copy.get() < 0) return -EMFILE;
  if (near_descriptor_limit(copy.get())) return -EMFILE;
  if (!ours) {
    const int before = get_option(copy.get(), SOL_SOCKET, SO_ZEROCOPY);
    if (before < 0) return before;
    if (before != 0) return -EALREADY;
    const int set = set_option(copy.get(), SOL_SOCKET, SO_ZEROCOPY, 1);
    if (set < 0) return set;
  }
  const bool foreign_entries = has_foreign_entries(copy.get()) > 0;
  uint32_t index;
  if (free_.empty()) {
    index = static_cast<uint32_t>(ports_.size());
    ports_.emplace_back();
  } else {
    index = free_.back();
    free_.pop_back();
  }
  const int added = epoll_add(epoll_.get(), copy.get(), EPOLLET, index);
  if (added < 0) {
    free_.push_back(index);
    return added;
  }
  ports_[index] = std::make_unique<Port>(std::move(copy), index, foreign_entries);
  open_ports_++;
  return static_cast<int>(index);
}

Port* Reactor::port(uint32_t index) {
  return index < ports_.size() ? ports_[index].get() : nullptr;
}

void Reactor::update_hold(bool held_before, const Port& port) {
  const bool holds = port.holds_loop();
  if (holds == held_before) return;
  holders_ += holds ? 1u : ~0u;
  auto* handle = reinterpret_cast<uv_handle_t*>(poll_);
  if (handle == nullptr) return;
  if (holds && holders_ == 1) uv_ref(handle);
  if (!holds && holders_ == 0) uv_unref(handle);
}

int Reactor::send(Port* port, const iovec* pieces, size_t count, int flags) {
  const bool held = port->holds_loop();
  const int accepted = port->send(pieces, count, flags);
  update_hold(held, *port);
  return accepted;
}

int Reactor::arm(Port* port) {
  const bool held = port->holds_loop();
  const int armed = port->arm(epoll_.get());
  update_hold(held, *port);
  return armed;
}

int Reactor::linger(Port* port) {
  const bool held = port->holds_loop();
  const int lingering = port->linger(epoll_.get());
  update_hold(held, *port);
  return lingering;
}

int Reactor::abort(Port* port) {
  const bool held = port->holds_loop();
  const int aborted = port->abort();
  update_hold(held, *port);
  return aborted;
}

void Reactor::set_referenced(Port* port, bool referenced) {
  const bool held = port->holds_loop();
  port->set_referenced(referenced);
  update_hold(held, *port);
}

void Reactor::detach(Port* port) {
  const bool held = port->holds_loop();
  port->set_referenced(false);
  update_hold(held, *port);
  // Before the close: epoll keys on the open socket, which libuv's descriptor may keep open.
  epoll_remove(epoll_.get(), port->fd());
  const uint32_t index = port->index();
  ports_[index].reset();
  free_.push_back(index);
  open_ports_--;
}

size_t Reactor::reap(Port* port) {
  const bool held = port->holds_loop();
  port->drain();
  update_hold(held, *port);
  std::vector<Record> ranges;
  port->deliver_ranges(&ranges, capacity_);
  if (!ranges.empty()) std::memcpy(words_.Value().Data(), ranges.data(), ranges.size() * sizeof(Record));
  return ranges.size();
}

void Reactor::on_readable() {
  epoll_event events[kEventsPerWait];
  int count;
  do {
    count = epoll_wait(epoll_.get(), events, kEventsPerWait, 0);
    records_.clear();
    for (int i = 0; i < count; i++) {
      Port* fired = port(static_cast<uint32_t>(events[i].data.u64));
      if (fired == nullptr) continue;
      const bool held = fired->holds_loop();
      fired->collect(events[i].events, &records_);
      update_hold(held, *fired);
    }
    if (!records_.empty()) call_javascript();
  } while (count == kEventsPerWait);
}

void Reactor::call_javascript() {
  Napi::HandleScope scope(env_);
  // Taken out first: what JavaScript does may run the loop again (a nested wait, an inspector).
  const std::vector<Record> batch(std::move(records_));
  records_.clear();
  for (size_t from = 0; from < batch.size();) {
    const size_t count = std::min(capacity_, batch.size() - from);
    std::memcpy(words_.Value().Data(), &batch[from], count * sizeof(Record));
    from += count;
    on_records_.MakeCallback(env_.Global(),
                             {Napi::Number::New(env_, static_cast<double>(count))}, context_);
    // The callback does not throw; only a worker that is being terminated ends up here.
    if (env_.IsExceptionPending()) env_.GetAndClearPendingException();
  }
}

bool Reactor::drain_until_released(int timeout_ms) {
  using Clock = std::chrono::steady_clock;
  const auto deadline = Clock::now() + std::chrono::milliseconds(timeout_ms);
  std::vector<pollfd> waiting;
  for (;;) {
    waiting.clear();
    for (const auto& port : ports_) {
      if (port == nullptr) continue;
      port->drain();
      if (port->pending_sends() > 0) waiting.push_back({port->fd(), 0, 0});
    }
    if (waiting.empty()) return true;
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return false;
    // POLLERR is reported without being asked for. A hung-up socket reports POLLHUP for ever, so
    // the wait is bounded to keep a late completion from being polled for in a busy loop.
    if (::poll(waiting.data(), waiting.size(), static_cast<int>(std::min<long>(left, 10))) > 0) {
      bool only_hung_up = true;
      for (const pollfd& entry : waiting) only_hung_up &= (entry.revents & POLLERR) == 0;
      if (only_hung_up) ::poll(nullptr, 0, 1);
    }
  }
}

uint32_t Reactor::release_all(int grace_ms) {
  if (drain_until_released(grace_ms)) return 0;
  uint32_t aborted = 0;
  for (const auto& port : ports_) {
    if (port == nullptr || port->pending_sends() == 0) continue;
    port->abort();
    aborted++;
  }
  // The queues are purged; only clones inside a queueing discipline or a device remain.
  drain_until_released(kLateCloneMs);
  return aborted;
}

void Reactor::close(void (*closed)(void*), void* data) {
  ports_.clear();
  if (poll_ == nullptr) {
    closed(data);
    return;
  }
  uv_poll_stop(poll_);
  poll_->data = new std::pair<void (*)(void*), void*>(closed, data);
  uv_close(reinterpret_cast<uv_handle_t*>(poll_), [](uv_handle_t* handle) {
    auto* after = static_cast<std::pair<void (*)(void*), void*>*>(handle->data);
    delete reinterpret_cast<uv_poll_t*>(handle);
    after->first(after->second);
    delete after;
  });
  poll_ = nullptr;
}

}  // namespace msg_zerocopy
