// Device memory: blocks, interior addresses, limits, running out. Streams: memory_streams_test.cc.
#include "plugin/core/memory.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <map>
#include <random>
#include <thread>

#include "tests/cpp/unit/testing.h"

namespace mps {
namespace {

class MemoryTest : public ::testing::Test {
 protected:
  std::unique_ptr<Memory> make(uint64_t limit = 0) {
    return std::make_unique<Memory>(device_, limit, [this] { ++drains_; });
  }

  FaultDevice device_{std::make_unique<NullDevice>()};
  std::atomic<int> drains_{0};
};

char* bytes(void* address) { return static_cast<char*>(address); }
void* allocate(Memory& memory, size_t size) { return memory.allocate(size).address; }

TEST_F(MemoryTest, BlocksAreAlignedAndApart) {
  const auto memory = make();
  std::vector<std::pair<char*, size_t>> blocks;
  for (size_t size : {1, 255, 256, 257, 5000, 100000, 600000, 1 << 20, 80 << 20}) {
    char* const address = bytes(allocate(*memory, size));
    ASSERT_NE(address, nullptr) << size;
    EXPECT_EQ(reinterpret_cast<uintptr_t>(address) % device_.properties().alignment, 0u);
    std::memset(address, static_cast<int>(blocks.size()), size);
    blocks.emplace_back(address, size);
  }
  for (size_t i = 0; i < blocks.size(); ++i) {
    EXPECT_EQ(blocks[i].first[0], static_cast<char>(i));
    EXPECT_EQ(blocks[i].first[blocks[i].second - 1], static_cast<char>(i));
    memory->free(blocks[i].first);
  }
  EXPECT_EQ(memory->stats().blocks, 0u);
  EXPECT_EQ(memory->stats().allocated, 0u);
}

TEST_F(MemoryTest, NoBytesAreABlockToo) {
  const auto memory = make();
  void* const a = allocate(*memory, 0);
  void* const b = allocate(*memory, 0);
  EXPECT_NE(a, nullptr);
  EXPECT_NE(a, b);
  memory->free(a);
  memory->free(b);
}

TEST_F(MemoryTest, ResolvesInteriorAddresses) {
  const auto memory = make();
  char* const first = bytes(allocate(*memory, 1000));
  char* const block = bytes(allocate(*memory, 100000));
  for (size_t offset : {0, 1, 255, 256, 4095, 50000, 99000}) {
    const Range range = memory->resolve(block + offset, 900);
    EXPECT_EQ(range.offset, offset);
    EXPECT_EQ(range.bytes, 900u);
    EXPECT_EQ(range.address(), block + offset);
    EXPECT_EQ(range.buffer, memory->resolve(block, 1).buffer);
  }
  EXPECT_EQ(memory->resolve(block, 100000).bytes, 100000u);
  EXPECT_NE(memory->resolve(first, 1).buffer, memory->resolve(block, 1).buffer);
}

TEST_F(MemoryTest, RefusesAddressesOutsideOfABlock) {
  const auto memory = make();
  char* const block = bytes(allocate(*memory, 1024));
  int local = 0;
  const auto refused = [&](const void* address, size_t size) {
    const std::string error = error_of(ErrorKind::kArgument, [&] { memory->resolve(address, size); });
    EXPECT_NE(error.find("address is not device memory"), std::string::npos) << error;
  };
  refused(&local, 4);
  refused(nullptr, 4);
  refused(block, 1 << 20);  // more than the block
  refused(block + 1024, 1);
  refused(block + 1000, 30);
  memory->free(block);
  refused(block, 1);
}

TEST_F(MemoryTest, FreesOnlyBlocksAndOnlyOnce) {
  const auto memory = make();
  char* const block = bytes(allocate(*memory, 5000));
  int local = 0;
  for (void* wrong : {static_cast<void*>(&local), static_cast<void*>(block + 256), static_cast<void*>(block + 1)}) {
    EXPECT_NE(error_of(ErrorKind::kArgument, [&] { memory->free(wrong); }), "");
  }
  memory->free(block);
  EXPECT_NE(error_of(ErrorKind::kArgument, [&] { memory->free(block); }), "");
}

TEST_F(MemoryTest, FreedNeighboursMerge) {
  const auto memory = make();
  for (size_t size : {size_t{4096}, size_t{200} << 10}) {  // small and large blocks
    std::vector<void*> blocks;
    for (int i = 0; i < 1000; ++i) blocks.push_back(allocate(*memory, size));
    const uint64_t reserved = memory->stats().reserved;
    std::mt19937 random(1);
    std::shuffle(blocks.begin(), blocks.end(), random);
    for (void* block : blocks) memory->free(block);
    // All of it is in whole pieces again: other sizes fit without another arena.
    std::vector<void*> others;
    for (size_t used = 0; used + size * 16 <= size * 1000 / 2; used += size * 16) {
      others.push_back(allocate(*memory, size * 16));
    }
    EXPECT_EQ(memory->stats().reserved, reserved) << size;
    for (void* block : others) memory->free(block);
  }
  memory->release_unused();
  EXPECT_EQ(memory->stats().reserved, 0u);
}

TEST_F(MemoryTest, ASmallProgramStaysSmall) {
  const auto memory = make();
  allocate(*memory, 1000);
  EXPECT_LE(memory->stats().reserved, uint64_t{1} << 20);
  allocate(*memory, 100 << 10);
  EXPECT_LE(memory->stats().reserved, uint64_t{9} << 20);
}

TEST_F(MemoryTest, KeepsToItsLimit) {
  const auto memory = make(64 << 20);
  EXPECT_EQ(memory->stats().limit, uint64_t{64} << 20);
  EXPECT_EQ(allocate(*memory, 65 << 20), nullptr);
  std::vector<void*> blocks;
  while (void* block = allocate(*memory, 1 << 20)) {
    blocks.push_back(block);
    ASSERT_LE(blocks.size(), 64u);
    ASSERT_LE(memory->stats().reserved, uint64_t{64} << 20);
  }
  EXPECT_EQ(blocks.size(), 64u);  // all that the limit allows can be had
  memory->free(blocks.back());
  blocks.back() = allocate(*memory, 1 << 20);
  EXPECT_NE(blocks.back(), nullptr);
  memory->set_limit(80 << 20);
  EXPECT_NE(allocate(*memory, 10 << 20), nullptr);
}

TEST_F(MemoryTest, ASmallBlockFindsRoomAmongLargeOnes) {
  const auto memory = make(64 << 20);
  void* const large = allocate(*memory, 40 << 20);
  void* const rest = allocate(*memory, (24 << 20) - (256 << 10));
  ASSERT_NE(large, nullptr);
  ASSERT_NE(rest, nullptr);
  std::vector<void*> small;
  while (void* block = allocate(*memory, 1000)) small.push_back(block);
  EXPECT_GE(small.size(), 3u);
  for (void* block : small) {
    EXPECT_EQ(memory->resolve(block, 1000).offset, 0u);
    memory->free(block);
  }
  memory->free(rest);
  // The other way round: no arena can be added, but there is space in one of large blocks.
  void* const again = allocate(*memory, 20 << 20);
  EXPECT_NE(again, nullptr);
  EXPECT_NE(allocate(*memory, 1000), nullptr);
}

TEST_F(MemoryTest, EmptyArenasMakeRoomForOthers) {
  const auto memory = make(96 << 20);
  void* const small = allocate(*memory, 1000);
  void* const medium = allocate(*memory, 30 << 20);
  memory->free(small);
  memory->free(medium);
  EXPECT_NE(allocate(*memory, 95 << 20), nullptr);
}

TEST_F(MemoryTest, EmptyArenasGoBeforeThePeakGrows) {
  const auto memory = make();
  void* block = allocate(*memory, 50 << 20);
  for (size_t size = 51; size < 90; ++size) {
    memory->free(block);
    block = allocate(*memory, size << 20);
    EXPECT_EQ(memory->stats().reserved, size << 20);
  }
}

TEST_F(MemoryTest, ARefusalOfTheSystemIsTriedOnceMore) {
  const auto memory = make();
  device_.faults().fail(Fault::heap);
  EXPECT_NE(allocate(*memory, 200 << 20), nullptr);
  EXPECT_EQ(memory->stats().retries, 1u);
  EXPECT_EQ(drains_, 1);
}

TEST_F(MemoryTest, RunsOutWithoutLosingAnything) {
  const auto memory = make(100 << 20);
  void* const kept = allocate(*memory, 1000);
  EXPECT_EQ(allocate(*memory, 200 << 20), nullptr);
  EXPECT_EQ(memory->stats().blocks, 1u);
  EXPECT_NE(memory->resolve(kept, 1000).buffer, nullptr);
  EXPECT_NE(allocate(*memory, 90 << 20), nullptr);
}

TEST_F(MemoryTest, GivesUnusedHeapsBack) {
  const auto memory = make();
  void* const a = allocate(*memory, 80 << 20);
  void* const b = allocate(*memory, 90 << 20);
  void* const c = allocate(*memory, 10);
  memory->free(a);
  const uint64_t reserved = memory->stats().reserved, system = device_.driver_allocated_bytes();
  EXPECT_GE(memory->release_unused(), uint64_t{80} << 20);
  EXPECT_LE(memory->stats().reserved, reserved - (uint64_t{80} << 20));
  EXPECT_LE(device_.driver_allocated_bytes(), system - (uint64_t{80} << 20));
  EXPECT_EQ(memory->release_unused(), 0u);
  EXPECT_NE(memory->resolve(b, 90 << 20).buffer, nullptr);
  EXPECT_NE(memory->resolve(c, 10).buffer, nullptr);
}

TEST_F(MemoryTest, CountsAndPeaks) {
  const auto memory = make();
  void* const a = allocate(*memory, 1000);
  void* const b = allocate(*memory, 3000);
  EXPECT_EQ(memory->stats().blocks, 2u);
  EXPECT_EQ(memory->stats().requested, 4000u);
  EXPECT_GE(memory->stats().allocated, 4000u);
  memory->free(a);
  memory->free(b);
  EXPECT_EQ(memory->stats().requested, 0u);
  EXPECT_EQ(memory->stats().peak_requested, 4000u);
  memory->reset_peaks();
  EXPECT_EQ(memory->stats().peak_requested, 0u);
  EXPECT_EQ(memory->stats().peak_reserved, memory->stats().reserved);
}

TEST_F(MemoryTest, FreeingWaitsForNothing) {
  const auto memory = make();
  memory->free(allocate(*memory, 10));
  memory->free(allocate(*memory, 10 << 20));
  EXPECT_EQ(drains_, 0);
  EXPECT_EQ(memory->stats().retries, 0u);
}

TEST_F(MemoryTest, AShortageSaysWhatThereIs) {
  const auto memory = make(10 << 20);
  allocate(*memory, 512 << 10);
  EXPECT_EQ(allocate(*memory, 20 << 20), nullptr);
  EXPECT_EQ(memory->stats().failures, 1u);
  EXPECT_GE(drains_, 1);  // it has waited for the device first
  const OpScope scope("matmul");
  const std::string text = memory->shortage(20 << 20);
  EXPECT_EQ(text.find("[matmul] out of memory: expected room for 20.00 MiB, got a limit of 10.00 MiB, 512.00 KiB "
                      "allocated, 4.00 MiB reserved, largest free block 3.50 MiB. Delete"),
            0u)
      << text;
}

// A null device that wants what some GPUs want: from 16 KiB on, buffers begin and end at multiples of 16 KiB.
class PagedDevice final : public Device {
 public:
  PagedDevice() : properties_(device_.properties()) {
    properties_.small_bytes = kLargeAlignment - properties_.alignment;
  }

  const DeviceProperties& properties() const override { return properties_; }
  uint64_t driver_allocated_bytes() const override { return device_.driver_allocated_bytes(); }
  std::unique_ptr<Heap> new_heap(size_t bytes) override {
    return std::make_unique<PagedHeap>(
        device_.new_heap((bytes + kLargeAlignment - 1) / kLargeAlignment * kLargeAlignment));
  }
  std::unique_ptr<Buffer> wrap(void* address, size_t bytes) override { return device_.wrap(address, bytes); }
  std::unique_ptr<Stream> new_stream() override { return device_.new_stream(); }
  std::unique_ptr<Event> new_event() override { return device_.new_event(); }
  std::string supports(const Graph& graph) const override { return device_.supports(graph); }
  std::shared_ptr<const Executable> compile(const Graph& graph) override { return device_.compile(graph); }

 private:
  class PagedHeap final : public Heap {
   public:
    explicit PagedHeap(std::unique_ptr<Heap> heap) : heap_(std::move(heap)) {}
    size_t bytes() const override { return heap_->bytes(); }
    std::unique_ptr<Buffer> new_buffer(size_t offset, size_t bytes) override {
      const size_t alignment = bytes < kLargeAlignment ? 256 : kLargeAlignment;
      EXPECT_EQ(offset % alignment, 0u) << bytes;
      EXPECT_EQ(bytes % alignment, 0u) << bytes;
      return heap_->new_buffer(offset, bytes);
    }

   private:
    const std::unique_ptr<Heap> heap_;
  };

  NullDevice device_;
  DeviceProperties properties_;
};

TEST(Memory, GoesByTheDevicesAlignmentOfLargeBuffers) {
  PagedDevice device;
  Memory memory(device, 64 << 20, [] {});
  std::vector<void*> addresses;
  std::mt19937 random(3);
  for (int i = 0; i < 20000; ++i) {
    if (addresses.size() < 100 && random() % 2 == 0) {
      const Memory::Allocation block = memory.allocate(random() % (random() % 10 == 0 ? 1 << 20 : 1 << 15));
      ASSERT_NE(block.address, nullptr);
      addresses.push_back(block.address);
    } else if (!addresses.empty()) {
      std::swap(addresses[random() % addresses.size()], addresses.back());
      memory.free(addresses.back());
      addresses.pop_back();
    }
  }
  for (size_t bytes : {16128, 16129, 16384, 16385, 65536, 65537}) memory.free(memory.allocate(bytes).address);
  EXPECT_LT(memory.allocate(1).bytes, 1000u);  // and small ones stay small
}

// A million random operations of all sizes: no overlap, alignment, true figures, and nothing left at the end.
TEST_F(MemoryTest, RandomUseAgainstAModel) {
  const auto memory = make();
  std::map<char*, size_t> model;
  std::vector<char*> addresses;
  std::mt19937 random(2);
  uint64_t requested = 0;
  for (int i = 0; i < 1000000; ++i) {
    const uint32_t dice = random() % 1000;
    if (dice == 0) {
      memory->release_unused();
    } else if (addresses.size() < 20 || (addresses.size() < 400 && dice < 500)) {
      const size_t size = size_t{1} << (random() % (random() % 8 == 0 ? 23 : 14));
      const size_t odd = size + random() % size;
      const Memory::Allocation block = memory->allocate(odd);
      char* const address = bytes(block.address);
      ASSERT_NE(address, nullptr);
      ASSERT_EQ(reinterpret_cast<uintptr_t>(address) % device_.properties().alignment, 0u);
      ASSERT_GE(block.bytes, odd);
      const auto after = model.lower_bound(address);
      if (after != model.end()) {
        ASSERT_LE(address + block.bytes, after->first);
      }
      if (after != model.begin()) {
        ASSERT_LE(std::prev(after)->first + std::prev(after)->second, address);
      }
      model[address] = odd;
      addresses.push_back(address);
      requested += odd;
    } else {
      const size_t index = random() % addresses.size();
      char* const address = addresses[index];
      const size_t size = model[address], offset = random() % size;
      const Range range = memory->resolve(address + offset, size - offset);
      ASSERT_EQ(range.offset, offset);
      ASSERT_EQ(range.address(), address + offset);
      memory->free(address);
      model.erase(address);
      addresses[index] = addresses.back();
      addresses.pop_back();
      requested -= size;
    }
    if (i % 64 == 0) {
      const MemoryStats stats = memory->stats();
      ASSERT_EQ(stats.blocks, model.size());
      ASSERT_EQ(stats.requested, requested);
      ASSERT_GE(stats.allocated, stats.requested);
      ASSERT_GE(stats.reserved, stats.allocated);
      ASSERT_EQ(stats.reserved, device_.driver_allocated_bytes());
    }
  }
  for (char* address : addresses) memory->free(address);
  memory->release_unused();
  const MemoryStats stats = memory->stats();
  EXPECT_EQ(stats.allocated + stats.requested + stats.reserved + stats.blocks + stats.heaps, 0u);
  EXPECT_EQ(stats.allocations, stats.frees);
}

TEST_F(MemoryTest, HistoryThatNeverBeganIsEmpty) {
  const auto memory = make();
  memory->free(allocate(*memory, 100));
  memory->stop_history();
  memory->for_each_event([](const MemoryEvent&) { ADD_FAILURE(); });
}

TEST_F(MemoryTest, HistoryKeepsTheLastEvents) {
  const auto memory = make(16 << 20);
  memory->free(allocate(*memory, 5));  // not recorded
  EXPECT_NE(error_of(ErrorKind::kArgument, [&] { memory->start_history(0, nullptr); }), "");
  static uint64_t asked;
  asked = 100;
  memory->start_history(4, [] { return ++asked; });
  const OpScope scope("add");
  void* const small = allocate(*memory, 1000);
  void* const large = allocate(*memory, 100 << 10);  // in an arena that is made for it
  EXPECT_EQ(allocate(*memory, 17 << 20), nullptr);
  memory->free(small);
  memory->stop_history();
  memory->free(large);
  std::vector<MemoryEvent> events;
  memory->for_each_event([&](const MemoryEvent& event) { events.push_back(event); });
  using Kind = MemoryEvent::Kind;
  ASSERT_EQ(events.size(), 4u);
  const Kind kinds[] = {Kind::kReserve, Kind::kAllocate, Kind::kOutOfMemory, Kind::kFree};
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(static_cast<int>(events[i].kind), static_cast<int>(kinds[i])) << i;
    EXPECT_EQ(events[i].number, i + 1);  // the first allocation was forgotten
    EXPECT_STREQ(events[i].op, "add");
  }
  EXPECT_EQ(events[1].address, reinterpret_cast<uintptr_t>(large));
  EXPECT_EQ(events[1].bytes, size_t{100} << 10);
  EXPECT_EQ(events[1].block_bytes, size_t{112} << 10);
  EXPECT_EQ(events[2].bytes, size_t{17} << 20);
  EXPECT_EQ(events[3].address, reinterpret_cast<uintptr_t>(small));
  EXPECT_EQ(events[3].bytes, 1000u);
  EXPECT_EQ(events[3].stack, 104u);
}

TEST_F(MemoryTest, ASnapshotCoversEveryArena) {
  const auto memory = make();
  void *const small = allocate(*memory, 700), *const kept = allocate(*memory, 700);
  void *const large = allocate(*memory, 3 << 20), *const other = allocate(*memory, 2 << 20);
  memory->free(kept);
  memory->free(other);
  uint64_t arenas = 0, covered = 0, in_use = 0, idle = 0;
  uintptr_t next = 0;
  memory->for_each_block(
      [&](const Arena& arena) {
        arenas += arena.bytes();
        next = arena.base();
      },
      [&](const Arena& arena, uint32_t unit, uint32_t units, const Block* block) {
        EXPECT_EQ(arena.address_of(unit), next);
        next += units * arena.unit_bytes();
        covered += units * arena.unit_bytes();
        if (block == nullptr) return;
        (block->in_use() ? in_use : idle) += units * arena.unit_bytes();
        const void* const address = reinterpret_cast<const void*>(arena.address_of(unit));
        EXPECT_TRUE(address == small || address == kept || address == large);
      });
  EXPECT_EQ(covered, arenas);
  EXPECT_EQ(arenas, memory->stats().reserved);
  EXPECT_EQ(in_use, memory->stats().allocated);
  EXPECT_EQ(idle, 768u);  // a small block is kept whole
}

TEST_F(MemoryTest, ManyThreads) {
  const auto memory = make();
  std::vector<std::thread> threads;
  for (uint32_t t = 0; t < 8; ++t) {
    threads.emplace_back([&memory, t] {
      std::mt19937 random(t);
      std::vector<void*> mine;
      for (int i = 0; i < 3000; ++i) {
        if (mine.size() < 10 || random() % 2 == 0) {
          mine.push_back(allocate(*memory, 1 + random() % 100000));
          ASSERT_NE(mine.back(), nullptr);
          *bytes(mine.back()) = static_cast<char>(t);
        } else {
          ASSERT_EQ(*static_cast<char*>(memory->resolve(mine.back(), 1).address()), static_cast<char>(t));
          memory->free(mine.back());
          mine.pop_back();
        }
      }
      for (void* block : mine) memory->free(block);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(memory->stats().blocks, 0u);
}

}  // namespace
}  // namespace mps
