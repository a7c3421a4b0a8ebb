// Ids modulo 2^32: what a notice covers, against counters of 64 bits.
#include "kernel/errqueue.h"
#include "target.h"

namespace {

using fuzz::expect;
using msg_zerocopy::Notice;
using msg_zerocopy::notice_count;
using msg_zerocopy::notice_covers;

constexpr uint64_t kWrap = uint64_t{1} << 32;

Notice narrowed(uint64_t lo, uint64_t hi) {
  return {static_cast<uint32_t>(lo), static_cast<uint32_t>(hi), false};
}

// The sends from `first` on, released in pieces as the kernel would tell: how many ids are pending must
// come out at zero, and each id must be covered by the notice of its own piece only.
void a_life(fuzz::Input* input) {
  uint64_t next = input->long_word() >> (input->byte() % 64);
  if (next > UINT64_MAX - 64 * kWrap) next = 0;
  uint64_t pending = 0;
  const uint64_t probe = next + input->word();
  for (size_t i = 0; i < 64 && input->left() > 0; i++) {
    const uint64_t count = uint64_t{1} + (input->word() >> (input->byte() % 32));
    const uint64_t lo = next;
    const uint64_t hi = next + count - 1;
    next += count;
    pending += count;
    const Notice notice = narrowed(lo, hi);
    expect(notice_count(notice) == count, "as many ids as were sent");
    expect(notice_covers(notice, notice.lo) && notice_covers(notice, notice.hi), "its two ends");
    if (count < kWrap) {
      expect(!notice_covers(notice, static_cast<uint32_t>(hi + 1)), "not the one behind");
      expect(!notice_covers(notice, static_cast<uint32_t>(lo - 1)), "not the one before");
    }
    // Within one turn of the counter an id has one meaning.
    if (probe >= lo && probe - lo < kWrap) {
      expect(notice_covers(notice, static_cast<uint32_t>(probe)) == (probe <= hi), "as with 64 bits");
    }
    pending -= notice_count(notice);
  }
  expect(pending == 0, "nothing is left over");
}

void any_numbers(fuzz::Input* input) {
  const Notice notice = {input->word(), input->word(), false};
  const uint32_t id = input->word();
  const uint64_t count = notice_count(notice);
  expect(count >= 1 && count <= kWrap, "one id at least, all at most");
  expect(static_cast<uint32_t>(notice.lo + (count - 1)) == notice.hi, "from the first to the last");
  const uint64_t distance = static_cast<uint32_t>(id - notice.lo);
  expect(notice_covers(notice, id) == (distance < count), "covered within the count");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::Input input(data, size);
  if ((input.byte() & 1) != 0) a_life(&input);
  else any_numbers(&input);
  return 0;
}
