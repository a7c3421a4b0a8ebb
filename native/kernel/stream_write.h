// The chunks of a stream's write: which of them are copied, and why; and the log of how its parts were sent. Pure.
#pragma once

#include <cstddef>
#include <cstdint>

namespace msg_zerocopy {

// Why bytes are copied. In the order of COPY_CAUSES in lib/native/stream-words.ts.
enum class CopyCause : uint8_t {
  kNone,
  kBelowThreshold,
  kSource,
  kUnpinnable,
  kBudget,
  kEnobufs,
  kLimit,
  kRefused,
  kSendFailed,
  kRingLost,
  kElsewhere,  // JavaScript knows
};

enum class ChunkKind : uint8_t {
  kLarge,       // worth sending without copying
  kSmall,       // copied: beside a large one into memory of ours, else by the kernel
  kDenied,      // of options.source
  kUnpinnable,  // known from an earlier failure
};

struct Chunk {
  const uint8_t* base;
  size_t bytes;
  ChunkKind kind;
  // Filled in by the sender.
  bool staged = false;
  CopyCause cause = CopyCause::kNone;
};

// Decides what of a write's chunks is copied, and why. Pure.
void plan_write(Chunk* chunks, size_t count, size_t most_staged);

// Latencies from acceptance to release: upper bounds in milliseconds, as many counts and one more, the sum.
struct LatencyWords {
  double* words = nullptr;
  size_t bounds = 0;
  void observe(double milliseconds);
};

// What became of each part of a write, for those who asked: bytes and id, or bytes and -CopyCause.
struct SendLog {
  static constexpr size_t kEntries = 512;
  double* words = nullptr;  // the count, and pairs
  bool full() const { return words[0] >= static_cast<double>(kEntries); }
  void add(double bytes, double fate);
};

}  // namespace msg_zerocopy
