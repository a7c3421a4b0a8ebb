// What every exported function begins with: its environment, its reactor, the port of its first
// argument. Arguments are positional and checked by lib/native/binding.ts's callers.
#pragma once

#include <napi.h>

#include <initializer_list>

#include "node/env.h"

namespace msg_zerocopy {

Env* env_of(const Napi::CallbackInfo& info);

// nullptr, with an exception pending, before start().
Reactor* reactor_of(const Napi::CallbackInfo& info);

// What an exported function acts on.
struct Target {
  Reactor* reactor = nullptr;
  Port* port = nullptr;
};

// The port named by the first argument; none, with an exception pending, when there is no such port.
Target target_of(const Napi::CallbackInfo& info);

// An exported function whose first argument names a port.
template <Napi::Value (*function)(const Napi::CallbackInfo&, const Target&)>
Napi::Value at_port(const Napi::CallbackInfo& info) {
  const Target target = target_of(info);
  return target.port == nullptr ? info.Env().Undefined() : function(info, target);
}

Napi::Value number(const Napi::CallbackInfo& info, double value);

inline int int_at(const Napi::CallbackInfo& info, size_t index) {
  return info[index].As<Napi::Number>().Int32Value();
}

inline uint32_t uint_at(const Napi::CallbackInfo& info, size_t index) {
  return info[index].As<Napi::Number>().Uint32Value();
}

struct Bytes {
  uint8_t* data;
  size_t size;
};
// The memory of a Uint8Array or Buffer, valid until JavaScript runs again.
Bytes bytes_of(napi_env env, napi_value view);

// By raw Node-API, for what every write passes.
napi_value int_value(napi_env env, int value);
uint32_t uint_of(napi_env env, napi_value value);
double double_of(napi_env env, napi_value value);
void export_raw(napi_env env, napi_value exports, const char* name, napi_callback function);

struct Export {
  const char* name;
  Napi::Value (*function)(const Napi::CallbackInfo&);
};
void export_functions(Napi::Object exports, std::initializer_list<Export> list);

// Lists of exports, one for each file.
void export_batch(Napi::Env env, Napi::Object exports);
void export_constants(Napi::Env env, Napi::Object exports);
void export_datagrams(Napi::Env env, Napi::Object exports);
void export_files(Napi::Env env, Napi::Object exports);
void export_hash(Napi::Env env, Napi::Object exports);
void export_pacing(Napi::Env env, Napi::Object exports);
void export_ring(Napi::Env env, Napi::Object exports);
void export_routes(Napi::Env env, Napi::Object exports);
void export_streams(Napi::Env env, Napi::Object exports);
void export_submit_ring(Napi::Env env, Napi::Object exports);

}  // namespace msg_zerocopy
