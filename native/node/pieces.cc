#include "node/pieces.h"

#include <algorithm>

namespace msg_zerocopy {

size_t gather(napi_env env, napi_value pieces, uint32_t first, size_t offset, size_t length,
              iovec* iov, size_t limit) {
  uint32_t available = 0;
  napi_get_array_length(env, pieces, &available);
  size_t count = 0;
  for (uint32_t i = first; i < available && count < limit && length > 0; i++) {
    napi_value piece;
    void* data = nullptr;
    size_t size = 0;
    // Raw Node-API: the C++ wrapper makes three more calls for each piece.
    if (napi_get_element(env, pieces, i, &piece) != napi_ok) break;
    if (napi_get_typedarray_info(env, piece, nullptr, &size, &data, nullptr, nullptr) != napi_ok) {
      break;
    }
    // The first piece is never used up; if it seems to be, it shrank or was detached: send nothing.
    if (size < offset || (size == offset && offset > 0)) return 0;
    if (size == 0) continue;
    const size_t take = std::min(size - offset, length);
    iov[count++] = {static_cast<char*>(data) + offset, take};
    length -= take;
    offset = 0;
  }
  return count;
}

}  // namespace msg_zerocopy
