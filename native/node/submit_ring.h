// The io_uring of one environment: sends are prepared during a turn of the event loop and submitted
// together at its end. Completions become records; which of them are worth a wake-up is decided here.
//
// A notification that nobody waits for wakes nobody: it is read with the next submit, or by a timer.
// Where somebody waits for a release (urgent ports), or the process has gone quiet, an eventfd wakes
// the loop.
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
  virtual void changed(const Port& port, Standing before) = 0;

 protected:
  ~Ports() = default;
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

  // Pieces live in iovecs of ours until submitted: space for at most `limit` of them.
  iovec* space(size_t* limit);
  // Prepares a send of the first `count` pieces in that space. 0, or -EBUSY: submit first.
  // `slot`: the registered memory that they lie in; -1: a pool's, if they do.
  int prepare(Port* port, size_t count, int flags, SendMode mode, int slot);
  // Submits what is prepared and takes completions out, until `limit` records or nothing is left.
  bool submit(std::vector<Record>* records, size_t limit);
  bool has_completions() const { return ring_.holds_completions(); }

  int eventfd() const { return eventfd_.get(); }
  void set_wakeups(bool on);
  // Makes eventfd readable.
  void wake() const;
  void forget_wakeup() const;  // reads it

  uint64_t pending() const { return pending_; }
  // Requests without a result: none after a submit, unless the kernel changes its ways.
  uint64_t unanswered() const { return unanswered_; }
  RingEntries entries() const { return ring_.entries(); }

 private:
  int named_slot(const iovec* pieces, size_t count, int slot) const;
  void take(const uring::Cqe& completion, std::vector<Record>* records);
  void revoke(int error);
  bool tell_refused(std::vector<Record>* records, size_t limit);

  Ports* const ports_;
  std::shared_ptr<Slabs> slabs_;
  IoUring ring_;
  Fd eventfd_;
  uid_t owner_ = 0;
  bool vectored_slots_ = false;
  bool wakeups_ = true;
  uint64_t pending_ = 0;  // notifications to come
  uint64_t unanswered_ = 0;
  std::vector<msghdr> messages_;
  std::vector<iovec> pieces_;
  size_t messages_used_ = 0;
  size_t pieces_used_ = 0;
  std::vector<uint32_t> prepared_;  // ports, in the order of their requests
  std::vector<Record> refused_;     // results of requests that the kernel did not take
};

}  // namespace msg_zerocopy
