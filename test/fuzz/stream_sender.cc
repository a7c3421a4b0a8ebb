// Writes of a stream against a kernel that takes any part, refuses in any way, and lets go in any order: every
// byte goes once and in order, memory that the kernel references does not change, and nothing is left over.
#include "kernel/stream_sender.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <map>

#include "target.h"

namespace {

using namespace msg_zerocopy;
using fuzz::expect;

constexpr size_t kPageBytes = 4096;
constexpr size_t kWrites = 24;
constexpr size_t kTurns = 400;

uint8_t byte_at(uint64_t position) { return static_cast<uint8_t>(position * 131 + (position >> 8)); }

// Takes bytes as the input says.
class Kernel final : public StreamCarrier {
 public:
  Kernel(fuzz::Input* input, StreamEngine engine) : input_(input), engine_(engine) {}

  StreamSender* sender = nullptr;
  uint64_t wire = 0;  // bytes taken
  bool dead = false;

  SendResult zero_copy(const iovec* pieces, size_t count, int flags) override {
    expect(engine_ == StreamEngine::kIoUring || (flags & MSG_EOR) == 0, "marks are the ring's");
    const size_t wanted = size_of(pieces, count);
    const int answer = answer_for(wanted, true);
    const bool ring = engine_ == StreamEngine::kIoUring;
    // A request may fail and take an id; one that went may need no notification.
    const bool takes_id = ring ? input_->byte() % 8 != 0 : answer > 0;
    if (answer > 0) take(pieces, count, static_cast<size_t>(answer), takes_id);
    else if (takes_id) pinned_[next_id_] = {};
    if (takes_id) next_id_++;
    return {answer, takes_id, false};
  }

  int copy(const iovec* pieces, size_t count, int) override {
    const int answer = answer_for(size_of(pieces, count), false);
    if (answer > 0) take(pieces, count, static_cast<size_t>(answer), false);
    return answer;
  }

  void reap() override { let_go(input_->byte() % 4); }
  int arm() override {
    waits = true;
    return 0;
  }
  bool waits = false;

  // Lets go of some of what is pinned, in ranges from anywhere.
  void let_go(size_t ranges) {
    for (size_t i = 0; i < ranges && !pinned_.empty(); i++) {
      auto at = pinned_.begin();
      std::advance(at, input_->byte() % pinned_.size());
      const uint64_t lo = at->first;
      uint64_t hi = lo;
      for (size_t more = input_->byte() % 4; more > 0 && pinned_.count(hi + 1) > 0; more--) hi++;
      release(lo, hi);
    }
  }
  void let_go_of_all() {
    while (!pinned_.empty()) release(pinned_.begin()->first, pinned_.begin()->first);
  }
  uint64_t first_id = 0;
  void start_at(uint64_t id) { next_id_ = first_id = id; }

 private:
  struct Piece {
    const uint8_t* base;
    size_t bytes;
    uint64_t position;
  };

  static size_t size_of(const iovec* pieces, size_t count) {
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++) bytes += pieces[i].iov_len;
    expect(bytes > 0, "nothing is never sent");
    return bytes;
  }

  int answer_for(size_t wanted, bool zero_copy) {
    static constexpr int kErrors[] = {EAGAIN, EINTR, ENOBUFS, ENOMEM, EFAULT, EOPNOTSUPP, ECANCELED, EPIPE};
    const uint8_t choice = input_->byte();
    if (choice < 160 || input_->left() == 0) return static_cast<int>(wanted);
    if (choice < 208) return static_cast<int>(1 + input_->half() % wanted);
    const int error = kErrors[choice % 8];
    // What a copying send does not answer: it pins nothing, and needs no ring.
    if (!zero_copy && error != EAGAIN && error != EINTR && error != EPIPE) return -EAGAIN;
    if (error == EPIPE) dead = true;
    return -error;
  }

  void take(const iovec* pieces, size_t count, size_t bytes, bool pins) {
    std::vector<Piece> taken;
    for (size_t i = 0; i < count && bytes > 0; i++) {
      const size_t part = std::min(bytes, pieces[i].iov_len);
      const auto* base = static_cast<const uint8_t*>(pieces[i].iov_base);
      check({base, part, wire});
      taken.push_back({base, part, wire});
      wire += part;
      bytes -= part;
    }
    if (pins) pinned_[next_id_] = taken;
  }

  static void check(const Piece& piece) {
    for (size_t i = 0; i < piece.bytes; i++) {
      expect(piece.base[i] == byte_at(piece.position + i), "the bytes of the stream, in order");
    }
  }

  void release(uint64_t lo, uint64_t hi) {
    for (uint64_t id = lo; id <= hi; id++) {
      for (const Piece& piece : pinned_[id]) check(piece);
      pinned_.erase(id);
    }
    sender->released(static_cast<uint32_t>(lo), static_cast<uint32_t>(hi), input_->byte() % 2 != 0);
  }

  fuzz::Input* input_;
  StreamEngine engine_;
  uint64_t next_id_ = 0;
  std::map<uint64_t, std::vector<Piece>> pinned_;
};

struct Write {
  std::vector<std::vector<uint8_t>> memory;
  std::vector<Chunk> chunks;
  uint64_t bytes = 0;
};

Write next_write(fuzz::Input* input, uint64_t position) {
  Write write;
  const size_t count = 1 + input->byte() % 6;
  for (size_t i = 0; i < count; i++) {
    const auto kind = static_cast<ChunkKind>(input->byte() % 4);
    const size_t bytes = 1 + input->half() % (kind == ChunkKind::kSmall ? 3000 : 20000);
    std::vector<uint8_t> memory(bytes);
    for (size_t at = 0; at < bytes; at++) memory[at] = byte_at(position + at);
    position += bytes;
    write.bytes += bytes;
    write.memory.push_back(std::move(memory));
    write.chunks.push_back({nullptr, bytes, kind});
  }
  for (size_t i = 0; i < count; i++) write.chunks[i].base = write.memory[i].data();
  return write;
}

// A write that shares a call: bytes that the socket took, or -errno; 0 where it is to be written at once.
int share(fuzz::Input* input, Kernel* kernel, StreamSender* sender, const std::vector<Chunk>& chunks) {
  PlannedSend send;
  if (!sender->plan(kernel, chunks.data(), chunks.size(), &send)) return 0;
  kernel->let_go(input->byte() % 3);
  if (input->byte() % 4 == 0) {
    const int copied = kernel->copy(send.pieces, send.count, 0);
    sender->conclude_copy(send, copied);
    return copied;
  }
  const SendResult sent = kernel->zero_copy(send.pieces, send.count, send.flags);
  sender->conclude(send, sent);
  return sent.result;
}

void a_life(fuzz::Input* input) {
  const StreamEngine engine = input->byte() % 2 == 0 ? StreamEngine::kMsgZeroCopy : StreamEngine::kIoUring;
  Pins pins(kPageBytes);
  pins.set_budget(static_cast<int64_t>(input->word() % (4u << 20)));
  Staging staging;
  double latency[2 * 2 + 2] = {1, 10};
  double log[1 + 2 * SendLog::kEntries] = {};
  StreamShared shared = {&pins, &staging, {}, {}};
  shared.latency.words = latency;
  shared.latency.bounds = 2;
  shared.log.words = log;
  double words[kStreamWords];
  std::vector<Write> alive;
  Kernel kernel(input, engine);
  // Across the wrap of the kernel's counter.
  kernel.start_at((uint64_t{1} << 32) - input->byte());
  StreamSender sender(engine, &shared, words, kernel.first_id);
  kernel.sender = &sender;
  sender.limits = {static_cast<int64_t>(input->word() % (1u << 20)), input->half(), input->half()};
  uint64_t written = 0;
  for (size_t i = 0; i < kWrites && input->left() > 0 && !kernel.dead; i++) {
    alive.push_back(next_write(input, written));
    Write& write = alive.back();
    bool logs = input->byte() % 4 == 0;
    uint64_t skip = 0;
    double logged = 0;
    for (size_t turn = 0;; turn++) {
      expect(turn < kTurns, "a write comes to its end");
      std::vector<Chunk> chunks = write.chunks;
      plan_write(chunks.data(), chunks.size(), sender.limits.most_staged);
      if (turn == 0 && engine == StreamEngine::kIoUring && input->byte() % 2 == 0) {
        const int shared = share(input, &kernel, &sender, chunks);
        if (shared > 0) skip = static_cast<uint64_t>(shared);
        if (skip > 0) logs = false;
        expect(kernel.wire == written + skip, "what is shared is what the kernel took");
        expect(pins.total() == static_cast<int64_t>(words[kPendingBytes]), "nothing stays reserved");
        if (kernel.dead || skip == write.bytes) break;
      }
      const int status = sender.write(&kernel, chunks.data(), chunks.size(), skip,
                                      {CopyCause::kNone, input->byte() % 8 == 0, logs});
      skip = static_cast<uint64_t>(words[kAccepted]);
      expect(kernel.wire == written + skip, "what is accepted is what the kernel took");
      expect(words[kNextId] == static_cast<double>(sender.next_id()) &&
                 words[kPendingSends] == static_cast<double>(sender.pending_sends()),
             "the words say how things stand, also behind an error");
      for (size_t at = 0; logs && at < static_cast<size_t>(log[0]); at++) logged += log[1 + 2 * at];
      expect(!logs || logged == static_cast<double>(skip), "the log names every byte");
      if (status == StreamSender::kDone) {
        expect(skip == write.bytes, "done: with all of it");
        break;
      }
      if (status < 0) {
        expect(status == -EPIPE || status == -EFAULT || status == -EINVAL, "errors are the kernel's");
        kernel.dead = true;
        break;
      }
      if (status == StreamSender::kWaiting) expect(kernel.waits, "it waits for space");
      kernel.let_go(input->byte() % 3);
    }
    written += skip;
    kernel.let_go(input->byte() % 3);
  }
  kernel.let_go_of_all();
  expect(words[kPendingSends] == 0 && words[kPendingBytes] == 0, "nothing is pending");
  expect(words[kReleasedBelow] == words[kNextId], "every id is released");
  expect(pins.total() == 0, "nothing is pinned");
  expect(staging.held() == 0, "no block is held");
  expect(words[kZeroCopyBytes] + words[kCopiedBytes] == static_cast<double>(kernel.wire), "every byte counts");
  expect(words[kStrayNotifications] == 0, "no id was unknown");
  expect(shared.busy_rings == 0, "no ring is busy");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::Input input(data, size);
  a_life(&input);
  return 0;
}
