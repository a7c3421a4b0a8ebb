// The thread that hands over what lies too long in a SendBatch. By libuv: glibc's pthread_create has another
// version since 2.34, which a binary for all systems that run Node cannot ask for.
#pragma once

#include <uv.h>

#include "kernel/send_batch.h"

namespace msg_zerocopy {

class BatchThread {
 public:
  BatchThread() = default;
  ~BatchThread();  // returns when the thread has ended
  BatchThread(const BatchThread&) = delete;
  BatchThread& operator=(const BatchThread&) = delete;

  // `batch` outlives this object. 0 or -errno.
  int start(SendBatch* batch);

 private:
  SendBatch* batch_ = nullptr;
  uv_thread_t thread_ = {};
};

}  // namespace msg_zerocopy
