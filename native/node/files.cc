// Exports that send files to a socket. Positional arguments, checked by the callers in lib/files/.
#include "kernel/sendfile.h"

#include <napi.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "kernel/abi.h"
#include "kernel/sys.h"
#include "node/arguments.h"

namespace msg_zerocopy {
namespace {

uint64_t bytes_at(const Napi::CallbackInfo& info, size_t index) {
  return static_cast<uint64_t>(info[index].As<Napi::Number>().DoubleValue());
}

double* numbers_of(const Napi::CallbackInfo& info, size_t index) {
  void* data = nullptr;
  napi_get_typedarray_info(info.Env(), info[index], nullptr, nullptr, &data, nullptr, nullptr);
  return static_cast<double*>(data);
}

// moveFile(socket, text, file, offset, count, microseconds, moved) -> FILE_…, or -errno. `text`: latin1, at most
// kMostText characters, or empty; `moved`: three numbers to be filled in, bytes of the text and of the file, and
// the microseconds that it took.
Napi::Value move(const Napi::CallbackInfo& info) {
  char text[kMostText + 1];
  size_t length = 0;
  // Raw Node-API, as in sendNow(): every file passes here.
  napi_get_value_string_latin1(info.Env(), info[1], text, sizeof text, &length);
  Moved moved;
  const FileRange range = {int_at(info, 2), bytes_at(info, 3), bytes_at(info, 4)};
  const int stopped = move_file(int_at(info, 0), text, length, range, bytes_at(info, 5), &moved);
  double* const numbers = numbers_of(info, 6);
  numbers[0] = static_cast<double>(moved.text_bytes);
  numbers[1] = static_cast<double>(moved.file_bytes);
  numbers[2] = static_cast<double>(moved.microseconds);
  return number(info, stopped);
}

// peekFile(file, offset, view) -> bytes read, or -errno
Napi::Value peek(const Napi::CallbackInfo& info) {
  const Bytes view = bytes_of(info.Env(), info[2]);
  return number(info, peek_file(int_at(info, 0), bytes_at(info, 1), view.data, view.size));
}

// describeFile(file, facts) -> 1 for a regular file, 0 for anything else, or -errno. `facts`: two numbers to be
// filled in, its size, 0 if that says nothing, and its device.
Napi::Value describe(const Napi::CallbackInfo& info) {
  FileFacts facts;
  const int failed = describe_file(int_at(info, 0), &facts);
  if (failed < 0) return number(info, failed);
  double* const numbers = numbers_of(info, 1);
  numbers[0] = facts.sized ? static_cast<double>(facts.size) : 0;
  numbers[1] = static_cast<double>(facts.device);
  return number(info, facts.regular ? 1 : 0);
}

// openCached(path) -> a descriptor, or -errno
Napi::Value open_path(const Napi::CallbackInfo& info) {
  return number(info, open_cached(info[0].As<Napi::String>().Utf8Value().c_str()));
}

// duplicateFile(file) -> a descriptor, or -errno
Napi::Value duplicate_file(const Napi::CallbackInfo& info) {
  return number(info, duplicate(int_at(info, 0)));
}

// closeFile(file) -> whether it was closed: the last close of a file that was deleted frees all of it, which
// is the thread pool's work.
Napi::Value close_file(const Napi::CallbackInfo& info) {
  const int file = int_at(info, 0);
  FileFacts facts;
  const bool closes = describe_file(file, &facts) < 0 || !facts.deleted;
  if (closes) Fd(file).reset();
  return Napi::Boolean::New(info.Env(), closes);
}

class Warming : public Napi::AsyncWorker {
 public:
  Warming(Napi::Function done, Fd file, uint64_t offset, uint64_t count)
      : Napi::AsyncWorker(done, "msg-zerocopy:read-ahead"),
        file_(std::move(file)),
        offset_(offset),
        count_(count) {}

  void Execute() override { result_ = warm_file(file_.get(), offset_, count_); }
  void OnOK() override {
    if (result_ >= 0) note_warm(file_.get(), offset_, count_);
    // Here: the environment may be slow to collect this object.
    file_.reset();
    Callback().Call({Napi::Number::New(Env(), result_)});
  }

 private:
  // A duplicate: the program may close its descriptor meanwhile, and another file get the number.
  Fd file_;
  uint64_t offset_;
  uint64_t count_;
  int result_ = 0;
};

// warmFile(file, offset, count, done) -> 0 or -errno; `done` gets 0 or -errno in a later turn.
Napi::Value warm(const Napi::CallbackInfo& info) {
  Fd file(duplicate(int_at(info, 0)));
  if (!file.valid()) return number(info, file.get());
  (new Warming(info[3].As<Napi::Function>(), std::move(file), bytes_at(info, 1), bytes_at(info, 2)))
      ->Queue();
  return number(info, 0);
}

}  // namespace

void export_files(Napi::Env, Napi::Object exports) {
  export_functions(exports, {
      {"moveFile", move},
      {"peekFile", peek},
      {"describeFile", describe},
      {"openCached", open_path},
      {"duplicateFile", duplicate_file},
      {"closeFile", close_file},
      {"warmFile", warm},
  });
}

}  // namespace msg_zerocopy
