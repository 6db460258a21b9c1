// Memory and streams: what is freed while work is queued is used again by the right stream only, and not too early.
#include <deque>

#include "plugin/core/memory.h"
#include "tests/cpp/unit/testing.h"

namespace mps {
namespace {

// A stream whose progress the test decides.
class SlowStream final : public Stream {
 public:
  void encode(const std::shared_ptr<const Executable>&, Span<const Binding>, Span<const Binding>,
              const char*) override {}
  void copy(const Range&, const Range&) override {}
  void upload(const Range&, const void*) override {}
  void download(void*, const Range&) override {}
  void fill(const Range&, uint8_t) override { ++given; }
  void record(Event&) override {}
  void wait(Event&) override {}
  void add_callback(std::function<void()>) override {}
  uint64_t submitted() const override { return given; }
  uint64_t completed() const override { return done; }
  bool query() const override { return given == done; }
  void drain() override { done = given; }
  void synchronize() override { drain(); }

  uint64_t given = 0, done = 0;
};

class MemoryStreams : public ::testing::Test {
 protected:
  explicit MemoryStreams(uint64_t limit = 0)
      : memory_(device_, limit, [this] {
          ++drains_;
          for (SlowStream& stream : streams_) stream.drain();
        }) {}

  SlowStream& new_stream() {
    memory_.add_stream(&streams_.emplace_back());
    return streams_.back();
  }
  void* allocate(size_t bytes, const Stream& stream) { return memory_.allocate(bytes, &stream).address; }
  // Gives the stream some work on the block.
  void use(void* block, SlowStream& stream) { stream.fill(memory_.resolve(block, 1, &stream), 0); }

  NullDevice device_;
  std::deque<SlowStream> streams_;
  int drains_ = 0;
  Memory memory_;
};

constexpr size_t kSizes[] = {1000, 1 << 20};  // a small and a large block

TEST_F(MemoryStreams, AStreamUsesItsOwnMemoryAgainAtOnce) {
  SlowStream& stream = new_stream();
  for (size_t size : kSizes) {
    void* const block = allocate(size, stream);
    use(block, stream);
    memory_.free(block);
    EXPECT_EQ(allocate(size, stream), block);
  }
  EXPECT_EQ(drains_, 0);
}

TEST_F(MemoryStreams, OtherStreamsDoNotGetItWhileWorkIsQueued) {
  SlowStream &a = new_stream(), &b = new_stream();
  for (size_t size : kSizes) {
    void* const block = allocate(size, a);
    use(block, a);
    memory_.free(block);
    EXPECT_NE(allocate(size, b), block);
  }
}

TEST_F(MemoryStreams, ABlockThatAnotherStreamUsesWaitsForIt) {
  SlowStream &a = new_stream(), &b = new_stream();
  for (size_t size : kSizes) {
    void* const block = allocate(size, a);
    use(block, a);
    use(block, b);
    memory_.free(block);
    EXPECT_GE(memory_.stats().waiting, size);
    EXPECT_EQ(memory_.stats().blocks, 0u);
    EXPECT_EQ(memory_.stats().allocated, 0u);
    error_of(ErrorKind::kArgument, [&] { memory_.free(block); });
    error_of(ErrorKind::kArgument, [&] { memory_.resolve(block, 1); });
    void* const other = allocate(size, a);
    EXPECT_NE(other, block);
    ++b.given;  // what b is given later does not count
    b.done = b.given - 1;
    EXPECT_EQ(memory_.stats().waiting, 0u);
    void* const again = allocate(size, a);
    EXPECT_EQ(again, block);
    memory_.free(other);
    memory_.free(again);
    b.drain();
  }
  EXPECT_EQ(drains_, 0);
}

TEST_F(MemoryStreams, AStreamThatIsDoneNeedsNoWait) {
  SlowStream &a = new_stream(), &b = new_stream();
  void* const block = allocate(1000, a);
  use(block, b);
  b.drain();
  memory_.free(block);
  EXPECT_EQ(memory_.stats().waiting, 0u);
  EXPECT_EQ(allocate(1000, a), block);
}

TEST_F(MemoryStreams, AnEmptyArenaStaysWhileWorkIsQueued) {
  SlowStream& stream = new_stream();
  void* block = allocate(50 << 20, stream);
  use(block, stream);
  memory_.free(block);
  block = allocate(60 << 20, stream);  // more than ever before: empty arenas would go, if they were quiet
  EXPECT_EQ(memory_.stats().heaps, 2u);
  EXPECT_EQ(drains_, 0);
  stream.drain();
  memory_.free(allocate(70 << 20, stream));
  EXPECT_EQ(memory_.stats().heaps, 2u);
  EXPECT_EQ(memory_.release_unused(), uint64_t{70} << 20);
}

TEST_F(MemoryStreams, AStreamThatGoesLeavesItsMemoryToTheNext) {
  SlowStream &a = new_stream(), &b = new_stream();
  void *const own = allocate(1000, b), *const shared = allocate(1000, a);
  use(own, b);
  use(shared, b);
  memory_.free(own);
  memory_.free(shared);
  EXPECT_NE(memory_.stats().waiting, 0u);
  b.drain();
  memory_.remove_stream(&b);
  SlowStream& c = new_stream();
  EXPECT_EQ(allocate(1000, c), own);
  EXPECT_EQ(memory_.stats().waiting, 0u);
  EXPECT_EQ(allocate(1000, a), shared);
}

TEST_F(MemoryStreams, MoreStreamsThanSlots) {
  std::vector<SlowStream*> streams;
  for (int i = 0; i < 100; ++i) streams.push_back(&new_stream());
  // Those without a slot of their own share one: their memory always waits for all of them.
  SlowStream &a = *streams[98], &b = *streams[99];
  void* const block = allocate(1000, a);
  use(block, a);
  memory_.free(block);
  EXPECT_NE(allocate(1000, b), block);
  for (SlowStream* stream : streams) {
    stream->drain();
    memory_.remove_stream(stream);
  }
  SlowStream& again = new_stream();
  EXPECT_EQ(again.memory_slot, 0u);
  memory_.release_unused();
  EXPECT_EQ(memory_.stats().waiting, 0u);
}

class LimitedMemoryStreams : public MemoryStreams {
 protected:
  LimitedMemoryStreams() : MemoryStreams(64 << 20) {}
};

TEST_F(LimitedMemoryStreams, AtTheLimitItWaitsAndTakesWhatIsThere) {
  SlowStream &a = new_stream(), &b = new_stream();
  void* const block = allocate(60 << 20, a);
  use(block, a);
  use(block, b);
  memory_.free(block);
  EXPECT_NE(allocate(50 << 20, b), nullptr);  // after waiting for both
  EXPECT_EQ(drains_, 1);
  EXPECT_EQ(memory_.stats().retries, 1u);
  EXPECT_EQ(memory_.stats().waiting, 0u);
}

TEST_F(LimitedMemoryStreams, AtTheLimitStreamsShare) {
  SlowStream &a = new_stream(), &b = new_stream();
  void* const kept = allocate(30 << 20, a);
  void* const block = allocate(33 << 20, a);
  void* const small = allocate(1000, a);
  memory_.free(block);
  void* const taken = allocate(20 << 20, b);  // from a's arena, or from the room that it left
  EXPECT_NE(taken, nullptr);
  use(taken, b);
  memory_.free(taken);
  for (void* mine : {kept, small}) memory_.free(mine);
  EXPECT_NE(allocate(64 << 20, a), nullptr);
}

}  // namespace
}  // namespace mps
