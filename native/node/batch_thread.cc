#include "node/batch_thread.h"

#include <signal.h>
#include <sys/prctl.h>

namespace msg_zerocopy {

int BatchThread::start(SendBatch* batch) {
  // The process's signals are its main thread's business. On Linux sigprocmask() is the calling thread's.
  sigset_t all, before;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, &before);
  const auto run = [](void* watched) {
    prctl(PR_SET_NAME, "zc-batch");
    static_cast<SendBatch*>(watched)->watch();
  };
  const int failed = uv_thread_create(&thread_, run, batch);
  sigprocmask(SIG_SETMASK, &before, nullptr);
  if (failed == 0) batch_ = batch;
  return failed;
}

BatchThread::~BatchThread() {
  if (batch_ == nullptr) return;
  batch_->stop_watching();
  uv_thread_join(&thread_);
}

}  // namespace msg_zerocopy
