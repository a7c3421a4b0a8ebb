// Exports of pacing: on a descriptor of libuv's, and on a port of ours. Rates are doubles, in bytes per second;
// Infinity is no limit.
#include "kernel/pacing.h"

#include <cmath>
#include <limits>

#include "node/arguments.h"

namespace msg_zerocopy {
namespace {

Napi::Value set_rate(const Napi::CallbackInfo& info, int fd) {
  const double rate = info[1].As<Napi::Number>().DoubleValue();
  return number(info, set_pacing_rate(fd, std::isinf(rate) ? kNoPacing : static_cast<uint64_t>(rate)));
}

Napi::Value get_rate(const Napi::CallbackInfo& info, int fd) {
  uint64_t rate = 0;
  const int got = get_pacing_rate(fd, &rate);
  if (got < 0) return number(info, got);
  const double shown =
      rate == kNoPacing ? std::numeric_limits<double>::infinity() : static_cast<double>(rate);
  return Napi::Number::New(info.Env(), shown);
}

// setPacingRate(fd, rate) -> 0 or -errno
Napi::Value set_of_descriptor(const Napi::CallbackInfo& info) { return set_rate(info, int_at(info, 0)); }

// pacingRate(fd) -> rate or -errno
Napi::Value get_of_descriptor(const Napi::CallbackInfo& info) { return get_rate(info, int_at(info, 0)); }

// setPortPacingRate(port, rate) -> 0 or -errno
Napi::Value set_of_port(const Napi::CallbackInfo& info) {
  Reactor* reactor;
  Port* port = port_of(info, &reactor);
  return port == nullptr ? info.Env().Undefined() : set_rate(info, port->fd());
}

// portPacingRate(port) -> rate or -errno
Napi::Value get_of_port(const Napi::CallbackInfo& info) {
  Reactor* reactor;
  Port* port = port_of(info, &reactor);
  return port == nullptr ? info.Env().Undefined() : get_rate(info, port->fd());
}

}  // namespace

void export_pacing(Napi::Env env, Napi::Object exports) {
  exports["setPacingRate"] = Napi::Function::New(env, set_of_descriptor, "setPacingRate");
  exports["pacingRate"] = Napi::Function::New(env, get_of_descriptor, "pacingRate");
  exports["setPortPacingRate"] = Napi::Function::New(env, set_of_port, "setPortPacingRate");
  exports["portPacingRate"] = Napi::Function::New(env, get_of_port, "portPacingRate");
}

}  // namespace msg_zerocopy
