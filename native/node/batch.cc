// Exports of copying sends on any descriptor: at once, or several by one call. Raw Node-API, as of streams.
#include <cerrno>

#include "kernel/sys.h"
#include "node/arguments.h"
#include "node/records.h"

namespace msg_zerocopy {
namespace {

// Of lib/native/binding.ts.
enum class TextEncoding : uint32_t { kLatin1, kUtf8 };

// A head, which is text or bytes, and a body, as JavaScript passes them: (fd, head, body, encoding).
struct Copying {
  Env* env = nullptr;
  int fd = -1;
  iovec pieces[2];
  size_t count = 0;
  // A character is at most three bytes of UTF-8.
  char text[3 * kMostText + 1];
};

void read_arguments(napi_env env, napi_callback_info info, Copying* copying) {
  size_t count = 4;
  napi_value given[4];
  napi_get_cb_info(env, info, &count, given, nullptr, nullptr);
  void* data = nullptr;
  napi_get_instance_data(env, &data);
  copying->env = static_cast<Env*>(data);
  copying->fd = static_cast<int>(double_of(env, given[0]));
  const bool is_utf8 = static_cast<TextEncoding>(uint_of(env, given[3])) == TextEncoding::kUtf8;
  const auto read_text = is_utf8 ? napi_get_value_string_utf8 : napi_get_value_string_latin1;
  size_t length = 0;
  const napi_status is_text = read_text(env, given[1], copying->text, sizeof copying->text, &length);
  const Bytes head = is_text == napi_ok ? Bytes{reinterpret_cast<uint8_t*>(copying->text), length}
                                        : bytes_of(env, given[1]);
  if (head.size > 0) copying->pieces[copying->count++] = {head.data, head.size};
  const Bytes body = bytes_of(env, given[2]);
  if (body.size > 0) copying->pieces[copying->count++] = {body.data, body.size};
}

// sendNow(fd, head, body, encoding) -> bytes accepted, or -errno: one copying send on any descriptor. `head`: at
// most kMostText characters, or none, or a view; `body`: a view, or undefined.
napi_value send_now(napi_env env, napi_callback_info info) {
  Copying copying;
  read_arguments(env, info, &copying);
  copying.env->sent();
  if (copying.count == 0) return int_value(env, 0);
  return int_value(env, send_message(copying.fd, copying.pieces, copying.count, 0));
}

// queueSend(fd, head, body, encoding) -> number of the result, or -1: the same at the end of the turn
napi_value queue_send(napi_env env, napi_callback_info info) {
  Copying copying;
  read_arguments(env, info, &copying);
  Reactor* reactor = copying.env->reactor();
  if (reactor == nullptr) return int_value(env, -1);
  const int queued = reactor->queue(copying.fd, copying.pieces, copying.count);
  if (queued >= 0) copying.env->sent();
  return int_value(env, queued);
}

// shareBatchWords(words)
Napi::Value share_words(const Napi::CallbackInfo& info) {
  env_of(info)->share_batch_words(info[0].As<Napi::Int32Array>());
  return info.Env().Undefined();
}

// openBatch(onBatch) -> 0 or -errno
Napi::Value open_batch(const Napi::CallbackInfo& info) {
  Reactor* reactor = reactor_of(info);
  if (reactor == nullptr) return info.Env().Undefined();
  return number(info, reactor->open_batch(env_of(info)->batch_words(), info[0].As<Napi::Function>()));
}

// submitBatch(): what is queued goes now
Napi::Value submit_batch(const Napi::CallbackInfo& info) {
  Reactor* reactor = env_of(info)->reactor();
  if (reactor != nullptr) reactor->submit_batch();
  return info.Env().Undefined();
}

// copyBatch(): the same by copies
Napi::Value copy_batch(const Napi::CallbackInfo& info) {
  Reactor* reactor = env_of(info)->reactor();
  if (reactor != nullptr) reactor->copy_batch();
  return info.Env().Undefined();
}

}  // namespace

void export_batch(Napi::Env env, Napi::Object exports) {
  export_raw(env, exports, "sendNow", send_now);
  export_raw(env, exports, "queueSend", queue_send);
  export_functions(exports, {
      {"shareBatchWords", share_words},
      {"openBatch", open_batch},
      {"submitBatch", submit_batch},
      {"copyBatch", copy_batch},
  });
}

}  // namespace msg_zerocopy
