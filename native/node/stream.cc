// Exports of streams. Those that every write passes are raw Node-API: the C++ wrapper makes up to three more
// calls for each argument. Arguments are checked by lib/native/binding.ts's callers; pointers and lengths are read
// anew on every call, because a buffer may have been detached or resized since.
#include <cerrno>
#include <vector>

#include "node/arguments.h"
#include "node/records.h"

namespace msg_zerocopy {
namespace {

// Chunks of one write that need no allocation.
constexpr size_t kUsualChunks = 16;

void sent_in_turn(napi_env env) {
  void* data = nullptr;
  napi_get_instance_data(env, &data);
  static_cast<Env*>(data)->sent();
}

Target stream_of(napi_env env, napi_value index) {
  void* data = nullptr;
  napi_get_instance_data(env, &data);
  Target target;
  target.reactor = static_cast<Env*>(data)->reactor();
  if (target.reactor != nullptr) target.port = target.reactor->port(uint_of(env, index));
  if (target.port == nullptr || target.port->sender() == nullptr) {
    napi_throw_error(env, nullptr, "msg-zerocopy: no such stream");
    target.port = nullptr;
  }
  return target;
}

WriteRules rules_of(napi_env env, napi_value value) {
  const uint32_t flags = uint_of(env, value);
  return {static_cast<CopyCause>(flags >> kWriteCauseShift), (flags & kWriteProbe) != 0,
          (flags & kWriteLogs) != 0};
}

Chunk chunk_of(napi_env env, napi_value view, ChunkKind kind) {
  const Bytes bytes = bytes_of(env, view);
  return {bytes.data, bytes.size, kind};
}

napi_value write(napi_env env, const Target& target, Chunk* chunks, size_t count, napi_value skip,
                 napi_value flags) {
  const auto sent = static_cast<uint64_t>(double_of(env, skip));
  return int_value(env, target.reactor->write(target.port, chunks, count, sent, rules_of(env, flags)));
}

// writeOne(port, chunk, kind, skip, flags) -> 0 done, 1 waiting for space, 2 call again, or -errno
napi_value write_one(napi_env env, napi_callback_info info) {
  size_t count = 5;
  napi_value given[5];
  napi_get_cb_info(env, info, &count, given, nullptr, nullptr);
  const Target target = stream_of(env, given[0]);
  if (target.port == nullptr) return nullptr;
  Chunk chunk = chunk_of(env, given[1], static_cast<ChunkKind>(uint_of(env, given[2])));
  return write(env, target, &chunk, 1, given[3], given[4]);
}

// A header in latin1 of at most kMostText characters, and a body.
struct Answer {
  char text[kMostText + 1];
  Chunk chunks[2];
};

// False, with an exception pending: the header is longer.
bool read_answer(napi_env env, napi_value text, napi_value body, ChunkKind kind, Answer* answer) {
  size_t length = 0;
  napi_get_value_string_latin1(env, text, answer->text, sizeof answer->text, &length);
  if (length == kMostText) {
    // It may have been cut.
    napi_get_value_string_latin1(env, text, nullptr, 0, &length);
    if (length > kMostText) {
      napi_throw_range_error(env, nullptr, "msg-zerocopy: a header of more than MOST_TEXT characters");
      return false;
    }
  }
  answer->chunks[0] = {reinterpret_cast<const uint8_t*>(answer->text), length, ChunkKind::kSmall};
  answer->chunks[1] = chunk_of(env, body, kind);
  return true;
}

// writeAnswer(port, text, body, kind, skip, flags)
napi_value write_answer(napi_env env, napi_callback_info info) {
  size_t count = 6;
  napi_value given[6];
  napi_get_cb_info(env, info, &count, given, nullptr, nullptr);
  const Target target = stream_of(env, given[0]);
  Answer answer;
  const auto kind = static_cast<ChunkKind>(uint_of(env, given[3]));
  if (target.port == nullptr || !read_answer(env, given[1], given[2], kind, &answer)) return nullptr;
  sent_in_turn(env);
  return write(env, target, answer.chunks, 2, given[4], given[5]);
}

// queueAnswer(port, text, body) -> number of the result, or -1: the same at the end of the turn
napi_value queue_answer(napi_env env, napi_callback_info info) {
  size_t count = 3;
  napi_value given[3];
  napi_get_cb_info(env, info, &count, given, nullptr, nullptr);
  const Target target = stream_of(env, given[0]);
  Answer answer;
  if (target.port == nullptr || !read_answer(env, given[1], given[2], ChunkKind::kLarge, &answer)) return nullptr;
  const int queued = target.reactor->queue_write(target.port, answer.chunks, 2);
  if (queued >= 0) sent_in_turn(env);
  return int_value(env, queued);
}

// writeMany(port, chunks, kinds, skip, flags): `kinds` has a byte for each chunk.
napi_value write_many(napi_env env, napi_callback_info info) {
  size_t count = 5;
  napi_value given[5];
  napi_get_cb_info(env, info, &count, given, nullptr, nullptr);
  const Target target = stream_of(env, given[0]);
  if (target.port == nullptr) return nullptr;
  const Bytes kinds = bytes_of(env, given[2]);
  Chunk usual[kUsualChunks];
  std::vector<Chunk> more;
  Chunk* chunks = usual;
  if (kinds.size > kUsualChunks) {
    more.resize(kinds.size);
    chunks = more.data();
  }
  for (size_t i = 0; i < kinds.size; i++) {
    napi_value view = nullptr;
    napi_get_element(env, given[1], static_cast<uint32_t>(i), &view);
    chunks[i] = chunk_of(env, view, static_cast<ChunkKind>(kinds.data[i]));
  }
  return write(env, target, chunks, kinds.size, given[3], given[4]);
}

// attach(fd, byRing, ours, firstId) -> port, or -errno
Napi::Value attach(const Napi::CallbackInfo& info) {
  Reactor* reactor = reactor_of(info);
  if (reactor == nullptr) return info.Env().Undefined();
  const StreamEngine engine =
      info[1].As<Napi::Boolean>().Value() ? StreamEngine::kIoUring : StreamEngine::kMsgZeroCopy;
  if (engine == StreamEngine::kIoUring && reactor->submit_ring() == nullptr) return number(info, -ENXIO);
  return number(info, reactor->attach(int_at(info, 0), engine, info[2].As<Napi::Boolean>().Value(),
                                      static_cast<uint64_t>(info[3].As<Napi::Number>().DoubleValue())));
}

// streamWords(chunk) -> Float64Array of the streams from PORTS_PER_CHUNK * chunk on
Napi::Value stream_words(const Napi::CallbackInfo& info) {
  Reactor* reactor = reactor_of(info);
  return reactor == nullptr ? info.Env().Undefined() : reactor->stream_words(uint_at(info, 0));
}

// setLimits(port, mostPending, threshold, mostStaged)
Napi::Value set_limits(const Napi::CallbackInfo& info, const Target& target) {
  const auto at = [&](size_t index) { return info[index].As<Napi::Number>().DoubleValue(); };
  target.port->sender()->limits = {static_cast<int64_t>(at(1)), static_cast<size_t>(at(2)),
                                   static_cast<size_t>(at(3))};
  return info.Env().Undefined();
}

// setReporting(port, reporting): whether each id is reported
Napi::Value set_reporting(const Napi::CallbackInfo& info, const Target& target) {
  target.port->sender()->set_reporting(info[1].As<Napi::Boolean>().Value());
  return info.Env().Undefined();
}

}  // namespace

void export_streams(Napi::Env env, Napi::Object exports) {
  export_raw(env, exports, "writeOne", write_one);
  export_raw(env, exports, "writeAnswer", write_answer);
  export_raw(env, exports, "writeMany", write_many);
  export_raw(env, exports, "queueAnswer", queue_answer);
  export_functions(exports, {
      {"attach", attach},
      {"streamWords", stream_words},
      {"setLimits", at_port<set_limits>},
      {"setReporting", at_port<set_reporting>},
  });
}

}  // namespace msg_zerocopy
