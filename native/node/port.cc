#include "node/port.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>

#include "kernel/abi.h"
#include "kernel/tcp.h"

namespace msg_zerocopy {

int Port::send(const iovec* pieces, size_t count, int flags) {
  const int accepted = send_message(fd_.get(), pieces, count, flags);
  if (accepted > 0 && (flags & MSG_ZEROCOPY) != 0) issued_++;
  return accepted;
}

void Port::drain() {
  // With nothing pending the queue is empty, unless something else was switched on: an undrained
  // entry would make libuv spin (test/boundary/loop.test.ts).
  while (issued_ != completed_ || foreign_entries_) {
    Notice notice;
    const int parsed = read_notice(fd_.get(), &notice);
    if (parsed < 0) break;
    // Foreign entries are skipped. A truncated one is lost, and its memory then kept for ever, which is
    // safe; read_notice() has room for several times the largest entry.
    if (parsed != static_cast<int>(Parsed::kNotice)) continue;
    completed_ += notice_count(notice);
    held_.push_back(notice);
  }
}

void Port::deliver_ranges(std::vector<Record>* records, size_t limit) {
  const size_t count = std::min(limit, held_.size());
  for (size_t i = 0; i < count; i++) {
    const uint32_t flags = kRange | (held_[i].copied ? kCopied : 0u);
    records->push_back({index_, held_[i].lo, held_[i].hi, flags});
  }
  held_.erase(held_.begin(), held_.begin() + static_cast<ptrdiff_t>(count));
}

void Port::collect(uint32_t events, std::vector<Record>* records) {
  drain();
  const bool writable = waiting_ && (events & (EPOLLOUT | EPOLLHUP)) != 0;
  if (eager_ || writable || lingering_) deliver_ranges(records, SIZE_MAX);
  if (writable) {
    waiting_ = false;
    records->push_back({index_, 0, 0, kWritable | ((events & EPOLLHUP) != 0 ? kHangup : 0u)});
  }
  if (lingering_ && (events & (EPOLLIN | EPOLLHUP)) != 0 && has_unread_data(fd_.get()) > 0) {
    records->push_back({index_, 0, 0, kPeerData});
  }
}

int Port::arm(int epoll) {
  // Modifying an edge-triggered entry looks at the socket once more and queues an event if it is
  // writable already, so space that came free after the short send is not missed.
  const int armed = epoll_modify(epoll, fd_.get(), EPOLLET | EPOLLOUT, index_);
  if (armed == 0) waiting_ = armed_ = true;
  return armed;
}

void Port::disarm(int epoll) {
  armed_ = epoll_modify(epoll, fd_.get(), EPOLLET, index_) < 0;
}

int Port::linger(int epoll) {
  waiting_ = false;
  lingering_ = true;
  shutdown_write(fd_.get());  // ENOTCONN after a reset: nothing left to announce
  return epoll_modify(epoll, fd_.get(), EPOLLET | EPOLLIN, index_);
}

int Port::abort() {
  waiting_ = false;
  eager_ = true;
  const int aborted = abort_connection(fd_.get());
  drain();
  return aborted;
}

}  // namespace msg_zerocopy
