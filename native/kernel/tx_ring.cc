#include "kernel/tx_ring.h"

#include <linux/if_packet.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "kernel/sys.h"

namespace msg_zerocopy {

RingMemory::~RingMemory() { munmap(base_, bytes_); }

int TxRing::open(int fd, const RingShape& shape) {
  const int versioned = set_option(fd, SOL_PACKET, PACKET_VERSION, TPACKET_V2);
  if (versioned < 0) return versioned;
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
  // Not make_shared: see node/env.h.
  use(std::shared_ptr<RingMemory>(new RingMemory(base, bytes)), shape);
  return 0;
}

void TxRing::use(std::shared_ptr<RingMemory> memory, const RingShape& shape) {
  memory_ = std::move(memory);
  shape_ = shape;
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

int TxRing::kick(int fd, const void* name, size_t name_bytes) {
  ssize_t sent;
  do {
    sent = sendto(fd, nullptr, 0, MSG_DONTWAIT | MSG_NOSIGNAL, static_cast<const sockaddr*>(name),
                  static_cast<socklen_t>(name_bytes));
  } while (sent < 0 && errno == EINTR);
  return sent < 0 ? -errno : static_cast<int>(sent);
}

uint32_t TxRing::count_without(uint32_t bits, uint32_t first, uint32_t count) const {
  uint32_t found = 0;
  // A timestamp may stand beside them, in the upper bits.
  while (found < count && (__atomic_load_n(status(first + found), __ATOMIC_ACQUIRE) & bits) == 0) {
    found++;
  }
  return found;
}

uint32_t TxRing::taken(uint32_t first, uint32_t count) const {
  return count_without(TP_STATUS_SEND_REQUEST | TP_STATUS_WRONG_FORMAT, first, count);
}

uint32_t TxRing::released(uint32_t first, uint32_t count) const {
  return count_without(TP_STATUS_SEND_REQUEST | TP_STATUS_SENDING | TP_STATUS_WRONG_FORMAT, first,
                       count);
}

uint32_t TxRing::hand(int fd, uint32_t first, const uint32_t* lengths, uint32_t count, const void* name,
                      size_t name_bytes) {
  commit(first, lengths, count);
  kicked_ = kick(fd, name, name_bytes);
  return taken(first, count);
}

bool TxRing::is_wrong(uint32_t slot) const {
  return count_without(TP_STATUS_WRONG_FORMAT, slot, 1) == 0;
}

void TxRing::revoke(uint32_t first, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) {
    __atomic_store_n(status(first + i), TP_STATUS_AVAILABLE, __ATOMIC_RELEASE);
  }
}

}  // namespace msg_zerocopy
