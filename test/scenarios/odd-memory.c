// A native module that makes ArrayBuffers over memory that is not like other memory. Node's headers are
// not needed for three calls.
#define _GNU_SOURCE
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_memfd_secret
#define SYS_memfd_secret 447
#endif

typedef struct napi_env__* napi_env;
typedef struct napi_value__* napi_value;
typedef struct napi_callback_info__* napi_callback_info;
typedef napi_value (*napi_callback)(napi_env, napi_callback_info);
typedef void (*napi_finalize)(napi_env, void*, void*);

extern int napi_create_external_arraybuffer(napi_env, void*, size_t, napi_finalize, void*, napi_value*);
extern int napi_create_function(napi_env, const char*, size_t, napi_callback, void*, napi_value*);
extern int napi_create_int32(napi_env, int32_t, napi_value*);
extern int napi_get_cb_info(napi_env, napi_callback_info, size_t*, napi_value*, napi_value*, void**);
extern int napi_get_value_uint32(napi_env, napi_value, uint32_t*);
extern int napi_set_named_property(napi_env, napi_value, const char*, napi_value);

static void unmap(napi_env env, void* base, void* bytes) {
  (void)env;
  munmap(base, (size_t)(uintptr_t)bytes);
}

static uint32_t asked_bytes(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value given;
  uint32_t bytes = 0;
  napi_get_cb_info(env, info, &count, &given, NULL, NULL);
  napi_get_value_uint32(env, given, &bytes);
  return bytes;
}

static napi_value wrap(napi_env env, void* base, uint32_t bytes) {
  napi_value result = NULL;
  if (base == MAP_FAILED) napi_create_int32(env, -errno, &result);
  else napi_create_external_arraybuffer(env, base, bytes, unmap, (void*)(uintptr_t)bytes, &result);
  return result;
}

// secret(bytes) -> ArrayBuffer that the kernel can read and not pin, or -errno
static napi_value secret(napi_env env, napi_callback_info info) {
  const uint32_t bytes = asked_bytes(env, info);
  void* base = MAP_FAILED;
  const int fd = (int)syscall(SYS_memfd_secret, 0);
  if (fd >= 0 && ftruncate(fd, bytes) == 0) {
    base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  }
  const int failed = errno;
  if (fd >= 0) close(fd);
  errno = failed;
  return wrap(env, base, bytes);
}

// unreadable(bytes) -> ArrayBuffer of unreadable memory, or -errno
static napi_value unreadable(napi_env env, napi_callback_info info) {
  const uint32_t bytes = asked_bytes(env, info);
  return wrap(env, mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), bytes);
}

static void export_function(napi_env env, napi_value exports, const char* name, napi_callback body) {
  napi_value function;
  napi_create_function(env, name, (size_t)-1, body, NULL, &function);
  napi_set_named_property(env, exports, name, function);
}

napi_value napi_register_module_v1(napi_env env, napi_value exports) {
  export_function(env, exports, "secret", secret);
  export_function(env, exports, "unreadable", unreadable);
  return exports;
}
