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
Napi::Value set_of_port(const Napi::CallbackInfo& info, const Target& target) {
  return set_rate(info, target.port->fd());
}

// portPacingRate(port) -> rate or -errno
Napi::Value get_of_port(const Napi::CallbackInfo& info, const Target& target) {
  return get_rate(info, target.port->fd());
}

}  // namespace

void export_pacing(Napi::Env, Napi::Object exports) {
  export_functions(exports, {
      {"setPacingRate", set_of_descriptor},
      {"pacingRate", get_of_descriptor},
      {"setPortPacingRate", at_port<set_of_port>},
      {"portPacingRate", at_port<get_of_port>},
  });
}

}  // namespace msg_zerocopy
