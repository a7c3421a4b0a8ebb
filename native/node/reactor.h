// One edge-triggered epoll set per environment, watched by one uv_poll_t. Sockets themselves are
// never given to libuv: it takes EPOLLERR for fatal (deps/uv/src/unix/poll.c:uv__poll_io).
// Each wake-up reads the error queues of the ports that fired. JavaScript is called once, with all
// ranges, when somebody waits for one of them, or enough gathered, or kHoldMs passed.
#pragma once

#include <napi.h>
#include <uv.h>

#include <memory>
#include <vector>

#include "kernel/sys.h"
#include "node/port.h"
#include "node/records.h"

namespace msg_zerocopy {

class Reactor {
 public:
  // `words` is shared with JavaScript; `on_records(count)` is called when its first `count` records
  // are new.
  Reactor(Napi::Env env, Napi::Uint32Array words, Napi::Function on_records);
  ~Reactor();
  Reactor(const Reactor&) = delete;
  Reactor& operator=(const Reactor&) = delete;

  int start();  // 0 or -errno

  // Duplicates `fd` into a new port. Its index, or -errno: -EALREADY when SO_ZEROCOPY is on and it
  // was not us (`ours` is false), -EMFILE when descriptors run short.
  int attach(int fd, bool ours);
  // Makes a port of a datagram socket that nobody else uses. Its index, or -errno.
  int adopt(Fd fd);
  Port* port(uint32_t index);
  int arm(Port* port);
  void stop_waiting(Port* port);
  int set_reading(Port* port, bool reading);
  int send_datagrams(Port* port, const Envelope* envelopes, iovec* pieces, size_t count, int flags);
  int linger(Port* port);
  int abort(Port* port);
  void detach(Port* port);
  int send(Port* port, const iovec* pieces, size_t count, int flags);
  void set_referenced(Port* port, bool referenced);

  // Reads one port's error queue now; the number of records put into the shared words. Call again
  // while that fills them.
  size_t reap(Port* port);

  // Ends every connection whose memory is pinned, after waiting up to `grace_ms` for the kernel to
  // let go by itself. Answers how many connections had to be aborted.
  uint32_t release_all(int grace_ms);
  // Closes the loop's handles; only after start(). `closed` runs on the loop when libuv is done with it.
  void close(void (*closed)(void*), void* data);

  uint32_t open_ports() const { return open_ports_; }

 private:
  int insert(Fd fd, PortKind kind, bool foreign_entries);
  void on_readable();
  void on_timer();
  void deliver();
  void call_javascript();
  void update_hold(bool held_before, const Port& port);
  bool drain_until_released(int timeout_ms);

  Napi::Env env_;
  Napi::Reference<Napi::Uint32Array> words_;
  Napi::FunctionReference on_records_;
  Napi::AsyncContext context_;
  size_t capacity_;
  Fd epoll_;
  // Freed by libuv's close callbacks, which may come after this object is gone.
  struct LoopHandles {
    uv_poll_t poll;
    uv_timer_t timer;
    int open = 2;
    void (*closed)(void*) = nullptr;
    void* closed_data = nullptr;
  };
  LoopHandles* handles_ = nullptr;
  bool timer_runs_ = false;
  uint32_t holders_ = 0;
  uint32_t open_ports_ = 0;
  std::vector<std::unique_ptr<Port>> ports_;
  std::vector<uint32_t> free_;
  std::vector<uint32_t> holding_;  // ports with ranges that JavaScript does not know of yet
  std::vector<Record> records_;
};

}  // namespace msg_zerocopy
