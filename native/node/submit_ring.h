// The io_uring of one environment: each send is a request of its own, answered within the call, as a send of
// Node's is. Notifications become records; which of them
// are worth a wake-up is decided here.
//
// A notification that no callback waits for causes no wake-up: it is read by a timer. Where a callback waits for a
// release (urgent ports), or the process has gone quiet, an eventfd wakes the loop.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "kernel/io_uring.h"
#include "kernel/io_uring_send.h"
#include "node/port.h"
#include "node/records.h"
#include "node/slabs.h"

namespace msg_zerocopy {

// Where completions find their ports.
class Ports {
 public:
  virtual Port* port(uint32_t index) = 0;
  // What a port asks of the event loop may have changed.
  virtual void changed(Port* port) = 0;

 protected:
  ~Ports() = default;
};

// One zero-copy send of a port, and its result.
struct RingSend {
  Port* port;
  const iovec* pieces;
  size_t count;
  int flags;
  SendResult result;
};

class SubmitRing {
 public:
  SubmitRing(Ports* ports, std::shared_ptr<Slabs> slabs) : ports_(ports), slabs_(std::move(slabs)) {}
  ~SubmitRing();
  SubmitRing(const SubmitRing&) = delete;
  SubmitRing& operator=(const SubmitRing&) = delete;

  // 0 or -errno.
  int open(RingEntries wanted, bool vectored_slots);
  // False once the process took on another user: what the ring may do was decided for the first.
  bool usable() const;

  // Makes the sends at once, each of another port; nothing of them is left behind.
  void send(RingSend* sends, size_t count);
  // Takes what came with the results of sends: once a send is booked, as its own notification may be among it.
  void take_held(std::vector<Record>* records);
  // Takes notifications out until nothing is left; whether there were any.
  bool read(std::vector<Record>* records);
  bool has_completions() const { return !held_.empty() || ring_.has_completions(); }

  int eventfd() const { return eventfd_.get(); }
  void set_wakeups(bool on);
  // Makes eventfd readable.
  void wake() const;
  void forget_wakeup() const;  // reads it

  uint64_t pending() const { return pending_; }
  RingEntries entries() const { return ring_.entries(); }

 private:
  void send_some(RingSend* sends, size_t count);
  void read_results(RingSend* sends, size_t count);
  void take(const uring::Cqe& completion, std::vector<Record>* records);

  Ports* const ports_;
  std::shared_ptr<Slabs> slabs_;
  IoUring ring_;
  Fd eventfd_;
  uid_t owner_ = 0;
  bool vectored_slots_ = false;
  bool wakeups_ = true;
  uint64_t pending_ = 0;  // notifications to come
  std::vector<uring::Cqe> held_;  // notifications that came with the result of a send
};

}  // namespace msg_zerocopy
