// One edge-triggered epoll set per environment, watched by one uv_poll_t. Sockets themselves are
// never given to libuv: it takes EPOLLERR for fatal (deps/uv/src/unix/poll.c:uv__poll_io).
// Each wake-up reads the error queues of the ports that fired. JavaScript is called once, with all
// ranges, when a callback waits for one of them, or enough have gathered, or kHoldMs has passed.
#pragma once

#include <napi.h>
#include <uv.h>

#include <memory>
#include <vector>

#include "kernel/send_batch.h"
#include "kernel/sys.h"
#include "node/batch_thread.h"
#include "node/port.h"
#include "node/records.h"
#include "node/submit_ring.h"

namespace msg_zerocopy {

// Stands for the ring's eventfd among the ports of the epoll set.
constexpr uint64_t kRingTag = UINT64_MAX;

class Reactor final : private Ports {
 public:
  // `words` is shared with JavaScript; `on_records(count)` is called when its first `count` records
  // are new.
  Reactor(Napi::Env env, Napi::Uint32Array words, Napi::Function on_records, const StreamShared& shared);
  ~Reactor();
  Reactor(const Reactor&) = delete;
  Reactor& operator=(const Reactor&) = delete;

  int start();  // 0 or -errno

  // Duplicates `fd` into a new port of a stream. Its index, or -errno: -EALREADY when SO_ZEROCOPY is on and it
  // was not us (`ours` is false), -EMFILE when descriptors run short, -EBUSY when another process that shares it
  // made it blocking: libuv reads when a notification comes, and would wait.
  // `first_id`: the kernel's number of the next zero-copy send; by the ring, 0.
  int attach(int fd, StreamEngine engine, bool ours, uint64_t first_id);
  // The words of the streams whose ports are numbered from kPortsPerChunk * `chunk` on.
  Napi::Value stream_words(uint32_t chunk);
  static constexpr uint32_t kPortsPerChunk = 1024;
  // Makes a port of a datagram socket of our own. Its index, or -errno.
  int adopt(Fd fd);
  Port* port(uint32_t index) override;
  int arm(Port* port);
  void stop_waiting(Port* port);
  int set_reading(Port* port, bool reading);
  int send_datagrams(Port* port, const DatagramMetadata* metadata, iovec* pieces, size_t count, int flags);
  int linger(Port* port);
  int abort(Port* port);
  void detach(Port* port);
  // As StreamSender::write().
  int write(Port* port, Chunk* chunks, size_t count, uint64_t skip, const WriteRules& rules);
  void set_referenced(Port* port, bool referenced);
  void abandon(Port* port);
  void set_eager(Port* port, bool eager);

  // Reads a port's notifications now; the number of its records put into the shared words. Call again
  // while that fills them.
  size_t reap(Port* port);
  // Puts records that wait for JavaScript into the shared words; how many. The word behind the records says
  // whether some wait.
  size_t take_records();

  // Makes this environment's io_uring. 0 or -errno.
  int open_ring(RingEntries wanted, bool vectored_slots, std::shared_ptr<Slabs> slabs);
  SubmitRing* submit_ring() { return ring_.get(); }

  // Makes what copying sends share a call by; only with a ring. `on_batch(count)` is called when the results of so
  // many are in `results`. 0 or -errno.
  int open_batch(int32_t* results, Napi::Function on_batch);
  // As SendBatch::queue(); -1 where there is none.
  int queue(int fd, const iovec* pieces, size_t count);
  // Queues a write that goes without copying by one send, of at most PlannedSend::kMostPieces chunks. The number of its
  // result, bytes or -errno; or -1: it is to be written at once.
  int queue_write(Port* port, Chunk* chunks, size_t count);
  void submit_batch();
  // The same by copies, at an end of the environment: behind it nothing is left to be released.
  void copy_batch();

  StreamShared* shared() { return &shared_; }

  // Ends every connection whose memory is pinned, after waiting up to `grace_ms` for the kernel to let go by
  // itself; for those that were given up before, that wait is over. Answers how many connections had to be
  // aborted.
  uint32_t release_all(int grace_ms);
  // Closes the loop's handles; only after start(). `closed` runs on the loop when libuv is done with it.
  void close(void (*closed)(void*), void* data);

  uint32_t open_ports() const { return open_ports_; }

 private:
  class QueueCarrier;
  class RingCarrier;
  // A send that waits in batch_, which refers to its pieces.
  struct QueuedSend {
    Port* port;
    uint32_t number;
    PlannedSend send;
  };
  int insert(Fd fd, PortKind kind, bool foreign_entries);
  double* words_of(uint32_t index);
  void announce_records();
  void on_readable();
  void on_timer();
  void deliver();
  void call_javascript();
  void changed(Port* port) override;
  void account(Standing before, Standing now);
  enum class Of { kThoseAwaited, kAll };
  bool drain_until_released(Of ports, int timeout_ms);
  void call_back(const Napi::FunctionReference& function, size_t argument);

  // Of the ring, in reactor_ring.cc.
  int queue_reference(const QueuedSend& one);
  int queued(int number);
  void finish_batch();
  void send_queued();
  void on_prepare();
  void on_check();
  void on_ring_timer();
  bool read_ring();  // whether it found anything
  void sent_by_ring();
  void expect_notices();
  void discard_completions();

  Napi::Env env_;
  Napi::Reference<Napi::Uint32Array> words_;
  uint32_t* const record_words_;
  Napi::FunctionReference on_records_;
  Napi::AsyncContext context_;
  size_t capacity_;
  Fd epoll_;
  // Freed by libuv's close callbacks, which may come after this object is gone.
  struct LoopHandles {
    uv_poll_t poll;
    uv_timer_t timer;
    // With a ring.
    uv_check_t check;
    uv_prepare_t prepare;
    uv_timer_t ring_timer;
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
  std::vector<uint32_t> resting_;  // freed while records of a batch may still name them
  uint32_t batches_ = 0;           // that JavaScript is handling
  std::vector<uint32_t> holding_;  // ports with ranges that JavaScript does not know of yet
  std::vector<Record> records_;
  StreamShared shared_;
  std::vector<Napi::Reference<Napi::Float64Array>> stream_words_;

  std::unique_ptr<SubmitRing> ring_;
  std::unique_ptr<QueuedSend[]> queued_;  // one place more than the batch has
  size_t queued_sends_ = 0;
  std::unique_ptr<SendBatch> batch_;
  std::unique_ptr<BatchThread> batch_thread_;
  Napi::FunctionReference on_batch_;
  bool ring_timer_runs_ = false;
  bool sent_since_timer_ = false;
  bool quiet_ = false;     // nothing was sent for a while: notifications wake the loop again
  uint32_t urgent_ = 0;    // ports that want to hear of their notifications at once
};

}  // namespace msg_zerocopy
