// The parser of error-queue entries: any control bytes, and well-formed messages against a model.
#include "kernel/errqueue.h"

#include <cerrno>

#include "control_message.h"
#include "kernel/abi.h"

namespace {

using fuzz::expect;
using msg_zerocopy::Notice;
using msg_zerocopy::Parsed;

constexpr Notice kUntouched = {0xfeedbeef, 0xdeadc0de, true};

void expect_untouched(const Notice& notice) {
  expect(notice.lo == kUntouched.lo && notice.hi == kUntouched.hi && notice.copied,
         "only a notice is written");
}

// Whether a zero-copy entry with this range stands anywhere in the control bytes.
bool stands_in(const fuzz::Exact& control, const Notice& notice) {
  sock_extended_err error;
  for (size_t at = 0; at + sizeof error <= control.size(); at++) {
    std::memcpy(&error, control.data() + at, sizeof error);
    if (error.ee_errno == 0 && error.ee_origin == SO_EE_ORIGIN_ZEROCOPY && error.ee_info == notice.lo &&
        error.ee_data == notice.hi && ((error.ee_code & 1) != 0) == notice.copied) {
      return true;
    }
  }
  return false;
}

void any_bytes(fuzz::Input* input) {
  const int flags = (input->byte() & 1) != 0 ? MSG_CTRUNC : 0;
  const fuzz::Exact control(input->take(input->left()));
  Notice notice = kUntouched;
  const Parsed parsed = parse_notice(fuzz::message_of(control, MSG_ERRQUEUE | flags), &notice);
  if (parsed == Parsed::kNotice) {
    expect(stands_in(control, notice), "a notice says what stands in the message");
    return;
  }
  expect_untouched(notice);
  expect((parsed == Parsed::kTruncated) == (flags != 0), "lost when the kernel says so, else foreign");
}

// Some of what a kernel sends and some of what it never would, in any order.
void well_formed(fuzz::Input* input) {
  const int flags = (input->byte() & 1) != 0 ? MSG_CTRUNC : 0;
  std::vector<uint8_t> control;
  bool found = false;
  Notice first = {0, 0, false};
  for (size_t i = 0; i < 8 && input->left() > 0; i++) {
    const uint8_t shape = input->byte();
    const int level = (shape & 1) != 0 ? SOL_IP : (shape & 2) != 0 ? SOL_IPV6 : SOL_SOCKET;
    const int type = (shape & 4) != 0 ? IP_RECVERR : (shape & 8) != 0 ? IPV6_RECVERR : SO_TIMESTAMPING;
    sock_extended_err error;
    std::memset(&error, 0, sizeof error);
    error.ee_errno = (shape & 16) != 0 ? ECONNREFUSED : 0;
    error.ee_origin = (shape & 32) != 0 ? input->byte() : SO_EE_ORIGIN_ZEROCOPY;
    error.ee_code = input->byte();
    error.ee_info = input->word();
    error.ee_data = input->word();
    std::vector<uint8_t> data;
    fuzz::append(&data, error);
    // The kernel puts the offender's address behind it; less than an entry is never believed.
    data.resize((shape & 64) != 0 ? input->byte() % 64 : sizeof error + 16, 0xff);
    fuzz::add_control(&control, level, type, data);
    const bool ours = (level == SOL_IP && type == IP_RECVERR) || (level == SOL_IPV6 && type == IPV6_RECVERR);
    const bool believed = data.size() >= sizeof error && error.ee_errno == 0 &&
                          error.ee_origin == SO_EE_ORIGIN_ZEROCOPY;
    if (found || !ours || !believed) continue;
    found = true;
    first = {error.ee_info, error.ee_data, (error.ee_code & SO_EE_CODE_ZEROCOPY_COPIED) != 0};
  }
  Notice notice = kUntouched;
  const fuzz::Exact exact(control);
  const Parsed parsed = parse_notice(fuzz::message_of(exact, MSG_ERRQUEUE | flags), &notice);
  expect((parsed == Parsed::kNotice) == found, "the first notice is found, and no other");
  if (!found) return expect_untouched(notice);
  expect(notice.lo == first.lo && notice.hi == first.hi && notice.copied == first.copied,
         "its range and its flag");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::Input input(data, size);
  if ((input.byte() & 1) != 0) well_formed(&input);
  else any_bytes(&input);
  return 0;
}
