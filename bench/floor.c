/* The least that a zero-copy send from Node can cost: an addon without errors, teardown and limits, which
 * the package is measured against (bench/children/floor.ts). One socket option, one system call a write, and
 * one call back a wake-up; or one request of a ring a write, and one submit a turn of the event loop.
 * Events go to JavaScript in shared words: [count, (slot, kind, first, last) ...]. Main thread only. */
#define _GNU_SOURCE
#define NAPI_VERSION 8
#include <errno.h>
#include <fcntl.h>
#include <linux/errqueue.h>
#include <linux/io_uring.h>
#include <node_api.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#include <uv.h>

enum { kind_writable, kind_released, kind_result };
enum { words_per_event = 4, events_at_once = 1000, submissions = 1024, completions = 16384 };

static napi_env env_of_module;
static napi_ref on_events;
static uint32_t *words;
static uint32_t filled;

static void add_event(uint32_t slot, uint32_t kind, uint32_t first, uint32_t last) {
  uint32_t *event = words + 1 + filled++ * words_per_event;
  event[0] = slot;
  event[1] = kind;
  event[2] = first;
  event[3] = last;
}

static void tell_events(void) {
  if (filled == 0) return;
  words[0] = filled;
  filled = 0;
  napi_handle_scope scope;
  napi_value callback, global, result;
  napi_open_handle_scope(env_of_module, &scope);
  napi_get_reference_value(env_of_module, on_events, &callback);
  napi_get_global(env_of_module, &global);
  napi_make_callback(env_of_module, NULL, global, callback, 0, NULL, &result);
  napi_close_handle_scope(env_of_module, scope);
}

static napi_value int_value(napi_env env, int64_t value) {
  napi_value result;
  napi_create_int64(env, value, &result);
  return result;
}

__attribute__((noreturn)) static void fail(const char *what) {
  perror(what);
  exit(1);
}

/* What a write points at: a header, which may be missing, and a body, behind the bytes that went already. */
static int pieces_of(napi_env env, napi_value header, napi_value body, size_t skip,
                     struct iovec *pieces) {
  napi_value both[] = {header, body};
  int count = 0;
  for (int i = 0; i < 2; i++) {
    void *data;
    size_t length;
    if (napi_get_buffer_info(env, both[i], &data, &length) != napi_ok) continue;
    if (skip >= length) {
      skip -= length;
      continue;
    }
    pieces[count++] = (struct iovec){(char *)data + skip, length - skip};
    skip = 0;
  }
  return count;
}

/* --- MSG_ZEROCOPY ------------------------------------------------------------------------------ */

static int epoll_fd = -1;
static uv_poll_t epoll_watch;

static void read_error_queue(int fd, uint32_t slot) {
  while (filled < events_at_once) {
    char control[128];
    struct msghdr message = {.msg_control = control, .msg_controllen = sizeof control};
    if (recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) return;
    struct cmsghdr *entry = CMSG_FIRSTHDR(&message);
    if (entry == NULL) continue;
    struct sock_extended_err error;
    memcpy(&error, CMSG_DATA(entry), sizeof error);
    if (error.ee_origin == SO_EE_ORIGIN_ZEROCOPY) {
      add_event(slot, kind_released, error.ee_info, error.ee_data);
    }
  }
}

static void on_epoll(uv_poll_t *watch, int status, int wanted) {
  (void)watch, (void)status, (void)wanted;
  struct epoll_event ready[64];
  int count = epoll_wait(epoll_fd, ready, 64, 0);
  for (int i = 0; i < count; i++) {
    int fd = (int)(ready[i].data.u64 >> 32);
    uint32_t slot = (uint32_t)ready[i].data.u64;
    if (ready[i].events & EPOLLERR) read_error_queue(fd, slot);
    if (ready[i].events & EPOLLOUT) add_event(slot, kind_writable, 0, 0);
  }
  tell_events();
}

/* attach(descriptor, slot): a duplicate whose notifications are told as events of that slot */
static napi_value attach(napi_env env, napi_callback_info info) {
  size_t count = 2;
  napi_value given[2];
  int fd, one = 1;
  uint32_t slot;
  napi_get_cb_info(env, info, &count, given, NULL, NULL);
  napi_get_value_int32(env, given[0], &fd);
  napi_get_value_uint32(env, given[1], &slot);
  int duplicate = fcntl(fd, F_DUPFD_CLOEXEC, 3);
  if (setsockopt(duplicate, SOL_SOCKET, SO_ZEROCOPY, &one, sizeof one) != 0) fail("SO_ZEROCOPY");
  struct epoll_event event = {.events = EPOLLOUT | EPOLLERR | EPOLLET,
                              .data.u64 = (uint64_t)duplicate << 32 | slot};
  if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, duplicate, &event) != 0) fail("epoll_ctl");
  return int_value(env, duplicate);
}

/* send(duplicate, header, body, skip): bytes, or -errno */
static napi_value send_now(napi_env env, napi_callback_info info) {
  size_t count = 4;
  napi_value given[4];
  int fd;
  int64_t skip;
  struct iovec pieces[2];
  napi_get_cb_info(env, info, &count, given, NULL, NULL);
  napi_get_value_int32(env, given[0], &fd);
  napi_get_value_int64(env, given[3], &skip);
  int filled_pieces = pieces_of(env, given[1], given[2], (size_t)skip, pieces);
  struct msghdr message = {.msg_iov = pieces, .msg_iovlen = (size_t)filled_pieces};
  ssize_t sent = sendmsg(fd, &message, MSG_ZEROCOPY | MSG_DONTWAIT | MSG_NOSIGNAL);
  return int_value(env, sent < 0 ? -errno : sent);
}

static napi_value detach(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value given;
  int fd;
  napi_get_cb_info(env, info, &count, &given, NULL, NULL);
  napi_get_value_int32(env, given, &fd);
  close(fd);
  return NULL;
}

/* --- io_uring ---------------------------------------------------------------------------------- */

struct request {
  struct msghdr message;
  struct iovec pieces[2];
  uint32_t slot;
  struct request *next;
};

static struct {
  int fd;
  unsigned *sq_tail, *sq_mask, *sq_flags, *cq_head, *cq_tail, *cq_mask;
  struct io_uring_sqe *sqes;
  struct io_uring_cqe *cqes;
  unsigned waiting;
  struct request *unused;
  uv_poll_t watch;
  uv_prepare_t turn;
} ring;

static int enter(unsigned to_submit, unsigned flags) {
  return (int)syscall(SYS_io_uring_enter, ring.fd, to_submit, 0, flags, NULL, 0);
}

static void forget(struct request *request) {
  request->next = ring.unused;
  ring.unused = request;
}

static void read_completions(void) {
  unsigned head = *ring.cq_head;
  unsigned tail = __atomic_load_n(ring.cq_tail, __ATOMIC_ACQUIRE);
  for (; head != tail && filled < events_at_once; head++) {
    const struct io_uring_cqe *entry = &ring.cqes[head & *ring.cq_mask];
    struct request *request = (struct request *)(uintptr_t)entry->user_data;
    int is_notification = (entry->flags & IORING_CQE_F_NOTIF) != 0;
    add_event(request->slot, is_notification ? kind_released : kind_result, (uint32_t)entry->res, 0);
    if (is_notification || !(entry->flags & IORING_CQE_F_MORE)) forget(request);
  }
  __atomic_store_n(ring.cq_head, head, __ATOMIC_RELEASE);
}

static void tell_completions(void) {
  do {
    read_completions();
    tell_events();
  } while (*ring.cq_head != __atomic_load_n(ring.cq_tail, __ATOMIC_ACQUIRE));
}

static void submit(void) {
  while (ring.waiting > 0) {
    int taken = enter(ring.waiting, 0);
    if (taken < 0) fail("io_uring_enter");
    ring.waiting -= (unsigned)taken;
  }
}

static void on_turn(uv_prepare_t *turn) {
  (void)turn;
  if (ring.waiting == 0) return;
  submit();
  tell_completions();
  submit();
}

static void on_ring(uv_poll_t *watch, int status, int wanted) {
  (void)watch, (void)status, (void)wanted;
  if (__atomic_load_n(ring.sq_flags, __ATOMIC_RELAXED) & IORING_SQ_TASKRUN) {
    enter(0, IORING_ENTER_GETEVENTS);
  }
  tell_completions();
}

static void open_ring(uv_loop_t *loop) {
  struct io_uring_params params = {.flags = IORING_SETUP_CQSIZE | IORING_SETUP_COOP_TASKRUN |
                                            IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SINGLE_ISSUER,
                                   .cq_entries = completions};
  ring.fd = (int)syscall(SYS_io_uring_setup, submissions, &params);
  if (ring.fd < 0) fail("io_uring_setup");
  size_t sq_bytes = params.sq_off.array + params.sq_entries * sizeof(unsigned);
  size_t cq_bytes = params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe);
  size_t bytes = sq_bytes > cq_bytes ? sq_bytes : cq_bytes;
  int protection = PROT_READ | PROT_WRITE, shared = MAP_SHARED | MAP_POPULATE;
  char *base = mmap(NULL, bytes, protection, shared, ring.fd, IORING_OFF_SQ_RING);
  ring.sqes = mmap(NULL, params.sq_entries * sizeof(struct io_uring_sqe), protection, shared,
                   ring.fd, IORING_OFF_SQES);
  if (base == MAP_FAILED || ring.sqes == MAP_FAILED) fail("mmap");
  ring.sq_tail = (unsigned *)(base + params.sq_off.tail);
  ring.sq_mask = (unsigned *)(base + params.sq_off.ring_mask);
  ring.sq_flags = (unsigned *)(base + params.sq_off.flags);
  ring.cq_head = (unsigned *)(base + params.cq_off.head);
  ring.cq_tail = (unsigned *)(base + params.cq_off.tail);
  ring.cq_mask = (unsigned *)(base + params.cq_off.ring_mask);
  ring.cqes = (struct io_uring_cqe *)(base + params.cq_off.cqes);
  unsigned *array = (unsigned *)(base + params.sq_off.array);
  for (unsigned i = 0; i < params.sq_entries; i++) array[i] = i;
  uv_poll_init(loop, &ring.watch, ring.fd);
  uv_poll_start(&ring.watch, UV_READABLE, on_ring);
  uv_unref((uv_handle_t *)&ring.watch);
  uv_prepare_init(loop, &ring.turn);
  uv_prepare_start(&ring.turn, on_turn);
  uv_unref((uv_handle_t *)&ring.turn);
}

static struct request *fresh_request(void) {
  struct request *request = ring.unused;
  if (request == NULL) request = malloc(sizeof *request);
  else ring.unused = request->next;
  if (request == NULL) fail("malloc");
  return request;
}

/* queue(descriptor, slot, header, body): sent, without a copy, at the end of the turn */
static napi_value queue(napi_env env, napi_callback_info info) {
  size_t count = 4;
  napi_value given[4];
  int fd;
  napi_get_cb_info(env, info, &count, given, NULL, NULL);
  napi_get_value_int32(env, given[0], &fd);
  if (ring.waiting == submissions) submit();
  struct request *request = fresh_request();
  napi_get_value_uint32(env, given[1], &request->slot);
  int pieces = pieces_of(env, given[2], given[3], 0, request->pieces);
  request->message = (struct msghdr){.msg_iov = request->pieces, .msg_iovlen = (size_t)pieces};
  unsigned tail = *ring.sq_tail;
  ring.sqes[tail & *ring.sq_mask] = (struct io_uring_sqe){
      .opcode = IORING_OP_SENDMSG_ZC,
      .fd = fd,
      .addr = (uintptr_t)&request->message,
      .len = 1,
      /* the kernel goes on with what the socket did not take at once */
      .msg_flags = MSG_WAITALL | MSG_NOSIGNAL,
      .user_data = (uintptr_t)request,
  };
  __atomic_store_n(ring.sq_tail, tail + 1, __ATOMIC_RELEASE);
  ring.waiting++;
  return NULL;
}

/* open(words, onEvents, ring): once, before everything else; `ring`: by io_uring instead of MSG_ZEROCOPY */
static napi_value open_floor(napi_env env, napi_callback_info info) {
  size_t count = 3, length;
  napi_value given[3];
  bool by_ring;
  uv_loop_t *loop;
  void *memory;
  napi_get_cb_info(env, info, &count, given, NULL, NULL);
  napi_get_arraybuffer_info(env, given[0], &memory, &length);
  if (length < (1 + (events_at_once + 64) * words_per_event) * sizeof(uint32_t)) {
    errno = ENOSPC;
    fail("words");
  }
  words = memory;
  env_of_module = env;
  napi_create_reference(env, given[1], 1, &on_events);
  napi_get_value_bool(env, given[2], &by_ring);
  napi_get_uv_event_loop(env, &loop);
  if (by_ring) {
    open_ring(loop);
    return NULL;
  }
  epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  uv_poll_init(loop, &epoll_watch, epoll_fd);
  uv_poll_start(&epoll_watch, UV_READABLE, on_epoll);
  uv_unref((uv_handle_t *)&epoll_watch);
  return NULL;
}

static napi_value init(napi_env env, napi_value exports) {
  napi_property_descriptor all[] = {
      {"open", 0, open_floor, 0, 0, 0, napi_default, 0}, {"attach", 0, attach, 0, 0, 0, napi_default, 0},
      {"send", 0, send_now, 0, 0, 0, napi_default, 0},   {"detach", 0, detach, 0, 0, 0, napi_default, 0},
      {"queue", 0, queue, 0, 0, 0, napi_default, 0},
  };
  napi_define_properties(env, exports, sizeof all / sizeof *all, all);
  return exports;
}

NAPI_MODULE(floor, init)
