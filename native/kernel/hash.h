// A fast hash of memory, to notice that it was changed. Not cryptographic: it stands up to mistakes and
// not to malice.
#pragma once

#include <cstddef>
#include <cstdint>

namespace msg_zerocopy {

// A change within one word of eight bytes, counted from the start, is always noticed: every step is a
// bijection of that word. Words are read in the machine's byte order, so values are compared within one
// process only.
uint64_t hash_bytes(const uint8_t* data, size_t size);

}  // namespace msg_zerocopy
