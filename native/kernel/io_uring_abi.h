// The part of the kernel's io_uring interface that is used here, under the kernel's own names but for
// the case. Declared rather than included: linux/io_uring.h of the build machine (Debian 12: Linux 6.1)
// lacks newer names, and of older ones has none of it. The layout is fixed for ever.
// Source: include/uapi/linux/io_uring.h
#pragma once

#include <cstddef>
#include <cstdint>

namespace msg_zerocopy {
namespace uring {

struct Sqe {
  uint8_t opcode;
  uint8_t flags;
  uint16_t ioprio;  // of sends: kRecvsend… and kSendZc… flags
  int32_t fd;
  uint64_t off;
  uint64_t addr;
  uint32_t len;
  uint32_t msg_flags;
  uint64_t user_data;
  uint16_t buf_index;
  uint16_t personality;
  int32_t splice_fd_in;
  uint64_t pad[2];
};
static_assert(sizeof(Sqe) == 64, "struct io_uring_sqe");
static_assert(offsetof(Sqe, user_data) == 32 && offsetof(Sqe, buf_index) == 40, "struct io_uring_sqe");

struct Cqe {
  uint64_t user_data;
  int32_t res;
  uint32_t flags;
};
static_assert(sizeof(Cqe) == 16, "struct io_uring_cqe");

struct SqOffsets {
  uint32_t head, tail, ring_mask, ring_entries, flags, dropped, array, resv1;
  uint64_t resv2;
};
struct CqOffsets {
  uint32_t head, tail, ring_mask, ring_entries, overflow, cqes, flags, resv1;
  uint64_t resv2;
};
struct Params {
  uint32_t sq_entries, cq_entries, flags, sq_thread_cpu, sq_thread_idle, features, wq_fd, resv[3];
  SqOffsets sq_off;
  CqOffsets cq_off;
};
static_assert(sizeof(Params) == 120, "struct io_uring_params");

struct ResourceRegister {
  uint32_t nr, flags;
  uint64_t resv2, data, tags;
};
struct ResourceUpdate {
  uint32_t offset, resv;
  uint64_t data, tags;
  uint32_t nr, resv2;
};
static_assert(sizeof(ResourceRegister) == 32 && sizeof(ResourceUpdate) == 32, "rsrc structures");

struct ProbeOp {
  uint8_t op, resv;
  uint16_t flags;
  uint32_t resv2;
};
struct ProbeHeader {
  uint8_t last_op, ops_len;
  uint16_t resv;
  uint32_t resv2[3];
};
static_assert(sizeof(ProbeHeader) == 16 && sizeof(ProbeOp) == 8, "struct io_uring_probe");

struct Restriction {
  uint16_t kind;
  uint8_t op;  // of a registration or of a request
  uint8_t resv;
  uint32_t resv2[3];
};
static_assert(sizeof(Restriction) == 16, "struct io_uring_restriction");

// Operations, with the version that added them.
constexpr uint8_t kOpSendmsg = 9;     // 5.3
constexpr uint8_t kOpSend = 26;       // 5.6
constexpr uint8_t kOpSendZc = 47;     // 6.0
constexpr uint8_t kOpSendmsgZc = 48;  // 6.1
constexpr uint16_t kOpSupported = 1;

constexpr uint32_t kSetupCqsize = 1u << 3;
constexpr uint32_t kSetupClamp = 1u << 4;
constexpr uint32_t kSetupRDisabled = 1u << 6;      // 5.10
constexpr uint32_t kSetupSubmitAll = 1u << 7;      // 5.18
constexpr uint32_t kSetupTaskrunFlag = 1u << 9;    // 5.19
constexpr uint32_t kSetupSingleIssuer = 1u << 12;  // 6.0
constexpr uint32_t kSetupDeferTaskrun = 1u << 13;  // 6.1

constexpr uint32_t kFeatSingleMmap = 1u << 0;
constexpr uint32_t kFeatNodrop = 1u << 1;

constexpr uint64_t kOffSqRing = 0;
constexpr uint64_t kOffSqes = 0x10000000;

constexpr uint32_t kSqCqOverflow = 1u << 1;
constexpr uint32_t kSqTaskrun = 1u << 2;
constexpr uint32_t kCqEventfdDisabled = 1u << 0;

constexpr uint32_t kEnterGetevents = 1u << 0;

constexpr uint32_t kRegisterEventfd = 4;
constexpr uint32_t kRegisterProbe = 8;
constexpr uint32_t kRegisterRestrictions = 11;  // 5.10
constexpr uint32_t kRegisterEnableRings = 12;   // 5.10
constexpr uint32_t kRegisterBuffers2 = 15;
constexpr uint32_t kRegisterBuffersUpdate = 16;
constexpr uint32_t kRsrcRegisterSparse = 1u << 0;

constexpr uint16_t kRestrictionRegisterOp = 0;
constexpr uint16_t kRestrictionSqeOp = 1;

constexpr uint16_t kRecvsendFixedBuf = 1u << 2;
constexpr uint16_t kSendZcReportUsage = 1u << 3;  // 6.2

constexpr uint32_t kCqeMore = 1u << 1;   // of a result: a notification follows
constexpr uint32_t kCqeNotif = 1u << 3;  // this is it
constexpr uint32_t kNotifUsageZcCopied = 1u << 31;

}  // namespace uring
}  // namespace msg_zerocopy
