// A native module that forks without exec, as a library inside a Node program may: the child sleeps, and
// shares memory with its parent until either writes. Node's headers are not needed for three calls.
#include <signal.h>
#include <stdint.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct napi_env__* napi_env;
typedef struct napi_value__* napi_value;
typedef struct napi_callback_info__* napi_callback_info;
typedef napi_value (*napi_callback)(napi_env, napi_callback_info);

extern int napi_create_function(napi_env, const char*, size_t, napi_callback, void*, napi_value*);
extern int napi_create_int32(napi_env, int32_t, napi_value*);
extern int napi_set_named_property(napi_env, napi_value, const char*, napi_value);

static pid_t child = -1;

// forkSleeper() -> its pid, or -1
static napi_value fork_sleeper(napi_env env, napi_callback_info info) {
  (void)info;
  napi_value result;
  child = fork();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) pause();
  }
  napi_create_int32(env, child, &result);
  return result;
}

// endSleeper() -> its pid, or -1: waits until it is gone.
static napi_value end_sleeper(napi_env env, napi_callback_info info) {
  (void)info;
  napi_value result;
  pid_t ended = -1;
  if (child > 0 && kill(child, SIGKILL) == 0) ended = waitpid(child, NULL, 0);
  child = -1;
  napi_create_int32(env, ended, &result);
  return result;
}

napi_value napi_register_module_v1(napi_env env, napi_value exports) {
  napi_value function;
  napi_create_function(env, "forkSleeper", 11, fork_sleeper, NULL, &function);
  napi_set_named_property(env, exports, "forkSleeper", function);
  napi_create_function(env, "endSleeper", 10, end_sleeper, NULL, &function);
  napi_set_named_property(env, exports, "endSleeper", function);
  return exports;
}
