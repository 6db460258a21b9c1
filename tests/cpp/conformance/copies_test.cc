// Copies at every alignment and of every size, and order between the devices of a backend.
#include <algorithm>

#include "tests/cpp/conformance/exam.h"

namespace mps::exam {
namespace {

class Copies : public Exam {
 protected:
  explicit Copies(int64_t delay_us = 0) : Exam(delay_us) {}

  static std::vector<unsigned char> pattern(size_t bytes, uint32_t seed) {
    std::vector<unsigned char> values(bytes);
    for (unsigned char& value : values) {
      seed = seed * 1664525 + 1013904223;
      value = static_cast<unsigned char>(seed >> 24);
    }
    return values;
  }
  static Range part(const Block& block, size_t offset, size_t bytes) {
    const Range all = block.range();
    return {all.buffer, all.offset + offset, bytes};
  }

  void ask_alignment();
  void ask_sizes();
  void ask_no_bytes();
  void ask_two_devices();
};

class DelayedCopies : public Copies {
 protected:
  DelayedCopies() : Copies(300) {}
};

void Copies::ask_alignment() {
  constexpr size_t kBytes = 67;
  for (size_t from = 0; from < 9; ++from) {
    for (size_t to = 0; to < 9; to += 2) {
      const std::vector<unsigned char> source = pattern(kBytes + 9, static_cast<uint32_t>(from * 9 + to));
      Block a(device(), kBytes + 9), b(device(), kBytes + 9);
      stream().fill(a.range(), 0);
      stream().fill(b.range(), 0);
      stream().upload(part(a, from, kBytes), source.data() + to);
      stream().copy(part(b, to, kBytes), part(a, from, kBytes));
      std::vector<unsigned char> got(kBytes + 9), want(kBytes + 9);
      stream().download(got.data() + from, part(b, to, kBytes));
      stream().synchronize();
      std::copy_n(source.begin() + static_cast<ptrdiff_t>(to), kBytes, want.begin() + static_cast<ptrdiff_t>(from));
      ASSERT_EQ(got, want) << "from " << from << " to " << to;
      ASSERT_EQ(static_cast<unsigned char*>(b.address())[to + kBytes], 0);
    }
  }
}

void Copies::ask_sizes() {
  // Around whatever borders there are between ways to copy.
  for (size_t bytes : {1, 3, 255, 4095, 4097, 65535, (256 << 10) - 1, 256 << 10, (256 << 10) + 1, (3 << 20) + 7}) {
    Block a(device(), bytes + 1), b(device(), bytes + 1);
    std::vector<unsigned char> source = pattern(bytes, static_cast<uint32_t>(bytes)), got(bytes);
    const std::vector<unsigned char> want = source;
    stream().fill(a.range(), 0xEE);
    stream().upload(part(a, 1, bytes), source.data());
    std::fill(source.begin(), source.end(), 0);  // at once
    stream().copy(part(b, 0, bytes), part(a, 1, bytes));
    stream().fill(a.range(), 0xDD);
    stream().download(got.data(), part(b, 0, bytes));
    stream().synchronize();
    ASSERT_EQ(got, want) << bytes;
  }
}

void Copies::ask_no_bytes() {
  Block block(device(), 16);
  unsigned char host = 9;
  stream().fill(block.range(), 5);
  stream().fill(part(block, 0, 0), 1);
  stream().upload(part(block, 16, 0), &host);
  stream().upload({}, nullptr);
  stream().download(&host, part(block, 3, 0));
  stream().download(nullptr, {});
  stream().copy(part(block, 0, 0), part(block, 8, 0));
  stream().copy({}, {});
  stream().synchronize();
  EXPECT_EQ(host, 9);
  EXPECT_EQ(static_cast<unsigned char*>(block.address())[0], 5);
}

void Copies::ask_two_devices() {
  DeviceState other(1, open_device(300));
  Stream* const theirs = other.create_stream();
  const std::unique_ptr<Event> ours = device().device().new_event(), back = other.device().new_event();
  const size_t bytes = 200000;
  Block a(device(), bytes), b(other, bytes);
  for (uint8_t round = 1; round <= 10; ++round) {
    // A stream of one device waits for an event of the other, in both directions.
    stream().fill(a.range(), round);
    stream().record(*ours);
    theirs->wait(*ours);
    theirs->fill(b.range(), round);
    theirs->record(*back);
    back->synchronize();
    EXPECT_TRUE(ours->query());
    EXPECT_EQ(static_cast<unsigned char*>(a.address())[bytes - 1], round);
    theirs->fill(b.range(), 0);
    theirs->record(*back);
    stream().wait(*back);
    stream().fill(a.range(), 0);
    stream().record(*ours);
    ours->synchronize();
    EXPECT_TRUE(back->query());
    EXPECT_EQ(static_cast<unsigned char*>(b.address())[0], 0);
  }
  stream().synchronize();
  other.destroy_stream(theirs);
}

TEST_F(Copies, MayStartAtAnyByte) { ask_alignment(); }
TEST_F(DelayedCopies, MayStartAtAnyByte) { ask_alignment(); }
TEST_F(Copies, OfEverySize) { ask_sizes(); }
TEST_F(DelayedCopies, OfEverySize) { ask_sizes(); }
TEST_F(Copies, OfNothingDoNothing) { ask_no_bytes(); }
TEST_F(DelayedCopies, OfNothingDoNothing) { ask_no_bytes(); }
TEST_F(Copies, StreamsWaitForOtherDevices) { ask_two_devices(); }
TEST_F(DelayedCopies, StreamsWaitForOtherDevices) { ask_two_devices(); }

}  // namespace
}  // namespace mps::exam
