#include "node/port.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>

#include "kernel/abi.h"
#include "kernel/tcp.h"

namespace msg_zerocopy {

SendResult Port::send_zero_copy(const iovec* pieces, size_t count, int flags) {
  const int accepted = send_message(fd_.get(), pieces, count, flags | MSG_ZEROCOPY);
  if (accepted <= 0) return {accepted, false, false};
  issued_++;
  referenced_ = true;
  return {accepted, true, false};
}

int Port::send_copy(const iovec* pieces, size_t count, int flags) const {
  return send_message(fd_.get(), pieces, count, flags);
}

int Port::send_datagrams(int epoll, const DatagramMetadata* metadata, iovec* pieces, size_t count,
                         int flags) {
  if ((flags & MSG_ZEROCOPY) == 0) {
    return msg_zerocopy::send_datagrams(fd_.get(), metadata, pieces, count, flags);
  }
  // In front of the send: nothing may be pinned whose notice would cause no wake-up (ENOSPC at
  // fs.epoll.max_user_watches, ENOMEM; test/socket/core-faults.test.ts).
  const int watching = watched_ ? 0 : add_to(epoll);
  if (watching < 0) return watching;
  const int sent = msg_zerocopy::send_datagrams(fd_.get(), metadata, pieces, count, flags);
  if (sent > 0) issued_ += static_cast<uint64_t>(sent);
  else if (issued_ == completed_) watch(epoll);
  const bool failed = sent < 0 ? sent != -EAGAIN : static_cast<size_t>(sent) < count;
  if (!failed || !failed_send_took_id()) return sent;
  issued_++;
  return sent < 0 ? sent - kIdTaken : sent + kIdTaken;
}

// A datagram that fails behind the point where it got its id (a segment longer than the route's MTU,
// a firewall, a full queue with IP_RECVERR) is freed within the call and has notified by now
// (net/ipv4/udp.c:udp_send_skb; test/rig/udp-denials.test.ts).
bool Port::failed_send_took_id() {
  const size_t before = held_.size();
  // To the end: what was pending may complete in front of the failed one's notice.
  read_queue(Until::kEmpty);
  const uint32_t next = static_cast<uint32_t>(issued_);
  return std::any_of(held_.begin() + static_cast<ptrdiff_t>(before), held_.end(),
                     [next](const Notice& notice) { return notice_covers(notice, next); });
}

void Port::drain() {
  if (kind_ == PortKind::kRingStream) return;
  // With nothing pending the queue is empty, unless something else was switched on: an undrained
  // entry would make libuv spin (test/process/loop.test.ts).
  if (issued_ == completed_ && !foreign_entries_) return;
  read_queue(foreign_entries_ ? Until::kEmpty : Until::kNothingPending);
}

void Port::read_queue(Until until) {
  for (;;) {
    Notice notice;
    const int parsed = read_notice(fd_.get(), &notice);
    if (parsed < 0) break;
    // Foreign entries are skipped. A truncated one may have been a notice: what it named is then kept,
    // which is safe, and reported. read_notice() has room for more than the largest entry.
    if (parsed == static_cast<int>(Parsed::kTruncated) && issued_ != completed_) {
      lost_++;
      if (sender_ != nullptr) sender_->lost(1);
    }
    if (parsed != static_cast<int>(Parsed::kNotice)) continue;
    completed_ += notice_count(notice);
    if (sender_ != nullptr) sender_->released(notice.lo, notice.hi, notice.copied);
    else held_.push_back(notice);
    // Nothing more can be in it: spares the call that would say so.
    if (until == Until::kNothingPending && issued_ == completed_) break;
  }
}

void Port::deliver_ranges(std::vector<Record>* records, size_t limit) {
  if (lost_ > reported_lost_ && limit > 0) {
    records->push_back({index_, lost_ - reported_lost_, 0, kLost});
    reported_lost_ = lost_;
    limit--;
  }
  const size_t count = std::min(limit, held_.size());
  for (size_t i = 0; i < count; i++) {
    const uint32_t flags = kRange | (held_[i].copied ? kCopied : 0u);
    records->push_back({index_, held_[i].lo, held_[i].hi, flags});
  }
  held_.erase(held_.begin(), held_.begin() + static_cast<ptrdiff_t>(count));
}

void Port::tell_stream(std::vector<Record>* records) {
  for (const Fate& fate : *sender_->fates()) {
    records->push_back({index_, fate.id, fate.id,
                        kRange | (fate.copied ? kCopied : 0u) | (fate.unknown ? kUnknown : 0u)});
  }
  sender_->fates()->clear();
  const bool released = (eager_ || lingering_) && sender_->take_progress();
  const bool news = sender_->take_news();
  if (released || news) {
    records->push_back({index_, 0, 0, (released ? kReleased : 0u) | (news ? kNews : 0u)});
  }
}

void Port::collect(int epoll, uint32_t events, std::vector<Record>* records) {
  const size_t before = held_.size();
  drain();
  if (sender_ != nullptr) tell_stream(records);
  const bool only_notices = held_.size() > before && issued_ != completed_ && (events & EPOLLIN) == 0;
  const bool writable = waiting_ && (events & (EPOLLOUT | EPOLLHUP)) != 0;
  if (sender_ == nullptr && (eager_ || writable || lost_ > reported_lost_)) deliver_ranges(records, SIZE_MAX);
  if (writable) {
    waiting_ = false;
    records->push_back({index_, 0, 0, kWritable | ((events & EPOLLHUP) != 0 ? kHangup : 0u)});
  }
  if (writable && kind_ == PortKind::kDatagram && ring.memory() == nullptr) {
    // Every datagram that leaves the send buffer raises the event anew (net/core/sock.c:sock_wfree).
    disarm(epoll);
  }
  if (reading_ && !only_notices && (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0) {
    // Also after EPOLLERR alone, which may be an ICMP error that only a receive reports; in a stream
    // of notices it is looked for after the last.
    records->push_back({index_, 0, 0, kReadable});
  }
  if (lingering_ && (events & (EPOLLIN | EPOLLHUP)) != 0 && has_unread_data(fd_.get()) > 0) {
    records->push_back({index_, 0, 0, kPeerData});
  }
}

// Only a port whose notifications come by the error queue is always in the epoll set. A datagram
// socket that stands there is woken for each packet that leaves its send buffer, also for events that
// it did not ask for (net/core/sock.c:sock_def_write_space; 60 ns each).
int Port::watch(int epoll) {
  const bool expects_notices = kind_ == PortKind::kDatagram && issued_ != completed_;
  const bool wanted = kind_ == PortKind::kStream || interest() != 0 || expects_notices;
  if (watched_ && wanted) return epoll_modify(epoll, fd_.get(), EPOLLET | interest(), index_);
  if (watched_) {
    watched_ = false;
    return epoll_remove(epoll, fd_.get());
  }
  return wanted ? add_to(epoll) : 0;
}

int Port::add_to(int epoll) {
  const int added = epoll_add(epoll, fd_.get(), EPOLLET | interest(), index_);
  watched_ = added == 0;
  return added;
}

void Port::unwatch(int epoll) {
  if (watched_) epoll_remove(epoll, fd_.get());
  watched_ = false;
}

int Port::arm(int epoll) {
  // Modifying an edge-triggered entry looks at the socket once more and queues an event if it is
  // writable already, so space that came free after the short send is not missed.
  // A ring is waited for edge by edge: one that waits is nearly always writable, which says nothing of
  // its frames.
  if (armed_ && ring.memory() != nullptr) {
    waiting_ = true;
    return 0;
  }
  const bool before = armed_;
  armed_ = true;
  const int armed = watch(epoll);
  if (armed == 0) waiting_ = true;
  else armed_ = before;
  return armed;
}

void Port::disarm(int epoll) {
  armed_ = false;
  if (watch(epoll) < 0) armed_ = true;
}

int Port::set_reading(int epoll, bool reading) {
  if (!reading && !reading_) return 0;
  reading_ = reading;
  const int watching = watch(epoll);
  if (watching < 0) reading_ = !reading;
  return watching;
}

int Port::linger(int epoll) {
  waiting_ = armed_ = false;
  lingering_ = true;
  shutdown_write(fd_.get());  // ENOTCONN after a reset: nothing left to announce
  return watch(epoll);
}

int Port::abort() {
  waiting_ = false;
  eager_ = true;
  const int aborted = abort_connection(fd_.get());
  drain();
  return aborted;
}

}  // namespace msg_zerocopy
