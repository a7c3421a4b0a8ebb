// One connection's writes: what of a write goes without copying and what is copied, in one pass over its
// chunks; partial sends, refusals and limits; and what the kernel still references. How bytes reach the
// kernel is the carrier's business (sendmsg(2), or a ring). Decides nothing that JavaScript can decide, and
// knows nothing of Node.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernel/pins.h"
#include "kernel/send_ledger.h"
#include "kernel/staging.h"
#include "kernel/stream_write.h"

namespace msg_zerocopy {

// Words of one connection that JavaScript reads without a call. Doubles, which are exact to 2^53.
enum StreamWord : size_t {
  kNextId,
  kReleasedBelow,
  kPendingBytes,
  kPendingSends,
  kAccepted,  // bytes of the present write that the kernel took
  kEvents,    // of the last write: StreamEvent bits
  kSuspect,   // with kEventUnpinnable: which chunk
  kKnownSends,    // sends of which the kernel said reliably how they went ...
  kKnownCopies,   // ... and those of them that it copied
  kProbe,     // 0: no answer yet; 1: the probe was not copied; 2: it was
  kZeroCopySends,
  kZeroCopyBytes,
  kRegisteredSends,
  kKernelCopiedSends,
  kUnknownSends,
  kCopiedBytes,
  kNotifications,
  kEnobufs,
  kBudgetCopies,
  kUnpinnableSends,
  kPartialSends,
  kStrayNotifications,
  kLostNotifications,
  kLateCopies,  // copies in place of a zero-copy send that shared a call
  kStreamWords = 24,
};

// Events of a write, reported beside its result.
enum StreamEvent : uint32_t {
  kEventEnobufs = 1,      // no room for one more send beside those in flight
  kEventLimit = 2,        // no room for one send, with nothing in flight
  kEventRefused = 4,      // the kernel refuses zero copy by this engine on this connection
  kEventUnpinnable = 8,   // the memory of chunk kSuspect can be read and not pinned
  kEventRingLost = 16,    // the process changed its user: the ring is no longer used
};

struct SendResult {
  int result;      // bytes, or -errno
  bool takes_id;   // a notification will say when the kernel lets go
  bool from_slot;  // from registered memory, which is pinned already
};

// How a connection's bytes reach the kernel.
class StreamCarrier {
 public:
  virtual SendResult zero_copy(const iovec* pieces, size_t count, int flags) = 0;
  virtual int copy(const iovec* pieces, size_t count, int flags) = 0;
  // Reads the notifications that are there.
  virtual void reap() = 0;
  // Requests a notification when the socket takes bytes again. 0 or -errno.
  virtual int arm() = 0;

 protected:
  ~StreamCarrier() = default;
};

enum class StreamEngine : uint8_t { kMsgZeroCopy, kIoUring };

// The options of a connection.
struct StreamLimits {
  int64_t most_pending;
  size_t threshold;
  size_t most_staged;
};

// What the connections of one environment share.
struct StreamShared {
  Pins* pins;
  Staging* staging;
  LatencyWords latency;
  SendLog log;
  uint32_t busy_rings = 0;  // connections with bytes in flight by the ring
};

struct WriteRules {
  CopyCause forced;  // kNone: what may go without copying does
  bool is_probe;
  bool logs;
};

// A zero-copy send that is decided and not made yet. Its bytes are reserved, and its staged chunks are copied.
struct PlannedSend {
  static constexpr size_t kMostPieces = 2;  // of one that shares a call
  size_t bytes = 0;
  int flags = 0;               // of send(2)
  bool reliable = true;        // a report that the kernel copied it would be true
  bool ends = false;           // the packet, see chain_bytes()
  StagedBlock* block = nullptr;
  iovec pieces[kMostPieces];
  size_t count = 0;
};

// How the send of one id went, for reports.
struct Fate {
  uint32_t id;
  bool copied;
  bool unknown;
};

class StreamSender {
 public:
  // `words`: kStreamWords of this connection. `first_id`: see SendLedger.
  StreamSender(StreamEngine engine, StreamShared* shared, double* words, uint64_t first_id);
  ~StreamSender();
  StreamSender(const StreamSender&) = delete;
  StreamSender& operator=(const StreamSender&) = delete;

  StreamLimits limits = {INT64_MAX, 1, 4096};

  // Sends what comes behind the first `skip` bytes of the chunks. kDone; kWaiting: armed, to be called
  // again with kAccepted to skip; kAgain: the log is full, at once; or -errno.
  static constexpr int kDone = 0;
  static constexpr int kWaiting = 1;
  static constexpr int kAgain = 2;
  int write(StreamCarrier* carrier, Chunk* chunks, size_t count, uint64_t skip, const WriteRules& rules);

  // A write that shares a call with those of other connections: plan() decides on one zero-copy send of all its
  // chunks, which were planned by plan_write(); false: it cannot go so. The caller makes the send, and concludes
  // with its result, or with that of a copy in its place.
  bool plan(StreamCarrier* carrier, const Chunk* chunks, size_t count, PlannedSend* send);
  void conclude(const PlannedSend& send, const SendResult& sent);
  void conclude_copy(const PlannedSend& send, int copied);

  // The kernel let go of a range.
  void released(uint32_t lo, uint32_t hi, bool copied);
  void lost(uint32_t entries);

  uint64_t next_id() const { return ledger_.next(); }
  uint64_t pending_sends() const { return ledger_.pending_sends(); }

  // Whether something was released since this was asked last.
  bool take_progress();
  // Whether JavaScript is to look how sends went: a probe was answered, or copies add up.
  bool take_news();
  void set_reporting(bool reporting) { reporting_ = reporting; }
  std::vector<Fate>* fates() { return &fates_; }

 private:
  struct Run;
  Run next_run(const Chunk* chunks, size_t count, size_t chunk, size_t offset) const;
  int send_run(StreamCarrier* carrier, Chunk* chunks, const Run& run);
  int send_zero_copy(StreamCarrier* carrier, const Chunk* chunks, const Run& run, size_t wanted, bool more);
  int send_copy(StreamCarrier* carrier, const Chunk* chunks, const Run& run, size_t wanted, CopyCause cause);
  int answer(StreamCarrier* carrier, const Chunk* chunks, const Run& run, size_t wanted, int sent);
  int find_unpinnable(StreamCarrier* carrier, Chunk* chunks, const Run& run, size_t wanted);
  size_t allowed(StreamCarrier* carrier, size_t wanted);
  CopyCause refuse(int error, size_t wanted);
  PlannedSend begin(size_t staged, size_t wanted, bool more);
  void finish(const PlannedSend& send, const SendResult& sent);
  void book(const SendResult& sent, StagedBlock* block, bool reliable);
  void show();

  const StreamEngine engine_;
  StreamShared* const shared_;
  double* const words_;
  SendLedger ledger_;
  std::vector<Fate> fates_;
  CopyCause copying_ = CopyCause::kNone;  // of the rest of the present write
  bool logs_ = false;
  bool probes_ = false;
  bool reporting_ = false;
  bool progress_ = false;
  bool news_ = false;
  bool busy_ = false;
  // By the ring: whether no send shares its packet with the next, and bytes since the last mark.
  bool marked_ = true;
  uint64_t since_mark_ = 0;
  uint64_t since_reap_ = 0;  // sends, or bytes by the ring
  uint64_t probe_id_ = UINT64_MAX;
  uint64_t known_ = 0;  // since the last news
  uint64_t known_copies_ = 0;
};

}  // namespace msg_zerocopy
