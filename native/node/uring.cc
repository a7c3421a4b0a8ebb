// Exports of the submit ring, and of the memory that may be registered with it.
#include <cerrno>

#include "kernel/io_uring_send.h"
#include "node/arguments.h"
#include "node/pieces.h"

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

// The submit ring; nullptr, with an exception pending, when there is none.
SubmitRing* submit_ring_of(const Napi::CallbackInfo& info) {
  Reactor* reactor = reactor_of(info);
  if (reactor == nullptr) return nullptr;
  if (reactor->submit_ring() == nullptr) {
    Napi::Error::New(info.Env(), "msg-zerocopy: there is no ring").ThrowAsJavaScriptException();
  }
  return reactor->submit_ring();
}

// attachToRing(fd) -> port, or -errno
Napi::Value attach_to_ring(const Napi::CallbackInfo& info) {
  Reactor* reactor = reactor_of(info);
  if (reactor == nullptr) return info.Env().Undefined();
  return number(info, reactor->attach_to_ring(int_at(info, 0)));
}

// sendByRing(port, pieces, first, offset, length, flags, slot) -> bytes, plus 2^32 when a range will release
// them; or -errno, the same: EFAULT when the memory is gone, ECANCELED when the process changed its user.
Napi::Value send_by_ring(const Napi::CallbackInfo& info) {
  SubmitRing* ring = submit_ring_of(info);
  if (ring == nullptr) return info.Env().Undefined();
  Reactor* reactor;
  Port* port = port_of(info, &reactor);
  if (port == nullptr) return info.Env().Undefined();
  if (!ring->usable()) return number(info, -ECANCELED);
  iovec pieces[kMaxPieces];
  const size_t count =
      gather(info.Env(), info[1], uint_at(info, 2),
             static_cast<size_t>(info[3].As<Napi::Number>().DoubleValue()),
             static_cast<size_t>(info[4].As<Napi::Number>().DoubleValue()), pieces, kMaxPieces);
  if (count == 0) return number(info, -EFAULT);
  const uint32_t wanted = uint_at(info, 5);
  const int flags =
      ((wanted & kSendMore) != 0 ? MSG_MORE : 0) | ((wanted & kSendEor) != 0 ? MSG_EOR : 0);
  const SendMode mode = (wanted & kSendZeroCopy) != 0 ? SendMode::kZeroCopy : SendMode::kCopy;
  bool more;
  const int sent = reactor->send_by_ring(port, pieces, count, flags, mode, int_at(info, 6), &more);
  return number(info, sent + (more ? kRingMore : 0));
}

// readRing() -> records in the shared words
Napi::Value read_ring(const Napi::CallbackInfo& info) {
  if (submit_ring_of(info) == nullptr) return info.Env().Undefined();
  return number(info, static_cast<double>(env_of(info)->reactor()->read_ring_now()));
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

// registerMemory(memory) -> slot, or -errno; EINVAL for what is no ArrayBuffer, or detached.
Napi::Value register_memory(const Napi::CallbackInfo& info) {
  if (!info[0].IsArrayBuffer()) return number(info, -EINVAL);
  auto memory = info[0].As<Napi::ArrayBuffer>();
  return number(info, env_of(info)->slabs()->register_memory(memory.Data(), memory.ByteLength()));
}

// unregisterMemory(slot) -> 0 or -errno
Napi::Value unregister_memory(const Napi::CallbackInfo& info) {
  return number(info, env_of(info)->slabs()->unregister_memory(int_at(info, 0)));
}

// addRegistered(delta) -> the process's total
Napi::Value add_registered(const Napi::CallbackInfo& info) {
  return number(info, env_of(info)->add_registered(info[0].As<Napi::Number>().DoubleValue()));
}

}  // namespace

void export_submit_ring(Napi::Env env, Napi::Object exports) {
  exports["tryIoUring"] = Napi::Function::New(env, try_ring, "tryIoUring");
  exports["openSubmitRing"] = Napi::Function::New(env, open_submit_ring, "openSubmitRing");
  exports["attachToRing"] = Napi::Function::New(env, attach_to_ring, "attachToRing");
  exports["sendByRing"] = Napi::Function::New(env, send_by_ring, "sendByRing");
  exports["readRing"] = Napi::Function::New(env, read_ring, "readRing");
  exports["openSlab"] = Napi::Function::New(env, open_slab, "openSlab");
  exports["registerMemory"] = Napi::Function::New(env, register_memory, "registerMemory");
  exports["unregisterMemory"] = Napi::Function::New(env, unregister_memory, "unregisterMemory");
  exports["addRegistered"] = Napi::Function::New(env, add_registered, "addRegistered");
  exports["registerSlab"] = Napi::Function::New(env, register_slab, "registerSlab");
}

}  // namespace msg_zerocopy
