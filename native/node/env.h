// Everything that belongs to one Node environment (the main thread or one worker). Nothing of Node's
// is static, so workers and two copies of the addon do not meet; the only process-wide state is the
// count of pinned bytes, because RLIMIT_MEMLOCK and memory belong to the process.
#pragma once

#include <napi.h>

#include <cstdint>
#include <memory>

#include "kernel/datagram.h"
#include "node/reactor.h"
#include "node/slabs.h"

namespace msg_zerocopy {

class Env {
 public:
  explicit Env(Napi::Env env) : env_(env) {}
  ~Env();

  // Creates the reactor. `grace_ms`: how long the environment's end waits for the kernel to let go
  // of memory before it aborts connections. 0 or -errno; -EALREADY: there is one.
  int start(Napi::Uint32Array words, Napi::Function on_records, int grace_ms);

  Reactor* reactor() { return reactor_.get(); }

  // Memory of JavaScript's through which datagrams are described; kBatch of each.
  void share_datagram_words(Napi::Uint32Array envelopes, Napi::Uint32Array arrivals);
  const Envelope* envelopes() const { return envelopes_; }
  Arrival* arrivals() const { return arrivals_; }

  // Shared with the ArrayBuffers over its memory, whose finalizers may run after this object is gone.
  const std::shared_ptr<Slabs>& slabs() { return slabs_; }

  // Adds to the bytes that this environment has pinned; answers the process's total.
  double add_pinned(double delta);
  // The same for the bytes of the program's that it has registered with its ring; they are pinned, too.
  double add_registered(double delta);

 private:
  static void cleanup(napi_async_cleanup_hook_handle handle, void* data);

  Napi::Env env_;
  int grace_ms_ = 0;
  int64_t pinned_ = 0;
  int64_t registered_ = 0;
  napi_async_cleanup_hook_handle hook_ = nullptr;
  // Not make_shared: without RTTI it needs a libstdc++ that is newer than Node does (GLIBCXX_3.4.26).
  std::shared_ptr<Slabs> slabs_{new Slabs};
  std::unique_ptr<Reactor> reactor_;
  Napi::Reference<Napi::Uint32Array> envelope_words_;
  Napi::Reference<Napi::Uint32Array> arrival_words_;
  const Envelope* envelopes_ = nullptr;
  Arrival* arrivals_ = nullptr;
};

}  // namespace msg_zerocopy
