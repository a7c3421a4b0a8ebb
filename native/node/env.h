// Everything that belongs to one Node environment (the main thread or one worker). Nothing of Node's
// is static, so workers and two copies of the addon do not meet; the only process-wide state is the
// count of pinned bytes (kernel/pins.h).
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
  // `latency`: see LatencyWords; `log`: see SendLog.
  int start(Napi::Uint32Array words, Napi::Function on_records, int grace_ms, Napi::Float64Array latency,
            Napi::Float64Array log);

  Reactor* reactor() { return reactor_.get(); }

  // Memory of JavaScript's through which datagrams are described; kBatch of each.
  void share_datagram_words(Napi::Uint32Array metadata, Napi::Uint32Array arrivals);
  const DatagramMetadata* metadata() const { return metadata_; }
  Arrival* arrivals() const { return arrivals_; }

  // Memory of JavaScript's for the results of copying sends that share a call, and behind them one word that says
  // whether sends come so close together that it pays.
  void share_batch_words(Napi::Int32Array words);
  // A send that copies, or a response, in the present turn of the event loop.
  void sent();

  // Shared with the ArrayBuffers over its memory, whose finalizers may run after this object is gone.
  const std::shared_ptr<Slabs>& slabs() { return slabs_; }

  Pins* pins() { return &pins_; }
  int32_t* batch_words() { return batch_words_; }

 private:
  static void cleanup(napi_async_cleanup_hook_handle handle, void* data);

  Napi::Env env_;
  int grace_ms_ = 0;
  Pins pins_{page_bytes()};
  Staging staging_;
  Napi::Reference<Napi::Float64Array> latency_words_;
  Napi::Reference<Napi::Float64Array> log_words_;
  napi_async_cleanup_hook_handle hook_ = nullptr;
  // Not make_shared: without RTTI it needs a libstdc++ that is newer than Node does (GLIBCXX_3.4.26).
  std::shared_ptr<Slabs> slabs_{new Slabs};
  std::unique_ptr<Reactor> reactor_;
  // Of sent(): the turn that is counted, its sends, and how many of the last turns had several.
  uv_loop_t* loop_ = nullptr;
  uint64_t turn_ = 0;
  uint32_t sends_ = 0;
  uint32_t busy_turns_ = 0;
  Napi::Reference<Napi::Int32Array> batch_reference_;
  int32_t* batch_words_ = nullptr;
  Napi::Reference<Napi::Uint32Array> metadata_words_;
  Napi::Reference<Napi::Uint32Array> arrival_words_;
  const DatagramMetadata* metadata_ = nullptr;
  Arrival* arrivals_ = nullptr;
};

}  // namespace msg_zerocopy
