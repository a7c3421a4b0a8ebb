#include "kernel/stream_sender.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "kernel/abi.h"
#include "kernel/clock.h"

namespace msg_zerocopy {
namespace {

constexpr size_t kMaxPieces = 1024;                  // UIO_MAXIOV, include/uapi/linux/uio.h
constexpr size_t kMostOfOneSend = size_t{1} << 30;   // a request's length is a signed 32-bit number
constexpr int kNotSupported = 524;                   // the kernel's own ENOTSUPP, which TLS lets out before 5.5

// A program that writes without returning to the event loop gets no wake-up, so notifications are read after this many
// sends, or bytes by the ring: after each they cost a tenth more (docs/performance.md).
constexpr uint64_t kSendsBetweenReaps = 64;
constexpr uint64_t kBytesBetweenReaps = 1024 * 1024;

constexpr size_t kSmallSend = 64 * 1024;  // a limit without room for it is too low; for more, it may be used

// The ring links a send to the one before when they share a packet, and a chain is released as a whole
// (Linux 6.10, net/core/skbuff.c:skb_zerocopy_iter_stream, io_uring/notif.c:io_link_skb): a connection that
// never drains would never be notified. So a send ends its packet (MSG_EOR) after so many bytes. Chains may
// hold a quarter of the budget, the send buffers the rest.
constexpr int64_t kLongestChain = 1024 * 1024;
constexpr int64_t kShortestChain = 128 * 1024;

uint64_t chain_bytes(int64_t budget, uint32_t connections) {
  const int64_t share = budget / 4 / std::max<int64_t>(1, connections);
  return static_cast<uint64_t>(std::clamp(share, kShortestChain, kLongestChain));
}

bool is_large(const Chunk& chunk) { return chunk.cause == CopyCause::kNone && !chunk.staged; }

}  // namespace

// Chunks that follow each other and go alike, from where the write stands.
struct StreamSender::Run {
  size_t chunk;   // the first, ...
  size_t offset;  // ... which is sent so far
  size_t end;     // the chunk behind the last
  size_t bytes;
  bool is_last;   // of the write
  CopyCause cause;
  size_t left_of(const Chunk* chunks, size_t i) const { return chunks[i].bytes - (i == chunk ? offset : 0); }
};

StreamSender::StreamSender(StreamEngine engine, StreamShared* shared, double* words, uint64_t first_id)
    : engine_(engine), shared_(shared), words_(words), ledger_(first_id) {
  std::fill(words_, words_ + kStreamWords, 0.0);
  show();
}

StreamSender::~StreamSender() {
  shared_->pins->add(-static_cast<int64_t>(ledger_.pending_bytes()));
  if (busy_) shared_->busy_rings--;
}

void StreamSender::show() {
  words_[kNextId] = static_cast<double>(ledger_.next());
  words_[kReleasedBelow] = static_cast<double>(ledger_.released_below());
  words_[kPendingBytes] = static_cast<double>(ledger_.pending_bytes());
  words_[kPendingSends] = static_cast<double>(ledger_.pending_sends());
}

int StreamSender::write(StreamCarrier* carrier, Chunk* chunks, size_t count, uint64_t skip,
                        const WriteRules& rules) {
  copying_ = rules.forced;
  logs_ = rules.logs;
  probes_ = rules.is_probe;
  words_[kEvents] = 0;
  words_[kAccepted] = static_cast<double>(skip);
  if (logs_) shared_->log.words[0] = 0;
  size_t chunk = 0;
  uint64_t rest = skip;
  while (chunk < count && rest >= chunks[chunk].bytes) rest -= chunks[chunk++].bytes;
  size_t offset = static_cast<size_t>(rest);
  int status = kDone;
  while (chunk < count) {
    const Run run = next_run(chunks, count, chunk, offset);
    const int sent = send_run(carrier, chunks, run);
    if (sent == -EINTR) continue;
    if (sent < 0 && sent != -EAGAIN) {
      status = sent;
      break;
    }
    const size_t accepted = sent > 0 ? static_cast<size_t>(sent) : 0;
    words_[kAccepted] += static_cast<double>(accepted);
    offset += accepted;
    while (chunk < count && offset >= chunks[chunk].bytes) offset -= chunks[chunk++].bytes;
    if (sent == -EAGAIN) {
      const int armed = carrier->arm();
      status = armed < 0 ? armed : kWaiting;
      break;
    }
    if (logs_ && shared_->log.full() && chunk < count) {
      status = kAgain;
      break;
    }
  }
  show();
  return status;
}

StreamSender::Run StreamSender::next_run(const Chunk* chunks, size_t count, size_t chunk,
                                         size_t offset) const {
  // Once the write is forced to be copied, all that is left of it is one run.
  const bool all = copying_ != CopyCause::kNone;
  const CopyCause cause = all ? copying_ : chunks[chunk].cause;
  Run run = {chunk, offset, chunk, 0, false, cause};
  const bool zero_copy = cause == CopyCause::kNone;
  while (run.end < count && run.end - chunk < kMaxPieces) {
    const CopyCause next = chunks[run.end].cause;
    if (!all && (zero_copy ? next != CopyCause::kNone : next != cause)) break;
    const size_t bytes = chunks[run.end].bytes - (run.end == chunk ? offset : 0);
    if (run.bytes + bytes > kMostOfOneSend && run.bytes > 0) break;
    run.bytes = std::min(run.bytes + bytes, kMostOfOneSend);
    run.end++;
  }
  run.is_last = run.end == count;
  if (run.is_last) {
    const Chunk& last = chunks[run.end - 1];
    const size_t start = run.end - 1 == chunk ? offset : 0;
    // One chunk of more than a send takes.
    if (run.end - chunk == 1 && last.bytes - start > run.bytes) run.is_last = false;
  }
  return run;
}

// Sends a run, or a part of it: bytes; -EAGAIN also behind a part, once its bytes are booked; or -errno.
int StreamSender::send_run(StreamCarrier* carrier, Chunk* chunks, const Run& run) {
  size_t wanted = run.bytes;
  CopyCause cause = run.cause;
  if (cause == CopyCause::kNone) {
    wanted = allowed(carrier, run.bytes);
    if (wanted == 0) {
      words_[kBudgetCopies]++;
      wanted = run.bytes;
      cause = CopyCause::kBudget;
    }
  } else if (cause == CopyCause::kUnpinnable) {
    words_[kUnpinnableSends]++;
  }
  if (cause != CopyCause::kNone) return send_copy(carrier, chunks, run, wanted, cause);
  const bool more = !run.is_last || wanted < run.bytes;
  int sent = send_zero_copy(carrier, chunks, run, wanted, more);
  if (sent == -ENOBUFS || sent == -ENOMEM) {
    // Unread notifications hold optmem: read them, then try once more.
    words_[kEnobufs]++;
    const uint64_t before = ledger_.pending_sends();
    carrier->reap();
    if (ledger_.pending_sends() < before) sent = send_zero_copy(carrier, chunks, run, wanted, more);
  }
  if (sent == -EFAULT) return find_unpinnable(carrier, chunks, run, wanted);
  return answer(carrier, chunks, run, wanted, sent);
}

// What comes of a zero-copy send: its result, or that of a copy in its place.
int StreamSender::answer(StreamCarrier* carrier, const Chunk* chunks, const Run& run, size_t wanted,
                         int sent) {
  if (sent >= 0 || sent == -EAGAIN || sent == -EINTR) return sent;
  const CopyCause cause = refuse(sent, wanted);
  if (cause == CopyCause::kNone) return sent;
  // The socket stays writable, so waiting for space would spin: the same bytes go by copy, and the rest.
  copying_ = cause;
  return send_copy(carrier, chunks, run, wanted, cause);
}

// Why a write is copied whose zero-copy send failed; kNone: the connection is dead.
CopyCause StreamSender::refuse(int error, size_t wanted) {
  const auto report = [this](StreamEvent event, CopyCause cause) {
    words_[kEvents] = static_cast<double>(static_cast<uint32_t>(words_[kEvents]) | event);
    return cause;
  };
  switch (error) {
    case -ENOBUFS:
    case -ENOMEM:
      return shared_->pins->total() > 0 || wanted > kSmallSend ? report(kEventEnobufs, CopyCause::kEnobufs)
                                        : report(kEventLimit, CopyCause::kLimit);
    case -ECANCELED:
      return report(kEventRingLost, CopyCause::kRingLost);
    case -EINVAL:
      if (engine_ != StreamEngine::kIoUring) return CopyCause::kNone;
      [[fallthrough]];
    case -EOPNOTSUPP:
    case -kNotSupported:
      // Something took the sends of this connection over, and wants no MSG_ZEROCOPY: a protocol above TCP
      // (TCP_ULP; net/tls/tls_sw.c:tls_sw_sendmsg).
      return report(kEventRefused, CopyCause::kRefused);
    default:
      return CopyCause::kNone;
  }
}

// How many of `wanted` bytes may be pinned; 0: too few, so copy.
size_t StreamSender::allowed(StreamCarrier* carrier, size_t wanted) {
  const auto room = [this] {
    return static_cast<size_t>(
        shared_->pins->room(static_cast<int64_t>(ledger_.pending_bytes()), limits.most_pending));
  };
  size_t left = room();
  const bool due =
      since_reap_ >= (engine_ == StreamEngine::kIoUring ? kBytesBetweenReaps : kSendsBetweenReaps);
  if ((left < wanted || due) && ledger_.pending_sends() > 0) {
    since_reap_ = 0;
    carrier->reap();
    left = room();
  }
  if (left >= wanted) return wanted;
  return left >= std::max<size_t>(1, limits.threshold) ? left : 0;
}

// The pieces of a run, up to `wanted` bytes. @param block where staged chunks go; nullptr: nowhere
static size_t gather_run(const Chunk* chunks, size_t first, size_t end, size_t offset, size_t wanted,
                         StagedBlock* block, iovec* pieces) {
  size_t count = 0;
  size_t staged = 0;
  for (size_t i = first; i < end && wanted > 0; i++) {
    const size_t from = i == first ? offset : 0;
    const size_t take = std::min(chunks[i].bytes - from, wanted);
    if (take == 0) continue;
    const uint8_t* base = chunks[i].base + from;
    if (block != nullptr && chunks[i].staged) {
      std::memcpy(block->data() + staged, base, take);
      base = block->data() + staged;
      staged += take;
    }
    pieces[count++] = {const_cast<uint8_t*>(base), take};
    wanted -= take;
  }
  return count;
}

int StreamSender::send_zero_copy(StreamCarrier* carrier, const Chunk* chunks, const Run& run,
                                 size_t wanted, bool more) {
  size_t staged = 0;
  for (size_t i = run.chunk; i < run.end; i++) staged += chunks[i].staged ? run.left_of(chunks, i) : 0;
  const PlannedSend send = begin(staged, wanted, more);
  iovec pieces[kMaxPieces];
  const size_t count = gather_run(chunks, run.chunk, run.end, run.offset, wanted, send.block, pieces);
  const SendResult sent = carrier->zero_copy(pieces, count, send.flags);
  finish(send, sent);
  if (sent.result > 0 && static_cast<size_t>(sent.result) < wanted) {
    words_[kAccepted] += sent.result;
    return -EAGAIN;
  }
  return sent.result;
}

// Whatever the send's result is, finish() follows.
PlannedSend StreamSender::begin(size_t staged, size_t wanted, bool more) {
  PlannedSend send;
  send.bytes = wanted;
  send.block = staged > 0 ? shared_->staging->take(staged) : nullptr;
  send.flags = more ? MSG_MORE : 0;
  if (engine_ != StreamEngine::kIoUring) return send;
  // A send that shares its packet with an earlier one is reported as copied although nothing was
  // (io_uring/notif.c:io_notif_tw_complete).
  send.reliable = marked_ || ledger_.pending_sends() == 0;
  if (send.reliable) since_mark_ = 0;
  send.ends = since_mark_ + wanted >= chain_bytes(shared_->pins->budget(), shared_->busy_rings);
  if (send.ends) send.flags |= MSG_EOR;
  return send;
}

void StreamSender::finish(const PlannedSend& send, const SendResult& sent) {
  if (sent.takes_id) {
    book(sent, send.block, send.reliable);
    // A part does not end the record: the kernel marks the last byte only (net/ipv4/tcp.c:
    // tcp_sendmsg_locked).
    marked_ = send.ends && sent.result > 0 && static_cast<size_t>(sent.result) == send.bytes;
  } else if (sent.result > 0) {
    // Without a notification to come the kernel has let go of the bytes already.
    words_[kCopiedBytes] += sent.result;
    if (logs_) shared_->log.add(sent.result, -static_cast<double>(CopyCause::kSendFailed));
  }
  if (send.block != nullptr) shared_->staging->let_go(send.block);
  if (sent.result > 0 && static_cast<size_t>(sent.result) < send.bytes) words_[kPartialSends]++;
}

bool StreamSender::plan(StreamCarrier* carrier, const Chunk* chunks, size_t count, PlannedSend* send) {
  copying_ = CopyCause::kNone;
  const Run run = next_run(chunks, count, 0, 0);
  const bool is_one = count <= PlannedSend::kMostPieces && run.is_last && run.cause == CopyCause::kNone;
  if (!is_one || allowed(carrier, run.bytes) < run.bytes) return false;
  logs_ = probes_ = false;
  size_t staged = 0;
  for (size_t i = 0; i < count; i++) staged += chunks[i].staged ? chunks[i].bytes : 0;
  *send = begin(staged, run.bytes, false);
  send->count = gather_run(chunks, 0, count, 0, run.bytes, send->block, send->pieces);
  shared_->pins->add(static_cast<int64_t>(run.bytes));
  return true;
}

void StreamSender::conclude(const PlannedSend& send, const SendResult& sent) {
  words_[kEvents] = 0;
  shared_->pins->add(-static_cast<int64_t>(send.bytes));
  finish(send, sent);
  show();
}

void StreamSender::conclude_copy(const PlannedSend& send, int copied) {
  conclude(send, {copied, false, false});
  if (copied > 0) words_[kLateCopies]++;
}

void StreamSender::book(const SendResult& sent, StagedBlock* block, bool reliable) {
  const uint32_t bytes = sent.result > 0 ? static_cast<uint32_t>(sent.result) : 0;
  if (block != nullptr) shared_->staging->hold(block);
  const uint64_t id = ledger_.add(bytes, reliable && bytes > 0, block, now_ns());
  if (bytes == 0) return;
  if (probes_) {
    probe_id_ = id;
    words_[kProbe] = 0;
    probes_ = false;
  }
  shared_->pins->add(bytes);
  words_[kZeroCopySends]++;
  words_[kZeroCopyBytes] += bytes;
  if (sent.from_slot) words_[kRegisteredSends]++;
  if (logs_) shared_->log.add(bytes, static_cast<double>(id));
  since_reap_ += engine_ == StreamEngine::kIoUring ? bytes : 1;
  since_mark_ += bytes;
  if (engine_ == StreamEngine::kIoUring && !busy_) {
    busy_ = true;
    shared_->busy_rings++;
  }
}

int StreamSender::send_copy(StreamCarrier* carrier, const Chunk* chunks, const Run& run, size_t wanted,
                            CopyCause cause) {
  iovec pieces[kMaxPieces];
  const size_t count = gather_run(chunks, run.chunk, run.end, run.offset, wanted, nullptr, pieces);
  const int sent = carrier->copy(pieces, count, !run.is_last || wanted < run.bytes ? MSG_MORE : 0);
  if (sent == -ENOBUFS) return -EAGAIN;
  if (sent <= 0) return sent;
  words_[kCopiedBytes] += sent;
  if (logs_) shared_->log.add(sent, -static_cast<double>(cause));
  if (static_cast<size_t>(sent) == wanted) return sent;
  words_[kPartialSends]++;
  words_[kAccepted] += sent;
  return -EAGAIN;
}

// A zero-copy send failed with EFAULT: one of its chunks can be read and not pinned. Which one shows when
// the first large one goes alone.
int StreamSender::find_unpinnable(StreamCarrier* carrier, Chunk* chunks, const Run& run, size_t wanted) {
  size_t suspect = run.chunk;
  while (suspect + 1 < run.end && !is_large(chunks[suspect])) suspect++;
  Run through = run;
  through.end = suspect + 1;
  through.bytes = 0;
  for (size_t i = run.chunk; i <= suspect; i++) through.bytes += run.left_of(chunks, i);
  through.is_last = run.is_last && through.end == run.end;
  if (through.bytes < wanted) {
    const int alone = send_zero_copy(carrier, chunks, through, through.bytes, true);
    if (alone != -EFAULT) return answer(carrier, chunks, through, through.bytes, alone);
  }
  const size_t bytes = std::min(through.bytes, wanted);
  const int copied = send_copy(carrier, chunks, through, bytes, CopyCause::kUnpinnable);
  if (copied < 0 && copied != -EAGAIN) return copied;
  chunks[suspect].cause = CopyCause::kUnpinnable;
  words_[kUnpinnableSends]++;
  words_[kSuspect] = static_cast<double>(suspect);
  words_[kEvents] = static_cast<double>(static_cast<uint32_t>(words_[kEvents]) | kEventUnpinnable);
  return copied;
}

}  // namespace msg_zerocopy
