// The control messages that travel with a datagram: written from its metadata, read into an arrival.
// Pure: no system call.
#pragma once

#include <sys/socket.h>

#include <cstddef>

#include "kernel/datagram.h"

namespace msg_zerocopy {

constexpr size_t kControlBytes = 128;

// Writes what `metadata` asks for to `buffer` (kControlBytes, aligned as cmsghdr). Bytes written.
size_t write_control(const DatagramMetadata& metadata, char* buffer);

// Sets what the control messages of a received datagram say: segment_size, tos, interface_index,
// destination and its version. What none says stays as it is; tos becomes kNoTos.
void read_control(const msghdr& message, Arrival* arrival);

}  // namespace msg_zerocopy
