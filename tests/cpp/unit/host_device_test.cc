// The host device itself: its description, its heaps, its streams' errors, its temporaries.
#include <atomic>
#include <cstring>
#include <thread>
#include <vector>

#include "plugin/core/launch.h"
#include "plugin/host/device_host.h"
#include "plugin/host/executable_host.h"
#include "plugin/host/scratch_host.h"
#include "plugin/host/threads.h"
#include "tests/cpp/unit/testing.h"

namespace mps {
namespace {

TEST(HostDevice, DescribesItself) {
  HostDevice device(HostOptions{});
  const DeviceProperties& properties = device.properties();
  EXPECT_FALSE(properties.name.empty());
  EXPECT_EQ(properties.backend, "host");
  EXPECT_GT(properties.total_memory, uint64_t{1} << 28);
  EXPECT_LE(properties.recommended_memory, properties.total_memory);
  EXPECT_EQ(properties.alignment, 256u);
  EXPECT_EQ(properties.core_count, thread_count());
  EXPECT_TRUE(properties.unified_memory);
}

TEST(HostDevice, HeapsAreZeroAndAligned) {
  HostDevice device(HostOptions{});
  for (size_t bytes : {size_t{1}, size_t{5000}, size_t{3} << 20}) {
    const auto heap = device.new_heap(bytes);
    ASSERT_NE(heap, nullptr);
    EXPECT_GE(heap->bytes(), bytes);
    EXPECT_EQ(device.driver_allocated_bytes(), heap->bytes());
    const auto buffer = heap->new_buffer(0, heap->bytes());
    char* const base = static_cast<char*>(buffer->contents());
    EXPECT_EQ(reinterpret_cast<uintptr_t>(base) % 256, 0u);
    EXPECT_EQ(base[0], 0);
    std::memset(base, 1, heap->bytes());
    if (heap->bytes() > 512) {
      const auto part = heap->new_buffer(256, 256);
      EXPECT_EQ(part->contents(), base + 256);
      EXPECT_EQ(part->bytes(), 256u);
    }
  }
  EXPECT_EQ(device.driver_allocated_bytes(), 0u);
}

TEST(HostDevice, HasNoHeapLargerThanTheSystem) {
  HostDevice device(HostOptions{});
  EXPECT_EQ(device.new_heap(size_t{1} << 62), nullptr);
  EXPECT_EQ(device.new_heap(SIZE_MAX), nullptr);
}

// An executable that fails, at a price that decides where it runs.
class Failing final : public HostExecutable {
 public:
  explicit Failing(uint64_t cost_ns) : cost_ns_(cost_ns) {}
  void run(Span<const HostBinding>, Span<const HostBinding>) const override { MPS_THROW(kDevice, "it broke."); }
  uint64_t cost_ns() const override { return cost_ns_; }
  size_t bytes() const override { return 0; }

 private:
  const uint64_t cost_ns_;
};

class HostStreamErrors : public ::testing::TestWithParam<uint64_t> {};

// At once, and queued.
INSTANTIATE_TEST_SUITE_P(Costs, HostStreamErrors, ::testing::Values(0, 1'000'000'000));

TEST_P(HostStreamErrors, AreKeptForTheNextSynchronize) {
  HostDevice device(HostOptions{});
  const auto stream = device.new_stream();
  const auto executable = std::make_shared<Failing>(GetParam());
  stream->encode(executable, {}, {}, "matmul");
  stream->drain();  // keeps it
  EXPECT_EQ(error_of(ErrorKind::kDevice, [&] { stream->synchronize(); }), "[matmul] it broke.");
  stream->synchronize();
  char target = 0;
  const auto heap = device.new_heap(4096);
  const auto buffer = heap->new_buffer(0, 256);
  stream->fill({buffer.get(), 0, 1}, 9);  // usable afterwards
  stream->download(&target, {buffer.get(), 0, 1});
  stream->synchronize();
  EXPECT_EQ(target, 9);
}

TEST_P(HostStreamErrors, AreThrownByEventsRecordedLater) {
  HostDevice device(HostOptions{});
  const auto stream = device.new_stream(), other = device.new_stream();
  const auto before = device.new_event(), after = device.new_event();
  stream->record(*before);
  stream->encode(std::make_shared<Failing>(GetParam()), {}, {}, "matmul");
  stream->record(*after);
  other->wait(*after);
  other->synchronize();  // the failure is not its own
  before->synchronize();
  EXPECT_EQ(error_of(ErrorKind::kDevice, [&] { after->synchronize(); }), "[matmul] it broke.");
  after->synchronize();
  stream->synchronize();
}

TEST(HostStream, CallbacksMayThrow) {
  HostDevice device(HostOptions{});
  const auto stream = device.new_stream();
  std::atomic<bool> called{false};
  stream->add_callback([&] {
    called = true;
    throw std::runtime_error("from a callback");
  });
  while (!called) std::this_thread::yield();
  stream->synchronize();
}

TEST(Scratch, LendsBlocksAgain) {
  Scratch scratch;
  char* first;
  {
    const Scratch::Lease lease = scratch.take(100000);
    first = lease.data();
    std::memset(first, 1, 100000);
    const Scratch::Lease other = scratch.take(100000);
    EXPECT_NE(other.data(), first);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(first) % 64, 0u);
  }
  const size_t held = scratch.bytes();
  EXPECT_GE(held, 200000u);
  for (int i = 0; i < 10; ++i) scratch.take(90000);
  EXPECT_EQ(scratch.bytes(), held);
}

TEST(Scratch, SmallNeedsLeaveLargeBlocksAlone) {
  Scratch scratch;
  scratch.take(64 << 20);
  const Scratch::Lease small = scratch.take(100);
  const size_t held = scratch.bytes();
  const Scratch::Lease large = scratch.take(60 << 20);
  EXPECT_EQ(scratch.bytes(), held);
}

TEST(Scratch, RefusesTheImpossible) {
  Scratch scratch;
  EXPECT_THROW(scratch.take(size_t{1} << 60), std::bad_alloc);
  EXPECT_EQ(scratch.bytes(), 0u);
}

TEST(HostExecutable, TheSameOneRunsOnSeveralStreamsAtOnce) {
  // Its temporaries must not be shared.
  const int64_t n = 200;
  DeviceState state(0, std::make_unique<HostDevice>(HostOptions{}));
  Graph g;
  const Value x = g.placeholder(DType::int32, {n, n});
  const Value sums = g.reduction_sum(g.multiplication(x, x), {1});
  g.result(g.addition(g.transpose(g.addition(x, sums), {1, 0}), sums));
  std::vector<std::thread> threads;
  for (int32_t t = 1; t <= 3; ++t) {
    threads.emplace_back([&, t] {
      Stream* const stream = state.create_stream();
      const size_t bytes = static_cast<size_t>(n * n) * sizeof(int32_t);
      void* const from = state.memory().allocate(bytes).address;
      void* const to = state.memory().allocate(bytes).address;
      for (int i = 0; i < 30; ++i) {
        std::vector<int32_t> values(static_cast<size_t>(n * n), t);
        stream->upload(state.memory().resolve(from, bytes), values.data());
        const Feed feeds[] = {from};
        launch(state, *stream, g, {feeds, 1}, {&to, 1});
        stream->download(values.data(), state.memory().resolve(to, bytes));
        stream->synchronize();
        const int32_t want = t + 2 * t * t * static_cast<int32_t>(n);
        for (int32_t value : values) ASSERT_EQ(value, want);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace mps
