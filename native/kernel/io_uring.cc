#include "kernel/io_uring.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>

// The numbers are the same on every architecture (Linux 5.1).
#ifndef SYS_io_uring_setup
#define SYS_io_uring_setup 425
#define SYS_io_uring_enter 426
#define SYS_io_uring_register 427
#endif

namespace msg_zerocopy {
namespace {

template <typename T>
T load_acquire(const T* from) {
  return __atomic_load_n(from, __ATOMIC_ACQUIRE);
}

int register_resource(int ring, uint32_t opcode, const void* argument, uint32_t count) {
  const long done = syscall(SYS_io_uring_register, ring, opcode, argument, count);
  return done < 0 ? -errno : static_cast<int>(done);
}

}  // namespace

IoUring::~IoUring() {
  if (rings_ != nullptr) munmap(rings_, rings_bytes_);
  if (sqes_ != nullptr) munmap(sqes_, sqes_bytes_);
}

int IoUring::open(RingEntries wanted, RingIssuer issuer) {
  uring::Params params;
  std::memset(&params, 0, sizeof params);
  // One bad request does not hold up those behind it.
  params.flags = uring::kSetupCqsize | uring::kSetupClamp | uring::kSetupSubmitAll | uring::kSetupRDisabled;
  if (issuer == RingIssuer::kOneThread) {
    params.flags |= uring::kSetupTaskrunFlag | uring::kSetupSingleIssuer | uring::kSetupDeferTaskrun;
  }
  params.cq_entries = wanted.completions;
  const long ring = syscall(SYS_io_uring_setup, wanted.submissions, &params);
  if (ring < 0) return -errno;
  fd_ = Fd(static_cast<int>(ring));  // CLOEXEC, the kernel sees to that
  constexpr uint32_t needed = uring::kFeatSingleMmap | uring::kFeatNodrop;
  if ((params.features & needed) != needed) return -EOPNOTSUPP;
  const int mapped = map(params);
  return mapped < 0 ? mapped : restrict_and_enable();
}

// A ring that can only send is of little use to an attacker who controls it, or gets its descriptor. The
// kernel knows restrictions since 5.10, which is older than a ring of these flags.
int IoUring::restrict_and_enable() {
  constexpr uint8_t kRequests[] = {uring::kOpSend, uring::kOpSendmsg, uring::kOpSendZc,
                                   uring::kOpSendmsgZc};
  constexpr uint8_t kRegistrations[] = {uring::kRegisterEventfd, uring::kRegisterProbe,
                                        uring::kRegisterBuffers2, uring::kRegisterBuffersUpdate};
  uring::Restriction allowed[std::size(kRequests) + std::size(kRegistrations)];
  std::memset(allowed, 0, sizeof allowed);
  uint32_t count = 0;
  for (const uint8_t op : kRequests) {
    allowed[count].kind = uring::kRestrictionSqeOp;
    allowed[count++].op = op;
  }
  for (const uint8_t op : kRegistrations) {
    allowed[count].kind = uring::kRestrictionRegisterOp;
    allowed[count++].op = op;
  }
  const int restricted = register_resource(fd_.get(), uring::kRegisterRestrictions, allowed, count);
  if (restricted < 0) return restricted;
  return register_resource(fd_.get(), uring::kRegisterEnableRings, nullptr, 0);
}

int IoUring::map(const uring::Params& params) {
  rings_bytes_ = std::max(params.sq_off.array + params.sq_entries * sizeof(uint32_t),
                          params.cq_off.cqes + params.cq_entries * sizeof(uring::Cqe));
  void* rings = mmap(nullptr, rings_bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
                     fd_.get(), static_cast<off_t>(uring::kOffSqRing));
  if (rings == MAP_FAILED) return -errno;
  rings_ = rings;
  sqes_bytes_ = params.sq_entries * sizeof(uring::Sqe);
  void* sqes = mmap(nullptr, sqes_bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
                    fd_.get(), static_cast<off_t>(uring::kOffSqes));
  if (sqes == MAP_FAILED) return -errno;
  sqes_ = static_cast<uring::Sqe*>(sqes);
  const auto at = [this](uint32_t offset) {
    return reinterpret_cast<uint32_t*>(static_cast<char*>(rings_) + offset);
  };
  sq_head_ = at(params.sq_off.head);
  sq_tail_ = at(params.sq_off.tail);
  sq_flags_ = at(params.sq_off.flags);
  cq_head_ = at(params.cq_off.head);
  cq_tail_ = at(params.cq_off.tail);
  cq_flags_ = at(params.cq_off.flags);
  cqes_ = reinterpret_cast<uring::Cqe*>(at(params.cq_off.cqes));
  uint32_t* array = at(params.sq_off.array);
  for (uint32_t i = 0; i < params.sq_entries; i++) array[i] = i;
  entries_ = {params.sq_entries, params.cq_entries};
  return 0;
}

int IoUring::supports(uint8_t opcode) {
  constexpr uint32_t kOps = 256;
  struct {
    uring::ProbeHeader header;
    uring::ProbeOp ops[kOps];
  } probe;
  std::memset(&probe, 0, sizeof probe);
  const int probed = register_resource(fd_.get(), uring::kRegisterProbe, &probe, kOps);
  if (probed < 0) return probed;
  if (opcode > probe.header.last_op) return 0;
  return (probe.ops[opcode].flags & uring::kOpSupported) != 0 ? 1 : 0;
}

int IoUring::register_eventfd(int eventfd) {
  return register_resource(fd_.get(), uring::kRegisterEventfd, &eventfd, 1);
}

int IoUring::register_empty_buffers(uint32_t count) {
  uring::ResourceRegister sparse;
  std::memset(&sparse, 0, sizeof sparse);
  sparse.nr = count;
  sparse.flags = uring::kRsrcRegisterSparse;
  return register_resource(fd_.get(), uring::kRegisterBuffers2, &sparse, sizeof sparse);
}

int IoUring::update_buffer(uint32_t slot, void* base, size_t bytes) {
  iovec memory = {bytes == 0 ? nullptr : base, bytes};
  uring::ResourceUpdate update;
  std::memset(&update, 0, sizeof update);
  update.offset = slot;
  update.data = reinterpret_cast<uintptr_t>(&memory);
  update.nr = 1;
  const int updated =
      register_resource(fd_.get(), uring::kRegisterBuffersUpdate, &update, sizeof update);
  return updated < 0 ? updated : 0;
}

uring::Sqe* IoUring::prepare() {
  if (sq_local_tail_ - load_acquire(sq_head_) >= entries_.submissions) return nullptr;
  uring::Sqe* sqe = &sqes_[sq_local_tail_ & (entries_.submissions - 1)];
  sq_local_tail_++;
  std::memset(sqe, 0, sizeof *sqe);
  return sqe;
}

int IoUring::submit() { return enter(0, 0); }

int IoUring::enter() { return enter(0, uring::kEnterGetevents); }

int IoUring::wait() { return enter(1, uring::kEnterGetevents); }

int IoUring::enter(uint32_t least, uint32_t flags) {
  __atomic_store_n(sq_tail_, sq_local_tail_, __ATOMIC_RELEASE);
  for (;;) {
    const uint32_t count = prepared();
    const long submitted = syscall(SYS_io_uring_enter, fd_.get(), count, least, flags, nullptr,
                                   static_cast<size_t>(0));
    if (submitted < 0 && errno == EINTR) continue;
    if (submitted < 0) return -errno;
    sq_submitted_ += static_cast<uint32_t>(submitted);
    // A part only: memory for a request was short, or a signal came.
    if (prepared() == 0) return 0;
    if (submitted == 0) return -EAGAIN;
  }
}

uint32_t IoUring::revoke() {
  const uint32_t count = prepared();
  // Without a polling thread the kernel looks at the tail in enter() only.
  sq_local_tail_ = sq_submitted_;
  __atomic_store_n(sq_tail_, sq_local_tail_, __ATOMIC_RELEASE);
  return count;
}

bool IoUring::pop(uring::Cqe* completion) {
  const uint32_t head = *cq_head_;
  if (head == load_acquire(cq_tail_)) return false;
  *completion = cqes_[head & (entries_.completions - 1)];
  __atomic_store_n(cq_head_, head + 1, __ATOMIC_RELEASE);
  return true;
}

bool IoUring::has_completions() const {
  if (*cq_head_ != load_acquire(cq_tail_)) return true;
  return holds_completions();
}

bool IoUring::holds_completions() const {
  return (__atomic_load_n(sq_flags_, __ATOMIC_ACQUIRE) &
          (uring::kSqTaskrun | uring::kSqCqOverflow)) != 0;
}

void IoUring::set_wakeups(bool on) {
  __atomic_store_n(cq_flags_, on ? 0 : uring::kCqEventfdDisabled, __ATOMIC_RELEASE);
  // In front of the caller's look at holds_completions(): the kernel posts, then reads this flag.
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

}  // namespace msg_zerocopy
