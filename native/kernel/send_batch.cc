#include "kernel/send_batch.h"

#include <sys/socket.h>
#include <time.h>

#include <cerrno>
#include <climits>
#include <cstring>
#include <new>

#include "kernel/clock.h"
#include "kernel/sys.h"

namespace msg_zerocopy {
namespace {

constexpr int kFlags = MSG_DONTWAIT | MSG_NOSIGNAL;

// How long a send lies where another comes, or where the thread finds it; and how often the thread looks while sends
// are queued. Each look takes the loop's thread off its CPU where they share one, for some 20 us on a virtual
// machine, so it takes no lock and is not more frequent.
constexpr uint64_t kMostWaitNs = 500'000;
constexpr long kLookNs = 1'000'000;
// After so many looks in vain it sleeps until something is queued.
constexpr int kLooksInVain = 5;

class Lock {
 public:
  explicit Lock(pthread_mutex_t* mutex) : mutex_(mutex) { pthread_mutex_lock(mutex_); }
  ~Lock() { pthread_mutex_unlock(mutex_); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

 private:
  pthread_mutex_t* const mutex_;
};

}  // namespace

int SendBatch::open(int32_t* results) {
  results_ = results;
  memory_.reset(new (std::nothrow) char[kMemory]);
  if (memory_ == nullptr) return -ENOMEM;
  const int opened = ring_.open({kRequests, 2 * kRequests}, RingIssuer::kAnyThread);
  if (opened < 0) return opened;
  if (ring_.entries().submissions < kRequests) return -ENOMEM;
  return 0;
}

SendBatch::~SendBatch() { submit_copies(); }

int SendBatch::queue(int fd, const iovec* pieces, size_t count) {
  size_t bytes = 0;
  for (size_t i = 0; i < count; i++) bytes += pieces[i].iov_len;
  if (bytes > kMostBytes || count_ == kMostSends) return kAlone;
  const uint64_t now = now_ns();
  const Lock lock(&mutex_);
  if (queued_ == kRequests || used_ + bytes > kMemory || is_late(now)) return kDue;
  const char* const base = copy_in(pieces, count, bytes);
  uring::Sqe* sqe = ring_.prepare();
  sqe->opcode = uring::kOpSend;
  sqe->fd = fd;
  sqe->addr = reinterpret_cast<uintptr_t>(base);
  sqe->len = static_cast<uint32_t>(bytes);
  sqe->msg_flags = kFlags;
  sqe->user_data = count_;
  requests_[queued_++] = {fd, count_, base, bytes};
  return static_cast<int>(add(now));
}

int SendBatch::queue_reference(int fd, const iovec* pieces, size_t count) {
  if (count_ == kMostSends) return kAlone;
  const uint64_t now = now_ns();
  const Lock lock(&mutex_);
  if (referenced_ == kRequests || is_late(now)) return kDue;
  references_[referenced_++] = {fd, count_, pieces, count};
  return static_cast<int>(add(now));
}

uint32_t SendBatch::add(uint64_t now) {
  if (first_at_.load(std::memory_order_relaxed) == 0) first_at_.store(now, std::memory_order_relaxed);
  results_[count_] = kUnanswered;
  if (sleeps_) {
    sleeps_ = false;
    pthread_cond_signal(&wanted_);
  }
  return count_++;
}

// Who sends one message to many connections has it copied once: comparing what is in the cache costs less.
const char* SendBatch::copy_in(const iovec* pieces, size_t count, size_t bytes) {
  if (queued_ > 0) {
    const Request& last = requests_[queued_ - 1];
    const char* at = last.base;
    bool is_same = last.bytes == bytes;
    for (size_t i = 0; is_same && i < count; i++) {
      is_same = std::memcmp(at, pieces[i].iov_base, pieces[i].iov_len) == 0;
      at += pieces[i].iov_len;
    }
    if (is_same) return last.base;
  }
  char* const base = &memory_[used_];
  for (size_t i = 0; i < count; i++) {
    std::memcpy(&memory_[used_], pieces[i].iov_base, pieces[i].iov_len);
    used_ += pieces[i].iov_len;
  }
  return base;
}

void SendBatch::submit() {
  const Lock lock(&mutex_);
  hand_over();
  referenced_ = 0;
}

void SendBatch::submit_copies() {
  const Lock lock(&mutex_);
  hand_over();
  copy_references();
  referenced_ = 0;
}

uint32_t SendBatch::take() {
  const uint32_t count = count_;
  count_ = 0;
  return count;
}

void SendBatch::hand_over() {
  if (first_at_.load(std::memory_order_relaxed) == 0) return;
  first_at_.store(0, std::memory_order_relaxed);
  handed_over_.store(handed_over_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  if (queued_ == 0) return;
  const int entered = ring_.submit();
  read_results();
  send_unanswered(entered);
  queued_ = 0;
  used_ = 0;
}

void SendBatch::read_results() {
  uring::Cqe completion;
  while (ring_.pop(&completion)) results_[completion.user_data] = completion.res;
}

// The kernel answers a send with MSG_DONTWAIT before enter() returns (io_uring/io_uring.c:io_queue_async). Where
// it did not take all requests, the last ones are still ours.
void SendBatch::send_unanswered(int entered) {
  const uint32_t taken = queued_ - (entered < 0 ? ring_.revoke() : 0);
  for (uint32_t i = 0; i < queued_; i++) {
    const Request& request = requests_[i];
    int32_t* const result = &results_[request.number];
    while (i < taken && *result == kUnanswered) {
      if (ring_.wait() < 0) *result = -EIO;
      read_results();
    }
    if (i < taken) continue;
    const ssize_t sent = ::send(request.fd, request.base, request.bytes, kFlags);
    *result = sent < 0 ? -errno : static_cast<int32_t>(sent);
  }
}

void SendBatch::watch() {
  int in_vain = 0;
  uint32_t seen = 0;
  const timespec look = {0, kLookNs};
  while (!ends_.load(std::memory_order_relaxed)) {
    nanosleep(&look, nullptr);
    const bool is_empty = first_at_.load(std::memory_order_relaxed) == 0;
    const uint32_t handed_over = handed_over_.load(std::memory_order_relaxed);
    in_vain = is_empty && handed_over == seen ? in_vain + 1 : 0;
    seen = handed_over;
    if (is_late(now_ns())) hand_over_late();
    if (in_vain > kLooksInVain) sleep_until_queued();
  }
}

bool SendBatch::is_late(uint64_t now) const {
  const uint64_t first_at = first_at_.load(std::memory_order_relaxed);
  return first_at != 0 && now > first_at && now - first_at > kMostWaitNs;
}

void SendBatch::hand_over_late() {
  const Lock lock(&mutex_);
  // The loop's thread may have done so, and may have queued another since.
  if (!is_late(now_ns())) return;
  hand_over();
  copy_references();
}

void SendBatch::copy_references() {
  for (uint32_t i = 0; i < referenced_; i++) {
    const Reference& reference = references_[i];
    if (results_[reference.number] != kUnanswered) continue;
    results_[reference.number] = send_message(reference.fd, reference.pieces, reference.count, 0);
  }
}

void SendBatch::sleep_until_queued() {
  const Lock lock(&mutex_);
  sleeps_ = first_at_.load(std::memory_order_relaxed) == 0;
  while (sleeps_ && !ends_.load(std::memory_order_relaxed)) pthread_cond_wait(&wanted_, &mutex_);
}

void SendBatch::stop_watching() {
  const Lock lock(&mutex_);
  ends_.store(true, std::memory_order_relaxed);
  pthread_cond_signal(&wanted_);
}

}  // namespace msg_zerocopy
