// The transmit ring's bookkeeping over memory that a model of the kernel shares: any order of commits,
// takes, returns, wrong frames, timestamps and revocations.
#include "kernel/tx_ring.h"

#include <linux/if_packet.h>
#include <sys/mman.h>

#include "target.h"

namespace {

using fuzz::expect;
using msg_zerocopy::RingMemory;
using msg_zerocopy::RingShape;
using msg_zerocopy::TxRing;

constexpr uint32_t kFrameBytes = 64;  // TPACKET2_HDRLEN and a little
constexpr uint32_t kMostFrames = 64;  // one page
constexpr uint8_t kFill = 0xa5;
static_assert(kFrameBytes >= TPACKET2_HDRLEN, "a header fits into a frame");

// One mapping for all runs: making one for each would be most of the time.
std::shared_ptr<RingMemory> memory() {
  static const std::shared_ptr<RingMemory> kept = [] {
    const size_t bytes = kFrameBytes * kMostFrames;
    void* base = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    expect(base != MAP_FAILED, "memory for the ring");
    return std::make_shared<RingMemory>(base, bytes);
  }();
  return kept;
}

class Model {
 public:
  explicit Model(uint32_t frames) : frames_(frames), status_(frames, 0), length_(frames, 0) {
    std::memset(memory()->base(), kFill, memory()->bytes());
    for (uint32_t i = 0; i < frames; i++) {
      header(i)->tp_status = 0;
      header(i)->tp_len = 0;
    }
    ring_.use(memory(), {kFrameBytes, frames, kFrameBytes * frames});
  }

  void commit(uint32_t first, uint32_t count, fuzz::Input* input) {
    std::vector<uint32_t> lengths;
    for (uint32_t i = 0; i < count; i++) {
      lengths.push_back(input->half());
      status_[(first + i) % frames_] = TP_STATUS_SEND_REQUEST;
      length_[(first + i) % frames_] = lengths.back();
    }
    ring_.commit(first, lengths.data(), count);
  }

  // The kernel's own writes, timestamps included.
  void write(uint32_t slot, uint32_t status) {
    status_[slot % frames_] = status;
    header(slot % frames_)->tp_status = status;
  }

  void revoke(uint32_t first, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) status_[(first + i) % frames_] = TP_STATUS_AVAILABLE;
    ring_.revoke(first, count);
  }

  void compare(uint32_t first, uint32_t count) {
    const uint32_t waits = TP_STATUS_SEND_REQUEST | TP_STATUS_WRONG_FORMAT;
    const uint32_t taken = ring_.taken(first, count);
    const uint32_t released = ring_.released(first, count);
    expect(taken == without(waits, first, count), "what the kernel has taken");
    expect(released == without(waits | TP_STATUS_SENDING, first, count), "what it has given back");
    expect(released <= taken && taken <= count, "given back only what was taken");
    expect(ring_.is_wrong(first) == ((status_[first % frames_] & TP_STATUS_WRONG_FORMAT) != 0), "wrong");
  }

  // Nothing but statuses and lengths was written, and those of this ring's frames only.
  void expect_memory() {
    for (uint32_t slot = 0; slot < kMostFrames; slot++) {
      const uint8_t* frame = memory()->base() + slot * kFrameBytes;
      const bool used = slot < frames_;
      if (used) expect(header(slot)->tp_status == status_[slot], "the status of a frame");
      if (used) expect(header(slot)->tp_len == length_[slot], "the length of a frame");
      static_assert(offsetof(tpacket2_hdr, tp_status) == 0 && offsetof(tpacket2_hdr, tp_len) == 4, "");
      for (size_t i = used ? 8 : 0; i < kFrameBytes; i++) expect(frame[i] == kFill, "nothing else");
    }
  }

 private:
  static tpacket2_hdr* header(uint32_t slot) {
    return reinterpret_cast<tpacket2_hdr*>(memory()->base() + slot * kFrameBytes);
  }
  uint32_t without(uint32_t bits, uint32_t first, uint32_t count) const {
    uint32_t found = 0;
    while (found < count && (status_[(first + found) % frames_] & bits) == 0) found++;
    return found;
  }

  uint32_t frames_;
  std::vector<uint32_t> status_;
  std::vector<uint32_t> length_;
  TxRing ring_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::Input input(data, size);
  // lib/packet/options.ts makes powers of two only: slots are counted on across 2^32.
  const uint32_t frames = 1u << (input.byte() % 7);
  Model model(frames);
  for (size_t i = 0; i < 64 && input.left() > 0; i++) {
    const uint8_t choice = input.byte();
    const uint32_t first = (choice & 8) != 0 ? input.word() : input.byte();
    const uint32_t count = input.byte() % (frames + 1);
    switch (choice % 4) {
      case 0:
        model.commit(first, count, &input);
        break;
      case 1:
        model.write(first, (input.byte() & 7u) | ((choice & 16) != 0 ? TP_STATUS_TS_RAW_HARDWARE : 0u));
        break;
      case 2:
        model.revoke(first, count);
        break;
      default:
        break;
    }
    model.compare(first, count);
  }
  model.expect_memory();
  return 0;
}
