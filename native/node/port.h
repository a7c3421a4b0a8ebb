// One socket's native half: owns a descriptor (a duplicate of libuv's for TCP, the socket's only one
// for datagrams), counts its zero-copy sends, and reads its error queue. When to give up is TypeScript's.
#pragma once

#include <sys/epoll.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "kernel/datagram.h"
#include "kernel/errqueue.h"
#include "kernel/stream_sender.h"
#include "kernel/sys.h"
#include "kernel/tx_ring.h"
#include "node/records.h"

namespace msg_zerocopy {

// Whose descriptor a port holds.
enum class PortKind {
  kStream,      // a duplicate of a TCP socket that libuv drives; notifications in its error queue
  kRingStream,  // the same, but sent by the ring, which also brings the notifications
  kDatagram,    // a UDP, raw or packet socket that libuv never sees
};

// What a port asks of the event loop.
struct Standing {
  bool holds;   // stay alive
  bool urgent;  // wake up for the ring's notifications
};

class Port {
 public:
  Port(Fd fd, uint32_t index, PortKind kind, bool foreign_entries)
      : fd_(std::move(fd)),
        index_(index),
        kind_(kind),
        foreign_entries_(foreign_entries),
        watched_(kind == PortKind::kStream) {}
  Port(const Port&) = delete;
  Port& operator=(const Port&) = delete;

  int fd() const { return fd_.get(); }
  PortKind kind() const { return kind_; }
  uint32_t index() const { return index_; }
  uint64_t pending_sends() const { return issued_ - completed_; }

  // Of a stream: its writes, and what the kernel still references of them.
  void set_sender(std::unique_ptr<StreamSender> sender) { sender_ = std::move(sender); }
  StreamSender* sender() const { return sender_.get(); }

  // One sendmsg of a stream. A zero-copy call that accepts bytes takes one send id.
  SendResult send_zero_copy(const iovec* pieces, size_t count, int flags);
  int send_copy(const iovec* pieces, size_t count, int flags) const;

  // A batch with the flags of sendmsg(2). Datagrams sent, or -errno of the first; further from 0 by
  // kIdTaken when the one that failed, zero-copy, took an id all the same.
  int send_datagrams(int epoll, const DatagramMetadata* metadata, iovec* pieces, size_t count, int flags);
  static constexpr int kIdTaken = 0x10000;

  // Reads the error queue until it is empty or nothing can be in it.
  void drain();

  // Reads the error queue and appends to `records` what callbacks wait for. Ranges that none waits
  // for are held: a call into JavaScript costs as much as the system call that read them.
  void collect(int epoll, uint32_t events, std::vector<Record>* records);
  // Whether an event only says that space came free, while no write waits for it: libuv's own
  // writes on the socket cause one each time its send buffer was full.
  bool is_idle_wakeup(uint32_t events) const {
    const bool expects_notices = kind_ != PortKind::kRingStream && issued_ != completed_;
    return armed_ && !waiting_ && !expects_notices && (events & ~EPOLLWRNORM) == EPOLLOUT;
  }
  void disarm(int epoll);
  void unwatch(int epoll);
  size_t held_ranges() const { return held_.size(); }
  void deliver_ranges(std::vector<Record>* records, size_t limit);

  int arm(int epoll);     // wait for space; race-free, see port.cc
  void stop_waiting() { waiting_ = false; }
  // Each call with `true` also reports data that waits already.
  int set_reading(int epoll, bool reading);
  int linger(int epoll);  // FIN after what was accepted, then watch for late data of the peer
  int abort();            // RST, queues purged; what was pending becomes readable

  void set_eager(bool eager) { eager_ = eager; }
  void set_referenced(bool referenced) { referenced_ = referenced; }
  // The connection is another process's, too: it is never reset.
  void abandon() { abandoned_ = true; }
  bool abandoned() const { return abandoned_; }
  // Whether the event loop must stay alive for this port.
  bool holds_loop() const {
    // What the kernel is still to accept holds the loop also when the socket is unref'ed, as a request of
    // libuv's does; in node:dgram every send does.
    if (waiting_) return true;
    // Behind a notice that was lost the end may never come.
    const bool pinned = issued_ != completed_ && lost_ == 0;
    return kind_ == PortKind::kDatagram ? pinned || (referenced_ && reading_) : pinned && referenced_;
  }
  // Nobody waits any more for what a stream has pinned.
  bool given_up() const { return kind_ != PortKind::kDatagram && !referenced_; }

  // What the event loop knows of: calls that change it nest, as when a send reads a notification of the same
  // port.
  Standing accounted = {false, false};
  Standing standing() const { return {holds_loop(), ring_is_urgent()}; }

  // Sends by the ring: one that has a notification to come took the id.
  uint64_t next_ring_id() const { return issued_; }
  void ring_issued() {
    issued_++;
    referenced_ = true;
  }
  void ring_notified(uint32_t id, bool copied) {
    completed_++;
    sender_->released(id, id, copied);
  }
  // Of a stream: flags of the record for JavaScript; 0: none.
  void tell_stream(std::vector<Record>* records);

  TxRing ring;  // of a packet socket, once opened

 private:
  enum class Until { kNothingPending, kEmpty };
  void read_queue(Until until);
  bool failed_send_took_id();
  bool ring_is_urgent() const {
    if (kind_ != PortKind::kRingStream) return false;
    return (eager_ || lingering_) && issued_ != completed_;
  }
  uint32_t interest() const {
    return (armed_ ? EPOLLOUT : 0u) | (lingering_ || reading_ ? EPOLLIN : 0u);
  }
  int watch(int epoll);
  int add_to(int epoll);

  Fd fd_;
  const uint32_t index_;
  const PortKind kind_;
  const bool foreign_entries_;
  bool watched_;  // in the epoll set
  bool waiting_ = false;
  bool armed_ = false;  // the epoll entry asks for EPOLLOUT
  bool lingering_ = false;
  bool reading_ = false;
  bool eager_ = false;  // a callback waits for a release: deliver every range at once
  bool referenced_ = true;  // of a stream: until it is given up; the next zero-copy send sets it again
  bool abandoned_ = false;
  uint64_t issued_ = 0;
  uint64_t completed_ = 0;
  uint32_t lost_ = 0;  // truncated entries, and how many of them were reported
  uint32_t reported_lost_ = 0;
  std::vector<Notice> held_;  // of a datagram socket
  std::unique_ptr<StreamSender> sender_;
};

}  // namespace msg_zerocopy
