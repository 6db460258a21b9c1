// Figures where others can read them without a lock: they are right at every moment at which the sequence number is
// even.
#include "plugin/core/figures.h"

#include <random>

#include "plugin/core/launch.h"
#include "tests/cpp/unit/testing.h"

namespace mps {
namespace {

// A null device that looks at the sequence number when Memory, which then holds its lock, asks it for something.
class WatchingDevice final : public Device {
 public:
  explicit WatchingDevice(const Figures& figures) : figures_(figures) {}

  const DeviceProperties& properties() const override { return device_.properties(); }
  uint64_t driver_allocated_bytes() const override {
    look();
    return device_.driver_allocated_bytes();
  }
  std::unique_ptr<Heap> new_heap(size_t bytes) override {
    look();
    return device_.new_heap(bytes);
  }
  std::unique_ptr<Buffer> wrap(void* address, size_t bytes) override { return device_.wrap(address, bytes); }
  std::unique_ptr<Stream> new_stream() override { return device_.new_stream(); }
  std::unique_ptr<Event> new_event() override { return device_.new_event(); }
  std::string supports(const Graph& graph) const override { return device_.supports(graph); }
  std::shared_ptr<const Executable> compile(const Graph& graph) override { return device_.compile(graph); }

  mutable int odd = 0, even = 0;

 private:
  void look() const { ++(figures_.sequence.load() % 2 != 0 ? odd : even); }

  const Figures& figures_;
  NullDevice device_;
};

TEST(Figures, TheSequenceIsOddWhileTheyChange) {
  Figures figures;
  WatchingDevice device(figures);
  std::vector<uint64_t> while_waiting;
  Memory memory(device, 1 << 20, [&] { while_waiting.push_back(figures.sequence.load()); }, &figures);
  memory.free(memory.allocate(1000).address);
  EXPECT_EQ(memory.allocate(2 << 20).address, nullptr);
  memory.set_limit(0);
  memory.stats();
  memory.reset_peaks();
  memory.release_unused();
  EXPECT_GT(device.odd, 0);
  EXPECT_EQ(device.even, 0);
  EXPECT_EQ(while_waiting.size(), 2u);
  for (const uint64_t sequence : while_waiting) EXPECT_EQ(sequence % 2, 0u);
  EXPECT_EQ(figures.sequence.load() % 2, 0u);
}

TEST(Figures, LookingAtAnAddressChangesNone) {
  Figures figures;
  NullDevice device;
  Memory memory(device, 0, [] {}, &figures);
  void* const block = memory.allocate(1000).address;
  const uint64_t before = figures.sequence.load();
  memory.resolve(block, 1000);
  EXPECT_EQ(figures.sequence.load(), before);
}

size_t largest_free_piece(const Memory& memory) {
  size_t largest = 0;
  memory.for_each_block([](const Arena&) {},
                        [&](const Arena& arena, uint32_t, uint32_t units, const Block* block) {
                          if (block == nullptr) largest = std::max(largest, units * arena.unit_bytes());
                        });
  return largest;
}

uint64_t bytes_of_arenas(const Memory& memory) {
  uint64_t bytes = 0;
  memory.for_each_block([&](const Arena& arena) { bytes += arena.bytes(); },
                        [](const Arena&, uint32_t, uint32_t, const Block*) {});
  return bytes;
}

// Nobody calls stats(), which would bring them up to date.
TEST(Figures, FollowEveryStep) {
  Figures figures;
  const MemoryStats& now = figures.memory;
  NullDevice device;
  Memory memory(device, 64 << 20, [] {}, &figures);
  std::mt19937 random(0);
  std::vector<std::pair<void*, size_t>> blocks;
  uint64_t allocated = 0, failures = 0;
  for (int step = 0; step < 5000; ++step) {
    if (blocks.empty() || random() % 5 < 3) {
      const size_t size = random() % 3 == 0 ? random() % (4 << 20) : random() % 5000;
      const Memory::Allocation given = memory.allocate(size);
      if (given.address == nullptr) {
        ++failures;
      } else {
        blocks.emplace_back(given.address, given.bytes);
        allocated += given.bytes;
      }
    } else {
      std::swap(blocks[random() % blocks.size()], blocks.back());
      allocated -= blocks.back().second;
      memory.free(blocks.back().first);
      blocks.pop_back();
    }
    if (step % 500 == 499) memory.release_unused();
    ASSERT_EQ(now.allocated, allocated);
    ASSERT_EQ(now.blocks, blocks.size());
    ASSERT_EQ(now.reserved, bytes_of_arenas(memory));
    ASSERT_EQ(now.driver_allocated, device.driver_allocated_bytes());
    ASSERT_EQ(now.largest_free_block, largest_free_piece(memory));
    ASSERT_EQ(now.failures, failures);
    ASSERT_EQ(now.limit, uint64_t{64} << 20);
  }
  EXPECT_GT(failures, 0u);
  EXPECT_EQ(memory.stats().largest_free_block, now.largest_free_block);
}

TEST(Figures, ADeviceCountsInThePlaceThatItIsGiven) {
  Figures figures;
  DeviceState state(0, std::make_unique<NullDevice>(), &figures);
  Stream* const stream = state.create_stream();
  void* const block = state.memory().allocate(16).address;
  Graph graph;
  graph.result(graph.absolute(graph.placeholder(DType::float32, {4})));
  const Feed feeds[] = {Feed(block)};
  void* const results[] = {block};
  for (int i = 0; i < 3; ++i) launch(state, *stream, graph, {feeds, 1}, {results, 1});
  EXPECT_EQ(figures.launches.load(), 3u);
  EXPECT_EQ(figures.cache.hits, 2u);
  EXPECT_EQ(figures.cache.misses, 1u);
  EXPECT_EQ(figures.cache.entries, 1u);
  EXPECT_EQ(figures.cache.max_entries, state.cache().info().max_entries);
  EXPECT_EQ(figures.memory.blocks, 1u);
  EXPECT_EQ(&state.figures(), &figures);
  state.cache().clear();
  EXPECT_EQ(figures.cache.entries, 0u);
}

}  // namespace
}  // namespace mps
