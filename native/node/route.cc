// Routes, neighbours and devices, for diagnose() and for raw sockets that send past IP.
#include <net/if.h>

#include <cerrno>
#include <vector>

#include "kernel/route.h"
#include "node/arguments.h"

namespace msg_zerocopy {
namespace {

// findRoute(address, device, source or undefined) -> { device, type, mtu, rewrites, source, gateway }, or -errno
Napi::Value route(const Napi::CallbackInfo& info) {
  const Bytes address = bytes_of(info.Env(), info[0]);
  Route found;
  const Bytes source = info[2].IsUndefined() ? Bytes{nullptr, 0} : bytes_of(info.Env(), info[2]);
  if (source.data != nullptr && source.size != address.size) return number(info, -EAFNOSUPPORT);
  const int failed = find_route(address.data, address.size, uint_at(info, 1), source.data, &found);
  if (failed < 0) return number(info, failed);
  Napi::Object result = Napi::Object::New(info.Env());
  result["device"] = static_cast<double>(found.device);
  result["type"] = static_cast<double>(found.type);
  result["mtu"] = static_cast<double>(found.mtu);
  result["rewrites"] = Napi::Boolean::New(info.Env(), found.rewrites);
  if (found.has_source) {
    result["source"] =
        Napi::Buffer<uint8_t>::Copy(info.Env(), found.source, found.address_bytes);
  }
  if (found.has_gateway) {
    result["gateway"] =
        Napi::Buffer<uint8_t>::Copy(info.Env(), found.gateway, found.address_bytes);
  }
  return result;
}

// findNeighbour(address, device) -> { state, address }, or -errno
Napi::Value neighbour(const Napi::CallbackInfo& info) {
  const Bytes address = bytes_of(info.Env(), info[0]);
  Neighbour found;
  const int failed = find_neighbour(address.data, address.size, uint_at(info, 1), &found);
  if (failed < 0) return number(info, failed);
  Napi::Object result = Napi::Object::New(info.Env());
  result["state"] = static_cast<double>(found.state);
  result["address"] = Napi::Buffer<uint8_t>::Copy(info.Env(), found.address, found.address_bytes);
  return result;
}

// describeDevice(index) -> { index, name, type, mtu, isUp, kind, driver, lower }, or -errno
Napi::Value device(const Napi::CallbackInfo& info) {
  Device found;
  const int failed = describe_device(uint_at(info, 0), &found);
  if (failed < 0) return number(info, failed);
  Napi::Object result = Napi::Object::New(info.Env());
  result["index"] = static_cast<double>(found.index);
  result["name"] = Napi::String::New(info.Env(), found.name);
  result["type"] = static_cast<double>(found.type);
  result["mtu"] = static_cast<double>(found.mtu);
  result["isUp"] = Napi::Boolean::New(info.Env(), (found.flags & IFF_UP) != 0);
  result["kind"] = Napi::String::New(info.Env(), found.kind);
  result["driver"] = Napi::String::New(info.Env(), found.driver);
  result["lower"] = static_cast<double>(found.lower);
  return result;
}

// deviceFeatures(name) -> { <feature>: { active, changeable } }, or -errno
Napi::Value features(const Napi::CallbackInfo& info) {
  std::vector<DeviceFeature> found;
  const int failed =
      device_features(info[0].As<Napi::String>().Utf8Value().c_str(), &found);
  if (failed < 0) return number(info, failed);
  Napi::Object result = Napi::Object::New(info.Env());
  for (const DeviceFeature& feature : found) {
    Napi::Object state = Napi::Object::New(info.Env());
    state["active"] = Napi::Boolean::New(info.Env(), feature.active);
    state["changeable"] = Napi::Boolean::New(info.Env(), feature.changeable);
    result[feature.name] = state;
  }
  return result;
}

}  // namespace

void export_routes(Napi::Env, Napi::Object exports) {
  export_functions(exports, {
      {"findRoute", route},
      {"findNeighbour", neighbour},
      {"describeDevice", device},
      {"deviceFeatures", features},
  });
}

}  // namespace msg_zerocopy
