#include "node/arguments.h"

namespace msg_zerocopy {

Env* env_of(const Napi::CallbackInfo& info) { return info.Env().GetInstanceData<Env>(); }

Reactor* reactor_of(const Napi::CallbackInfo& info) {
  Reactor* reactor = env_of(info)->reactor();
  if (reactor == nullptr) {
    Napi::Error::New(info.Env(), "msg-zerocopy: the native part is not started")
        .ThrowAsJavaScriptException();
  }
  return reactor;
}

Port* port_of(const Napi::CallbackInfo& info, Reactor** reactor) {
  *reactor = reactor_of(info);
  if (*reactor == nullptr) return nullptr;
  Port* port = (*reactor)->port(info[0].As<Napi::Number>().Uint32Value());
  if (port == nullptr) {
    Napi::Error::New(info.Env(), "msg-zerocopy: no such port").ThrowAsJavaScriptException();
  }
  return port;
}

Napi::Value number(const Napi::CallbackInfo& info, double value) {
  return Napi::Number::New(info.Env(), value);
}

Bytes bytes_of(napi_env env, napi_value view) {
  void* data = nullptr;
  size_t size = 0;
  if (napi_get_typedarray_info(env, view, nullptr, &size, &data, nullptr, nullptr) != napi_ok) {
    return {nullptr, 0};
  }
  return {static_cast<uint8_t*>(data), size};
}

}  // namespace msg_zerocopy
