// The fixed-width record that crosses from the reactor to JavaScript: four 32-bit words, laid out
// as lib/native/binding.ts declares (scripts/check-binding.ts compares the two).
#pragma once

#include <cstddef>
#include <cstdint>

namespace msg_zerocopy {

enum RecordFlag : uint32_t {
  kRange = 1,     // lo and hi name released send ids
  kCopied = 2,    // the kernel says of id `lo` that it copied
  kWritable = 4,  // the socket takes bytes again (or is dead: the next send fails)
  kHangup = 16,   // with kWritable: the connection is dead
  kPeerData = 8,  // the peer sent data after this side was destroyed
  kReadable = 32,  // datagrams, or the socket's error, wait to be received
  kReleased = 64,  // of a stream: the kernel released something that a callback waits for
  kNews = 128,     // of a stream: its words say something of the route
  kLost = 256,     // `lo` entries of the error queue were truncated: ids may never be released
  kUnknown = 512,  // with kRange: it is unknown whether the kernel copied
};

// Flags of a stream's write; a CopyCause that holds for all of it stands in the bits above.
constexpr uint32_t kWriteProbe = 1;
constexpr uint32_t kWriteLogs = 2;
constexpr uint32_t kWriteCauseShift = 8;

// Of the export that sends datagrams.
constexpr uint32_t kSendZeroCopy = 1;

// Characters of the text that sendNow() takes: an HTTP header.
constexpr uint32_t kMostText = 4096;

struct Record {
  uint32_t port;
  uint32_t lo;
  uint32_t hi;
  uint32_t flags;
};

constexpr size_t kRecordWords = 4;
static_assert(sizeof(Record) == kRecordWords * sizeof(uint32_t), "records cross as 32-bit words");

}  // namespace msg_zerocopy
