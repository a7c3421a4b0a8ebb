// The hash by which a buffer that changed while it was being sent is found.
#include "kernel/hash.h"

#include <napi.h>

#include "node/arguments.h"

namespace msg_zerocopy {
namespace {

// hashBytes(view) -> bigint. A detached view hashes as an empty one.
Napi::Value hash_view(const Napi::CallbackInfo& info) {
  const Bytes bytes = bytes_of(info.Env(), info[0]);
  return Napi::BigInt::New(info.Env(), hash_bytes(bytes.data, bytes.size));
}

}  // namespace

void export_hash(Napi::Env, Napi::Object exports) {
  export_functions(exports, {
      {"hashBytes", hash_view},
  });
}

}  // namespace msg_zerocopy
