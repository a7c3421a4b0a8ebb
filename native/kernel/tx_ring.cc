#include "kernel/tx_ring.h"

#include <linux/if_packet.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <cerrno>

#include "kernel/sys.h"

namespace msg_zerocopy {

RingMemory::~RingMemory() { munmap(base_, bytes_); }

int TxRing::open(int fd, const RingShape& shape) {
  const int versioned = set_option(fd, SOL_PACKET, PACKET_VERSION, TPACKET_V2);
  if (versioned < 0) return versioned;
  const int skipping = set_option(fd, SOL_PACKET, PACKET_LOSS, 1);
  if (skipping < 0) return skipping;
  const uint32_t frames_per_block = shape.block_bytes / shape.frame_bytes;
  tpacket_req request;
  request.tp_block_size = shape.block_bytes;
  request.tp_block_nr = shape.frames / frames_per_block;
  request.tp_frame_size = shape.frame_bytes;
  request.tp_frame_nr = shape.frames;
  if (setsockopt(fd, SOL_PACKET, PACKET_TX_RING, &request, sizeof request) < 0) return -errno;
  const size_t bytes = static_cast<size_t>(request.tp_block_size) * request.tp_block_nr;
  void* base = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (base == MAP_FAILED) return -errno;
  shape_ = shape;
  memory_ = std::make_shared<RingMemory>(base, bytes);
  return 0;
}

size_t TxRing::data_offset() { return TPACKET2_HDRLEN - sizeof(sockaddr_ll); }

uint32_t* TxRing::status(uint32_t slot) const {
  uint8_t* frame = memory_->base() + static_cast<size_t>(slot % shape_.frames) * shape_.frame_bytes;
  return &reinterpret_cast<tpacket2_hdr*>(frame)->tp_status;
}

void TxRing::commit(uint32_t first, const uint32_t* lengths, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) {
    uint32_t* word = status(first + i);
    auto* header = reinterpret_cast<tpacket2_hdr*>(word);
    header->tp_len = lengths[i];
    // The kernel must see the frame before it sees the status.
    __atomic_store_n(word, TP_STATUS_SEND_REQUEST, __ATOMIC_RELEASE);
  }
}

int TxRing::kick(int fd) {
  ssize_t sent;
  do {
    sent = sendto(fd, nullptr, 0, MSG_DONTWAIT | MSG_NOSIGNAL, nullptr, 0);
  } while (sent < 0 && errno == EINTR);
  return sent < 0 ? -errno : static_cast<int>(sent);
}

uint32_t TxRing::released(uint32_t first, uint32_t count) const {
  uint32_t back = 0;
  // A timestamp may stand beside it, in the upper bits.
  constexpr uint32_t kBusy = TP_STATUS_SEND_REQUEST | TP_STATUS_SENDING | TP_STATUS_WRONG_FORMAT;
  while (back < count && (__atomic_load_n(status(first + back), __ATOMIC_ACQUIRE) & kBusy) == 0) back++;
  return back;
}

uint32_t TxRing::untouched(uint32_t first, uint32_t count) const {
  uint32_t waiting = 0;
  for (uint32_t i = 0; i < count; i++) {
    const uint32_t word = __atomic_load_n(status(first + i), __ATOMIC_ACQUIRE);
    if ((word & TP_STATUS_SEND_REQUEST) != 0) waiting++;
  }
  return waiting;
}

}  // namespace msg_zerocopy
