// Exports of the io_uring of one environment, and of the memory of pools, which may be registered with it.
#include <cerrno>

#include "kernel/io_uring_send.h"
#include "node/arguments.h"

namespace msg_zerocopy {
namespace {

// tryIoUring() -> { error, step, buffersError, vectoredSlots }
Napi::Value try_ring(const Napi::CallbackInfo& info) {
  const RingTrial trial = try_io_uring();
  Napi::Object result = Napi::Object::New(info.Env());
  result["error"] = trial.error;
  result["step"] = trial.step;
  result["buffersError"] = trial.buffers_error;
  result["vectoredSlots"] = trial.vectored_slots;
  return result;
}

// openSubmitRing(submissions, completions, vectoredSlots) -> 0 or -errno
Napi::Value open_submit_ring(const Napi::CallbackInfo& info) {
  Reactor* reactor = reactor_of(info);
  if (reactor == nullptr) return info.Env().Undefined();
  return number(info, reactor->open_ring({uint_at(info, 0), uint_at(info, 1)},
                                         info[2].As<Napi::Boolean>().Value(),
                                         env_of(info)->slabs()));
}

struct SlabOwner {
  std::shared_ptr<Slabs> slabs;
  Slab* slab;
};

// openSlab(bytes, pages) -> ArrayBuffer, or -errno
Napi::Value open_slab(const Napi::CallbackInfo& info) {
  const auto bytes = static_cast<size_t>(info[0].As<Napi::Number>().DoubleValue());
  void* base = nullptr;
  const int mapped = map_pages(bytes, static_cast<PageKind>(uint_at(info, 1)), &base);
  if (mapped < 0) return number(info, mapped);
  const std::shared_ptr<Slabs>& slabs = env_of(info)->slabs();
  auto* owner = new SlabOwner{slabs, slabs->add(base, bytes)};
  const auto finalize = [](napi_env, void*, void* hint) {
    auto* ended = static_cast<SlabOwner*>(hint);
    ended->slabs->remove(ended->slab);
    delete ended;
  };
  napi_value buffer;
  if (napi_create_external_arraybuffer(info.Env(), base, bytes, finalize, owner, &buffer) == napi_ok) {
    return Napi::Value(info.Env(), buffer);
  }
  // A runtime that keeps all memory of JavaScript in one region of its own (Electron).
  finalize(info.Env(), base, owner);
  return number(info, -EOPNOTSUPP);
}

// registerSlab(slab) -> 0 or -errno
Napi::Value register_slab(const Napi::CallbackInfo& info) {
  return number(info, env_of(info)->slabs()->register_slab(info[0].As<Napi::ArrayBuffer>().Data()));
}

// closeSlab(slab, contents) -> 0 or -errno
Napi::Value close_slab(const Napi::CallbackInfo& info) {
  return number(info, env_of(info)->slabs()->close_slab(info[0].As<Napi::ArrayBuffer>().Data(),
                                                        static_cast<SlabContents>(uint_at(info, 1))));
}

}  // namespace

void export_submit_ring(Napi::Env, Napi::Object exports) {
  export_functions(exports, {
      {"tryIoUring", try_ring},
      {"openSubmitRing", open_submit_ring},
      {"openSlab", open_slab},
      {"registerSlab", register_slab},
      {"closeSlab", close_slab},
  });
}

}  // namespace msg_zerocopy
