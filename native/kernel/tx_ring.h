// A packet socket's transmit ring (PACKET_TX_RING, TPACKET_V2): frames that the kernel sends from
// where they stand. Knows nothing of Node or of libuv.
// Source: Documentation/networking/packet_mmap.rst, net/packet/af_packet.c:tpacket_snd.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace msg_zerocopy {

struct RingShape {
  uint32_t frame_bytes;  // one slot, header included: a multiple of 16
  uint32_t frames;
  uint32_t block_bytes;  // a multiple of the page size and of frame_bytes
};

// The memory of a ring, which outlives the socket while a view of it exists.
class RingMemory {
 public:
  RingMemory(void* base, size_t bytes) : base_(base), bytes_(bytes) {}
  ~RingMemory();
  RingMemory(const RingMemory&) = delete;
  RingMemory& operator=(const RingMemory&) = delete;
  uint8_t* base() const { return static_cast<uint8_t*>(base_); }
  size_t bytes() const { return bytes_; }

 private:
  void* base_;
  size_t bytes_;
};

class TxRing {
 public:
  // Turns `fd` into a ring sender. 0 or -errno.
  int open(int fd, const RingShape& shape);

  // The same over memory that stands already.
  void use(std::shared_ptr<RingMemory> memory, const RingShape& shape);

  // Where a frame's bytes start within its slot.
  static size_t data_offset();

  // Hands `count` consecutive slots to the kernel, from `first` on and across the wrap.
  void commit(uint32_t first, const uint32_t* lengths, uint32_t count);
  // Has the kernel send what was committed, to `name` (absent: as the socket is bound). Bytes that
  // it took, or -errno: of a wrong frame, or because memory or the device's queue ran out.
  int kick(int fd, const void* name, size_t name_bytes);
  // How many of `count` consecutive slots from `first` on the kernel has taken.
  uint32_t taken(uint32_t first, uint32_t count) const;
  // How many of them it has given back.
  uint32_t released(uint32_t first, uint32_t count) const;
  // Whether the kernel found the frame wrong: it looks at none behind it then.
  bool is_wrong(uint32_t slot) const;
  // commit(), kick() and taken() in one.
  uint32_t hand(int fd, uint32_t first, const uint32_t* lengths, uint32_t count, const void* name,
                size_t name_bytes);
  // What kick() said within the last hand().
  int kicked() const { return kicked_; }
  // Takes slots back that the kernel has not taken.
  void revoke(uint32_t first, uint32_t count);

  const std::shared_ptr<RingMemory>& memory() const { return memory_; }

 private:
  uint32_t* status(uint32_t slot) const;
  uint32_t count_without(uint32_t bits, uint32_t first, uint32_t count) const;

  RingShape shape_ = {0, 0, 0};
  int kicked_ = 0;
  std::shared_ptr<RingMemory> memory_;
};

}  // namespace msg_zerocopy
