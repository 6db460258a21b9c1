// Device memory: blocks, interior addresses, limits, running out.
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

TEST_F(MemoryTest, BlocksAreAlignedAndApart) {
  const auto memory = make();
  std::vector<std::pair<char*, size_t>> blocks;
  for (size_t size : {1, 255, 256, 257, 5000, 100000, 600000, 1 << 20, 80 << 20}) {
    char* const address = bytes(memory->allocate(size));
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
  void* const a = memory->allocate(0);
  void* const b = memory->allocate(0);
  EXPECT_NE(a, nullptr);
  EXPECT_NE(a, b);
  memory->free(a);
  memory->free(b);
}

TEST_F(MemoryTest, ResolvesInteriorAddresses) {
  const auto memory = make();
  char* const first = bytes(memory->allocate(1000));
  char* const block = bytes(memory->allocate(100000));
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
  char* const block = bytes(memory->allocate(1024));
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
  char* const block = bytes(memory->allocate(5000));
  int local = 0;
  for (void* wrong : {static_cast<void*>(&local), static_cast<void*>(block + 256), static_cast<void*>(block + 1)}) {
    EXPECT_NE(error_of(ErrorKind::kArgument, [&] { memory->free(wrong); }), "");
  }
  memory->free(block);
  EXPECT_NE(error_of(ErrorKind::kArgument, [&] { memory->free(block); }), "");
}

TEST_F(MemoryTest, FreedNeighboursMerge) {
  const auto memory = make();
  std::vector<void*> blocks;
  for (int i = 0; i < 1000; ++i) blocks.push_back(memory->allocate(4096));
  const uint64_t reserved = memory->stats().reserved;
  const uint64_t free_before = memory->stats().largest_free_block;
  std::mt19937 random(1);
  std::shuffle(blocks.begin(), blocks.end(), random);
  for (void* block : blocks) memory->free(block);
  EXPECT_GT(memory->stats().largest_free_block, free_before);
  // All of it is one piece again: a block of the class's largest size fits without a new heap.
  EXPECT_NE(memory->allocate(512 << 10), nullptr);
  EXPECT_EQ(memory->stats().reserved, reserved);
  EXPECT_EQ(memory->stats().heaps, 1u);
}

TEST_F(MemoryTest, KeepsToItsLimit) {
  const auto memory = make(64 << 20);
  EXPECT_EQ(memory->stats().limit, uint64_t{64} << 20);
  EXPECT_EQ(memory->allocate(65 << 20), nullptr);
  std::vector<void*> blocks;
  while (void* block = memory->allocate(1 << 20)) {
    blocks.push_back(block);
    ASSERT_LE(blocks.size(), 64u);
    ASSERT_LE(memory->stats().reserved, uint64_t{64} << 20);
  }
  EXPECT_GE(blocks.size(), 48u);  // most of what the limit allows can be had
  memory->free(blocks.back());
  EXPECT_NE(memory->allocate(1 << 20), nullptr);
}

TEST_F(MemoryTest, UnusedHeapsMakeRoomForOthers) {
  const auto memory = make(96 << 20);
  void* const small = memory->allocate(1000);
  memory->free(small);
  void* const large = memory->allocate(80 << 20);  // does not fit beside the heap of small blocks
  EXPECT_NE(large, nullptr);
}

TEST_F(MemoryTest, RunsOutWithoutLosingAnything) {
  const auto memory = make();
  void* const kept = memory->allocate(1000);
  device_.faults().fail(Fault::heap);
  EXPECT_EQ(memory->allocate(200 << 20), nullptr);
  EXPECT_EQ(memory->stats().blocks, 1u);
  EXPECT_NE(memory->resolve(kept, 1000).buffer, nullptr);
  EXPECT_NE(memory->allocate(200 << 20), nullptr);
}

TEST_F(MemoryTest, GivesUnusedHeapsBack) {
  const auto memory = make();
  void* const a = memory->allocate(80 << 20);
  void* const b = memory->allocate(90 << 20);
  void* const c = memory->allocate(10);
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
  void* const a = memory->allocate(1000);
  void* const b = memory->allocate(3000);
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

TEST_F(MemoryTest, WaitsForQueuedWorkBeforeABlockGoes) {
  const auto memory = make();
  void* const block = memory->allocate(10);
  drains_ = 0;
  memory->free(block);
  EXPECT_GE(drains_, 1);
}

TEST_F(MemoryTest, RandomUseAgainstAModel) {
  const auto memory = make();
  std::map<char*, size_t> model;
  std::mt19937 random(2);
  for (int i = 0; i < 20000; ++i) {
    if (model.size() < 20 || (model.size() < 300 && random() % 2 == 0)) {
      const size_t size = size_t{1} << (random() % 20);
      const size_t odd = size + random() % size;
      char* const address = bytes(memory->allocate(odd));
      ASSERT_NE(address, nullptr);
      const auto after = model.lower_bound(address);
      if (after != model.end()) {
        ASSERT_LE(address + odd, after->first);
      }
      if (after != model.begin()) {
        ASSERT_LE(std::prev(after)->first + std::prev(after)->second, address);
      }
      model[address] = odd;
    } else {
      auto it = model.begin();
      std::advance(it, random() % model.size());
      const size_t offset = random() % it->second;
      ASSERT_EQ(memory->resolve(it->first + offset, it->second - offset).offset, offset);
      memory->free(it->first);
      model.erase(it);
    }
    ASSERT_EQ(memory->stats().blocks, model.size());
  }
}

TEST_F(MemoryTest, ManyThreads) {
  const auto memory = make();
  std::vector<std::thread> threads;
  for (uint32_t t = 0; t < 4; ++t) {
    threads.emplace_back([&memory, t] {
      std::mt19937 random(t);
      std::vector<void*> mine;
      for (int i = 0; i < 3000; ++i) {
        if (mine.size() < 10 || random() % 2 == 0) {
          mine.push_back(memory->allocate(1 + random() % 100000));
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
