// Datagram sockets (UDP, raw, packet): batches out by sendmmsg(2), batches in by recvmmsg(2), and the
// control messages that travel with each. Knows nothing of Node or of libuv.
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>

namespace msg_zerocopy {

constexpr size_t kBatch = 64;            // datagrams for one system call
constexpr size_t kPiecesPerBatch = 1024;  // UIO_MAXIOV, include/uapi/linux/uio.h
constexpr size_t kNameBytes = 32;        // holds sockaddr_in, sockaddr_in6 and sockaddr_ll

// What goes with one datagram. Its layout is shared with JavaScript as 32-bit words
// (lib/datagram/metadata.ts); scripts/check-binding.ts compares the two.
struct DatagramMetadata {
  uint32_t pieces;           // how many buffers make up the datagram
  uint32_t bytes;            // their bytes together: a buffer that was detached since is noticed
  uint32_t segment_size;     // UDP_SEGMENT; 0: none
  uint32_t tos;              // kNoTos: none
  uint32_t tos_version;      // 4 or 6: at which level `tos` is given
  uint32_t source_version;   // 0: no source and no interface; 4 or 6
  uint32_t interface_index;  // outgoing interface; 0: any
  uint32_t name_bytes;       // length of `name`; 0: the socket is connected
  uint8_t name[kNameBytes];
  uint8_t source[16];
};
static_assert(sizeof(DatagramMetadata) == 80, "metadata are shared with JavaScript");

constexpr uint32_t kNoTos = 0xffffffff;

// Sends up to kBatch datagrams of `pieces` with the flags of sendmsg(2), in order, and stops at the
// first that fails. Answers how many went, or -errno of the first.
int send_datagrams(int fd, const DatagramMetadata* metadata, iovec* pieces, size_t count, int flags);

// What came with one datagram, shared with JavaScript like DatagramMetadata.
struct Arrival {
  uint32_t offset;  // in the memory that it was received into
  uint32_t bytes;
  uint32_t flags;         // kArrivalTruncated
  uint32_t segment_size;  // UDP_GRO: the datagram is several of this size; 0: one
  uint32_t tos;           // kNoTos: unknown
  uint32_t interface_index;
  uint32_t destination_version;  // 0: unknown; 4 or 6
  uint32_t name_bytes;
  uint8_t name[kNameBytes];
  uint8_t destination[16];
  uint32_t vlan;  // a tag that the kernel took out of the frame: its ethertype << 16 | TCI; 0: none
};
static_assert(sizeof(Arrival) == 84, "arrivals are shared with JavaScript");

constexpr uint32_t kArrivalTruncated = 1;

// What memory for one datagram takes: the largest IP datagram, a link header and a virtio header. An
// odd number of cache lines: slots that start at equal offsets in their pages would share the sets of
// the cache.
constexpr size_t kSlotBytes = 65'536 + 64 * 5;

// Receives datagrams, each into a slot of `memory`, which is touched only as far as they reach, and
// describes them in `arrivals`. Answers how many, kBatch at most, or -errno; -EINVAL without a slot.
int receive_datagrams(int fd, uint8_t* memory, size_t bytes, Arrival* arrivals);

// Attaches a classic BPF program (SO_ATTACH_FILTER) of `count` sock_filter instructions.
int attach_filter(int fd, const void* instructions, size_t count);

// Datagrams that the kernel dropped on this socket because its buffer was full (SO_MEMINFO, Linux
// 4.12), or -errno.
int64_t receive_drops(int fd);

// Drops what waits to be received. Whether something did, or was lost for want of room.
bool discard_received(int fd);

int bind_name(int fd, const void* name, size_t bytes);
int connect_name(int fd, const void* name, size_t bytes);
// The socket's own name, or its peer's; bytes written to `name` (at least kNameBytes), or -errno.
int local_name(int fd, void* name);
int peer_name(int fd, void* name);

}  // namespace msg_zerocopy
