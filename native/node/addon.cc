// Entry, and the exports of the environment and of what every port has: waiting, releases, linger, abort. A port
// that does not exist is a bug of lib/ and throws.
#include <napi.h>
#include <sys/uio.h>
#include <sys/utsname.h>

#include <algorithm>
#include <cerrno>
#include <climits>

#include "kernel/abi.h"
#include "kernel/sys.h"
#include "kernel/tcp.h"
#include "node/arguments.h"

// package.json's, by binding.gyp and CMakeLists.txt.
#define MSG_ZEROCOPY_QUOTED(version) #version
#define MSG_ZEROCOPY_QUOTE(version) MSG_ZEROCOPY_QUOTED(version)

namespace msg_zerocopy {
namespace {

Napi::Value start(const Napi::CallbackInfo& info) {
  return number(info, env_of(info)->start(info[0].As<Napi::Uint32Array>(),
                                          info[1].As<Napi::Function>(),
                                          info[2].As<Napi::Number>().Int32Value(),
                                          info[3].As<Napi::Float64Array>(),
                                          info[4].As<Napi::Float64Array>()));
}

Napi::Value arm(const Napi::CallbackInfo& info, const Target& target) {
  return number(info, target.reactor->arm(target.port));
}

Napi::Value disarm(const Napi::CallbackInfo& info, const Target& target) {
  target.reactor->stop_waiting(target.port);
  return info.Env().Undefined();
}

Napi::Value reap(const Napi::CallbackInfo& info, const Target& target) {
  return number(info, static_cast<double>(target.reactor->reap(target.port)));
}

Napi::Value linger(const Napi::CallbackInfo& info, const Target& target) {
  return number(info, target.reactor->linger(target.port));
}

Napi::Value abort_port(const Napi::CallbackInfo& info, const Target& target) {
  return number(info, target.reactor->abort(target.port));
}

Napi::Value detach(const Napi::CallbackInfo& info, const Target& target) {
  target.reactor->detach(target.port);
  return info.Env().Undefined();
}

Napi::Value set_eager(const Napi::CallbackInfo& info, const Target& target) {
  target.reactor->set_eager(target.port, info[1].As<Napi::Boolean>().Value());
  return number(info, static_cast<double>(target.port->held_ranges()));
}

Napi::Value set_referenced(const Napi::CallbackInfo& info, const Target& target) {
  target.reactor->set_referenced(target.port, info[1].As<Napi::Boolean>().Value());
  return info.Env().Undefined();
}

Napi::Value abandon(const Napi::CallbackInfo& info, const Target& target) {
  target.reactor->abandon(target.port);
  return info.Env().Undefined();
}

Napi::Value unacknowledged(const Napi::CallbackInfo& info, const Target& target) {
  return number(info, unacknowledged_bytes(target.port->fd()));
}

// addPinned(delta) -> the process's total
Napi::Value add_pinned(const Napi::CallbackInfo& info) {
  const auto delta = static_cast<int64_t>(info[0].As<Napi::Number>().DoubleValue());
  return number(info, static_cast<double>(env_of(info)->pins()->add(delta)));
}

Napi::Value set_budget(const Napi::CallbackInfo& info) {
  env_of(info)->pins()->set_budget(static_cast<int64_t>(info[0].As<Napi::Number>().DoubleValue()));
  return info.Env().Undefined();
}

// takeRecords() -> records in the shared words
Napi::Value take_records(const Napi::CallbackInfo& info) {
  Reactor* reactor = reactor_of(info);
  if (reactor == nullptr) return info.Env().Undefined();
  return number(info, static_cast<double>(reactor->take_records()));
}

Napi::Value describe(const Napi::CallbackInfo& info) {
  Napi::Object limits = Napi::Object::New(info.Env());
  const PinLimits pins = pin_limits();
  limits["memlockBytes"] =
      pins.memlock_bytes == UINT64_MAX ? -1.0 : static_cast<double>(pins.memlock_bytes);
  limits["ipcLock"] = Napi::Boolean::New(info.Env(), pins.ipc_lock);
  limits["pageBytes"] = static_cast<double>(page_bytes());
  limits["openPorts"] = env_of(info)->reactor() == nullptr
                            ? 0.0
                            : static_cast<double>(env_of(info)->reactor()->open_ports());
  limits["registeredBytes"] = static_cast<double>(env_of(info)->slabs()->registered_bytes());
  utsname system;
  limits["kernelRelease"] = Napi::String::New(info.Env(), uname(&system) == 0 ? system.release : "");
  return limits;
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  env.SetInstanceData<Env>(new Env(env));
  export_batch(env, exports);
  export_constants(env, exports);
  export_datagrams(env, exports);
  export_files(env, exports);
  export_hash(env, exports);
  export_pacing(env, exports);
  export_ring(env, exports);
  export_routes(env, exports);
  export_streams(env, exports);
  export_submit_ring(env, exports);
  exports["version"] = Napi::String::New(env, MSG_ZEROCOPY_QUOTE(MSG_ZEROCOPY_VERSION));
  export_functions(exports, {
      {"start", start},
      {"arm", at_port<arm>},
      {"disarm", at_port<disarm>},
      {"reap", at_port<reap>},
      {"linger", at_port<linger>},
      {"abort", at_port<abort_port>},
      {"detach", at_port<detach>},
      {"setEager", at_port<set_eager>},
      {"setReferenced", at_port<set_referenced>},
      {"abandon", at_port<abandon>},
      {"unacknowledged", at_port<unacknowledged>},
      {"addPinned", add_pinned},
      {"setBudget", set_budget},
      {"takeRecords", take_records},
      {"describe", describe},
  });
  return exports;
}

}  // namespace
}  // namespace msg_zerocopy

static Napi::Object InitModule(Napi::Env env, Napi::Object exports) {
  return msg_zerocopy::init(env, exports);
}

NODE_API_MODULE(msg_zerocopy, InitModule)
