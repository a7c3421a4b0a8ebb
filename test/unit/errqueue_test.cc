// The parser of error-queue entries against messages made by hand: everything that a kernel, a capture
// tool or a hostile peer's ICMP may put there. Built and run by errqueue.test.ts, with sanitizers.
#include "kernel/errqueue.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "kernel/abi.h"

namespace {

using msg_zerocopy::Notice;
using msg_zerocopy::notice_count;
using msg_zerocopy::parse_notice;
using msg_zerocopy::Parsed;

int failures = 0;

void expect(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "failed: %s\n", what);
  failures++;
}

sock_extended_err entry(uint8_t origin, uint32_t lo, uint32_t hi, uint8_t code = 0, uint32_t error = 0) {
  sock_extended_err value;
  std::memset(&value, 0, sizeof value);
  value.ee_errno = error;
  value.ee_origin = origin;
  value.ee_code = code;
  value.ee_info = lo;
  value.ee_data = hi;
  return value;
}

// A message in memory of exactly its size, so that a read beyond it is an error of the sanitizer's.
class Message {
 public:
  void add(int level, int type, const void* data, size_t length) {
    const size_t at = control_.size();
    control_.resize(at + CMSG_SPACE(length));
    cmsghdr header;
    std::memset(&header, 0, sizeof header);
    header.cmsg_level = level;
    header.cmsg_type = type;
    header.cmsg_len = CMSG_LEN(length);
    std::memcpy(&control_[at], &header, sizeof header);
    std::memcpy(&control_[at + CMSG_LEN(0)], data, length);
    last_ = at;
  }

  void add(int level, int type, const sock_extended_err& error) {
    // The kernel puts the offender's address behind it: 32 and 44 bytes in all.
    unsigned char data[sizeof error + 28];
    const size_t length = sizeof error + (level == SOL_IP ? 16 : 28);
    std::memset(data, 0xff, sizeof data);
    std::memcpy(data, &error, sizeof error);
    add(level, type, data, length);
  }

  // What the last control message says of its own length.
  void claim(size_t length) { std::memcpy(&control_[last_], &length, sizeof length); }
  void cut(size_t length) { control_.resize(length); }

  Parsed parse(Notice* notice, int flags = MSG_ERRQUEUE) {
    std::vector<unsigned char> exact(control_);
    exact.shrink_to_fit();
    msghdr message;
    std::memset(&message, 0, sizeof message);
    message.msg_control = exact.empty() ? nullptr : exact.data();
    message.msg_controllen = exact.size();
    message.msg_flags = flags;
    return parse_notice(message, notice);
  }

 private:
  std::vector<unsigned char> control_;
  size_t last_ = 0;
};

const sock_extended_err kZeroCopy = entry(SO_EE_ORIGIN_ZEROCOPY, 7, 9, SO_EE_CODE_ZEROCOPY_COPIED);

void both_levels() {
  for (const int level : {SOL_IP, SOL_IPV6}) {
    const int type = level == SOL_IP ? IP_RECVERR : IPV6_RECVERR;
    Message message;
    message.add(level, type, kZeroCopy);
    Notice notice = {0, 0, false};
    expect(message.parse(&notice) == Parsed::kNotice, "a notice of either level");
    expect(notice.lo == 7 && notice.hi == 9 && notice.copied, "its range and its flag");
    Message clear;
    clear.add(level, type, entry(SO_EE_ORIGIN_ZEROCOPY, 1, 1));
    expect(clear.parse(&notice) == Parsed::kNotice && !notice.copied, "not copied");
    Message crossed;
    crossed.add(level, level == SOL_IP ? IPV6_RECVERR : IP_RECVERR, kZeroCopy);
    expect(crossed.parse(&notice) == Parsed::kForeign, "the type of the other level");
  }
}

void behind_others() {
  const timespec stamps[3] = {};
  Message message;
  message.add(SOL_SOCKET, SO_TIMESTAMPING, stamps, sizeof stamps);
  message.add(SOL_IP, IP_RECVERR, kZeroCopy);
  Notice notice = {0, 0, false};
  expect(message.parse(&notice) == Parsed::kNotice && notice.lo == 7, "behind a timestamp");
  Message both;
  both.add(SOL_IP, IP_RECVERR, entry(SO_EE_ORIGIN_TIMESTAMPING, 3, 4, 0, ENOMSG));
  both.add(SOL_IP, IP_RECVERR, kZeroCopy);
  expect(both.parse(&notice) == Parsed::kNotice && notice.hi == 9, "behind a foreign entry");
}

void foreign() {
  for (const uint8_t origin : {0, 1, 2, 3, 4, 6, 255}) {
    Message message;
    message.add(SOL_IP, IP_RECVERR, entry(origin, 7, 9, 1));
    Notice notice = {1, 2, false};
    expect(message.parse(&notice) == Parsed::kForeign, "another origin");
    expect(notice.lo == 1 && notice.hi == 2 && !notice.copied, "writes nothing for another origin");
  }
  Message icmp;
  icmp.add(SOL_IPV6, IPV6_RECVERR, entry(SO_EE_ORIGIN_ZEROCOPY, 7, 9, 0, ECONNREFUSED));
  Notice notice = {1, 2, false};
  expect(icmp.parse(&notice) == Parsed::kForeign, "an errno beside the origin");
  expect(Message().parse(&notice) == Parsed::kForeign, "no control message at all");
}

void truncated() {
  Notice notice = {1, 2, false};
  for (size_t claimed = 0; claimed < CMSG_LEN(sizeof(sock_extended_err)); claimed++) {
    Message message;
    message.add(SOL_IP, IP_RECVERR, kZeroCopy);
    message.claim(claimed);
    expect(message.parse(&notice) == Parsed::kForeign, "a control message that claims less");
  }
  for (size_t size = 0; size < CMSG_LEN(sizeof(sock_extended_err)); size++) {
    Message message;
    message.add(SOL_IP, IP_RECVERR, kZeroCopy);
    message.cut(size);
    // The kernel shortens cmsg_len with the buffer (net/core/scm.c:put_cmsg).
    if (size >= sizeof(cmsghdr)) message.claim(size);
    expect(message.parse(&notice, MSG_ERRQUEUE | MSG_CTRUNC) == Parsed::kTruncated, "cut, and lost");
  }
  Message whole;
  whole.add(SOL_IP, IP_RECVERR, kZeroCopy);
  whole.cut(CMSG_LEN(sizeof(sock_extended_err)));
  whole.claim(CMSG_LEN(sizeof(sock_extended_err)));
  expect(whole.parse(&notice, MSG_ERRQUEUE | MSG_CTRUNC) == Parsed::kNotice,
         "cut behind what is needed: still a notice");
}

void counts() {
  expect(notice_count({5, 5, false}) == 1, "one");
  expect(notice_count({5, 7, false}) == 3, "three");
  expect(notice_count({UINT32_MAX, 0, false}) == 2, "two across the wrap");
  expect(notice_count({UINT32_MAX - 1, 2, false}) == 5, "five across the wrap");
  expect(notice_count({0, UINT32_MAX, false}) == uint64_t{1} << 32, "all there are");
  expect(notice_count({1, 0, false}) == uint64_t{1} << 32, "all there are, from one on");
}

}  // namespace

int main() {
  both_levels();
  behind_others();
  foreign();
  truncated();
  counts();
  if (failures == 0) std::puts("ok");
  return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
