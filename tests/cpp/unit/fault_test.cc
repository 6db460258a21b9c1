// Faults on demand: which calls fail, when that is heard of, and what a lost device still does. On a null device and on
// a delayed host device, since a fault must look the same on both.
#include "plugin/core/fault.h"

#include "plugin/core/launch.h"
#include "plugin/host/device_host.h"
#include "tests/cpp/unit/testing.h"

namespace mps {
namespace {

class FaultTest : public ::testing::TestWithParam<const char*> {
 protected:
  static std::unique_ptr<Device> inner() {
    if (std::string(GetParam()) == "null") return std::make_unique<NullDevice>();
    HostOptions options;
    options.delay_us = 200;
    return std::make_unique<HostDevice>(options);
  }

  FaultTest() : device_(new FaultDevice(inner())), state_(0, std::unique_ptr<Device>(device_)) {
    stream_ = state_.create_stream();
    block_ = static_cast<char*>(state_.memory().allocate(32).address);
    range_ = state_.memory().resolve(block_, 32);
    stream_->fill(range_, 0);
    stream_->synchronize();
  }
  ~FaultTest() override { state_.drain(); }

  Faults& faults() { return device_->faults(); }

  // One piece of work of each kind, on the 32 bytes of the block.
  void submit(Fault fault) {
    static char host[32];
    switch (fault) {
      case Fault::encode: {
        Graph g;
        g.result(g.negative(g.placeholder(DType::int8, {32})));
        const Feed feeds[] = {block_};
        void* const results[] = {block_};
        OpScope scope("gelu");
        return launch(state_, *stream_, g, {feeds, 1}, {results, 1});
      }
      case Fault::copy:
        return stream_->copy(range_, range_);
      case Fault::upload:
        return stream_->upload(range_, host);
      case Fault::download:
        return stream_->download(host, range_);
      case Fault::fill:
        return stream_->fill(range_, 1);
      default:
        FAIL() << "not a piece of work";
    }
  }

  FaultDevice* const device_;
  DeviceState state_;
  Stream* stream_;
  char* block_;
  Range range_;
};

constexpr Fault kWork[] = {Fault::encode, Fault::copy, Fault::upload, Fault::download, Fault::fill};

bool starts_with(const std::string& text, const std::string& start) { return text.rfind(start, 0) == 0; }

TEST_P(FaultTest, FailedWorkIsHeardOfAtTheNextWaitOnce) {
  const char* const ops[] = {"[gelu] ", "[copy] ", "[upload] ", "[download] ", "[fill] "};
  for (size_t i = 0; i < 5; ++i) {
    faults().fail(kWork[i], 2);
    submit(kWork[i]);
    stream_->synchronize();
    submit(kWork[i]);  // does not throw
    submit(kWork[i]);  // runs all the same
    const std::string error = error_of(ErrorKind::kDevice, [&] { stream_->synchronize(); });
    EXPECT_TRUE(starts_with(error, std::string(ops[i]) + "the device failed: expected ")) << error;
    stream_->synchronize();
  }
}

TEST_P(FaultTest, FailedWorkHasNoEffectAndWorkBehindItRuns) {
  faults().fail("fill:2");
  stream_->fill(range_, 1);
  stream_->fill(range_, 2);
  stream_->drain();
  EXPECT_EQ(block_[0], 1);
  stream_->fill(range_, 3);
  stream_->drain();
  EXPECT_EQ(block_[31], 3);
  EXPECT_NE(error_of(ErrorKind::kDevice, [&] { stream_->synchronize(); }), "");
}

TEST_P(FaultTest, TheFirstOfTwoFailuresIsThrown) {
  faults().fail("fill:1,copy:1");
  stream_->copy(range_, range_);
  stream_->fill(range_, 1);
  EXPECT_TRUE(starts_with(error_of(ErrorKind::kDevice, [&] { stream_->synchronize(); }), "[copy] "));
  stream_->synchronize();
}

TEST_P(FaultTest, AnEventThrowsWhatFailedBeforeItsMark) {
  const auto before = device_->new_event(), after = device_->new_event(), never = device_->new_event();
  stream_->record(*before);
  faults().fail("fill");
  stream_->fill(range_, 1);
  stream_->record(*after);
  before->synchronize();
  never->synchronize();
  after->drain();
  EXPECT_TRUE(starts_with(error_of(ErrorKind::kDevice, [&] { after->synchronize(); }), "[fill] "));
  EXPECT_TRUE(after->query());
  stream_->synchronize();
}

TEST_P(FaultTest, WaitsAndEventsFailAtTheCall) {
  const auto event = device_->new_event();
  faults().fail("synchronize:2,event:1,record:1,wait:1");
  stream_->synchronize();
  EXPECT_NE(error_of(ErrorKind::kDevice, [&] { stream_->synchronize(); }), "");
  stream_->synchronize();
  EXPECT_NE(error_of(ErrorKind::kDevice, [&] { stream_->record(*event); }), "");
  stream_->record(*event);
  EXPECT_NE(error_of(ErrorKind::kDevice, [&] { stream_->wait(*event); }), "");
  stream_->wait(*event);
  EXPECT_NE(error_of(ErrorKind::kDevice, [&] { event->synchronize(); }), "");
  event->synchronize();
}

TEST_P(FaultTest, HeapsAndCompilationsFailAtTheCall) {
  faults().fail("heap:1,compile:1");
  EXPECT_EQ(device_->new_heap(1 << 20), nullptr);
  EXPECT_NE(device_->new_heap(1 << 20), nullptr);
  EXPECT_NE(error_of(ErrorKind::kDevice, [&] { submit(Fault::encode); }), "");
  EXPECT_EQ(state_.cache().info().entries, 0u);
  submit(Fault::encode);
  EXPECT_EQ(state_.cache().info().entries, 1u);
}

TEST_P(FaultTest, ALostDeviceRefusesWorkAndKeepsItsMemory) {
  const auto event = device_->new_event();
  stream_->fill(range_, 5);
  faults().fail("lose:2");
  stream_->fill(range_, 6);
  submit(Fault::copy);  // the loss: heard of at the next wait, like any failure
  faults().fail("none");
  EXPECT_TRUE(faults().lost());
  for (Fault fault : kWork) {
    const std::string error = error_of(ErrorKind::kDevice, [&] { submit(fault); });
    EXPECT_NE(error.find("the device is lost"), std::string::npos) << error;
  }
  EXPECT_NE(error_of(ErrorKind::kDevice, [&] { device_->new_heap(1 << 20); }), "");
  stream_->record(*event);
  stream_->wait(*event);
  EXPECT_TRUE(starts_with(error_of(ErrorKind::kDevice, [&] { event->synchronize(); }), "[copy] the device is lost"));
  stream_->synchronize();
  EXPECT_TRUE(stream_->query());
  EXPECT_EQ(block_[7], 6);
  block_[7] = 8;
  state_.memory().free(block_);
  EXPECT_EQ(state_.memory().stats().blocks, 0u);
  Stream* const other = state_.create_stream();
  EXPECT_NE(error_of(ErrorKind::kDevice, [&] { other->fill(range_, 1); }), "");
  state_.destroy_stream(other);
}

TEST_P(FaultTest, ADestroyedStreamTakesItsFailureAlong) {
  Stream* const other = state_.create_stream();
  faults().fail("fill");
  other->fill(range_, 1);
  state_.destroy_stream(other);  // logs it
  state_.synchronize();
}

TEST_P(FaultTest, PassesProgressOn) {
  const uint64_t before = stream_->submitted();
  stream_->fill(range_, 1);
  EXPECT_GT(stream_->submitted(), before);
  stream_->drain();
  EXPECT_GE(stream_->completed(), before + 1);
}

INSTANTIATE_TEST_SUITE_P(Devices, FaultTest, ::testing::Values("null", "host"),
                         [](const auto& device) { return device.param; });

TEST(Faults, AreCountedAndOrderedInWords) {
  Faults faults;
  faults.fail("encode:3,heap:2+,compile");
  EXPECT_EQ(faults.made(Fault::encode), 0u);
  EXPECT_EQ(faults.made(Fault::encode), 0u);
  EXPECT_EQ(faults.made(Fault::encode), 3u);
  EXPECT_EQ(faults.made(Fault::encode), 0u);
  EXPECT_EQ(faults.made(Fault::heap), 0u);
  for (uint64_t i = 2; i < 5; ++i) EXPECT_EQ(faults.made(Fault::heap), i);
  EXPECT_EQ(faults.made(Fault::compile), 1u);
  EXPECT_EQ(faults.count(Fault::heap), 4u);
  faults.fail("encode:1");  // from now, and instead of the others
  EXPECT_EQ(faults.made(Fault::heap), 0u);
  EXPECT_EQ(faults.made(Fault::encode), 5u);
  faults.fail("encode:1+");
  faults.fail("none");
  EXPECT_EQ(faults.made(Fault::encode), 0u);
}

TEST(Faults, RefusesWordsThatItDoesNotKnow) {
  Faults faults;
  faults.fail("fill:1");
  for (const char* words :
       {"meteor:1", "fill:", "fill:0", "fill:-1", "fill:1-3", "fill:x", "fill:+", "fill:1++", " "}) {
    EXPECT_NE(error_of(ErrorKind::kArgument, [&] { faults.fail(words); }), "") << words;
  }
  EXPECT_NE(
      error_of(ErrorKind::kArgument, [&] { faults.fail("meteor"); }).find("expected one of heap, wrap, compile, "),
      std::string::npos);
  EXPECT_EQ(faults.made(Fault::fill), 1u);  // what was ordered before stays
}

}  // namespace
}  // namespace mps
