#include "node/arguments.h"

namespace msg_zerocopy {

Env* env_of(const Napi::CallbackInfo& info) { return info.Env().GetInstanceData<Env>(); }

Reactor* reactor_of(const Napi::CallbackInfo& info) {
  Reactor* reactor = env_of(info)->reactor();
  if (reactor == nullptr) {
    Napi::Error::New(info.Env(), "msg-zerocopy: the addon is not started")
        .ThrowAsJavaScriptException();
  }
  return reactor;
}

Target target_of(const Napi::CallbackInfo& info) {
  Target target;
  target.reactor = reactor_of(info);
  if (target.reactor == nullptr) return target;
  target.port = target.reactor->port(uint_at(info, 0));
  if (target.port == nullptr) {
    Napi::Error::New(info.Env(), "msg-zerocopy: no such port").ThrowAsJavaScriptException();
  }
  return target;
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

napi_value int_value(napi_env env, int value) {
  napi_value result = nullptr;
  napi_create_int32(env, value, &result);
  return result;
}

uint32_t uint_of(napi_env env, napi_value value) {
  uint32_t number = 0;
  napi_get_value_uint32(env, value, &number);
  return number;
}

double double_of(napi_env env, napi_value value) {
  double number = 0;
  napi_get_value_double(env, value, &number);
  return number;
}

void export_raw(napi_env env, napi_value exports, const char* name, napi_callback function) {
  napi_value value = nullptr;
  napi_create_function(env, name, NAPI_AUTO_LENGTH, function, nullptr, &value);
  napi_set_named_property(env, exports, name, value);
}

void export_functions(Napi::Object exports, std::initializer_list<Export> list) {
  for (const Export& each : list) {
    exports[each.name] = Napi::Function::New(exports.Env(), each.function, each.name);
  }
}

}  // namespace msg_zerocopy
