#include "kernel/stream_write.h"

namespace msg_zerocopy {

void LatencyWords::observe(double milliseconds) {
  if (words == nullptr) return;
  size_t bucket = 0;
  while (bucket < bounds && milliseconds > words[bucket]) bucket++;
  words[bounds + bucket]++;
  words[2 * bounds + 1] += milliseconds;
}

void SendLog::add(double bytes, double fate) {
  const auto at = static_cast<size_t>(words[0]);
  if (at > 0 && fate < 0 && words[2 * at] == fate) {
    words[2 * at - 1] += bytes;
    return;
  }
  words[1 + 2 * at] = bytes;
  words[2 + 2 * at] = fate;
  words[0]++;
}

void plan_write(Chunk* chunks, size_t count, size_t most_staged) {
  const auto set = [&](size_t from, size_t end, bool staged, CopyCause cause) {
    for (size_t i = from; i < end; i++) {
      chunks[i].staged = staged;
      chunks[i].cause = cause;
    }
  };
  for (size_t i = 0; i < count;) {
    const ChunkKind kind = chunks[i].kind;
    if (kind != ChunkKind::kSmall) {
      set(i, i + 1, false,
          kind == ChunkKind::kDenied       ? CopyCause::kSource
          : kind == ChunkKind::kUnpinnable ? CopyCause::kUnpinnable
                                           : CopyCause::kNone);
      i++;
      continue;
    }
    size_t end = i;
    size_t bytes = 0;
    while (end < count && chunks[end].kind == ChunkKind::kSmall) bytes += chunks[end++].bytes;
    const bool beside = (i > 0 && chunks[i - 1].kind == ChunkKind::kLarge) ||
                        (end < count && chunks[end].kind == ChunkKind::kLarge);
    const bool staged = beside && bytes <= most_staged;
    set(i, end, staged, staged ? CopyCause::kNone : CopyCause::kBelowThreshold);
    i = end;
  }
}

}  // namespace msg_zerocopy
