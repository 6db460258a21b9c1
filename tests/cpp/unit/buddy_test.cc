// The buddy allocator against a model that keeps a plain list of blocks.
#include "plugin/core/buddy.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <vector>

#include "plugin/core/check.h"

namespace mps {
namespace {

TEST(Buddy, GivesUnitsInAlignedPieces) {
  Buddy buddy(6);
  const uint32_t a = buddy.allocate(16);
  EXPECT_EQ(a % 16, 0u);
  EXPECT_EQ(buddy.used_units(), 16u);
  EXPECT_EQ(buddy.free(a), 16u);
  EXPECT_EQ(buddy.largest_free_piece(), 64u);
}

TEST(Buddy, ReturnsTheTailOfABlockThatIsNoPowerOfTwo) {
  Buddy buddy(4);
  const uint32_t nine = buddy.allocate(9);
  ASSERT_NE(nine, Buddy::kNone);
  // 16 - 9 = 7 units are left, and they can be had: 4 + 2 + 1.
  EXPECT_NE(buddy.allocate(4), Buddy::kNone);
  EXPECT_NE(buddy.allocate(2), Buddy::kNone);
  EXPECT_NE(buddy.allocate(1), Buddy::kNone);
  EXPECT_EQ(buddy.allocate(1), Buddy::kNone);
  EXPECT_EQ(buddy.used_units(), 16u);
}

TEST(Buddy, RefusesWhatDoesNotFit) {
  Buddy buddy(3);
  EXPECT_EQ(buddy.allocate(9), Buddy::kNone);
  ASSERT_NE(buddy.allocate(8), Buddy::kNone);
  EXPECT_EQ(buddy.allocate(1), Buddy::kNone);
  EXPECT_EQ(buddy.largest_free_piece(), 0u);
}

TEST(Buddy, OfOneUnit) {
  Buddy buddy(0);
  EXPECT_EQ(buddy.allocate(1), 0u);
  EXPECT_EQ(buddy.find(0).units, 1u);
  EXPECT_EQ(buddy.allocate(1), Buddy::kNone);
  EXPECT_EQ(buddy.free(0), 1u);
}

TEST(Buddy, FreeingTwiceOrInsideIsAnError) {
  Buddy buddy(4);
  const uint32_t a = buddy.allocate(3);
  EXPECT_THROW(buddy.free(a + 1), Error);
  buddy.free(a);
  EXPECT_THROW(buddy.free(a), Error);
  EXPECT_THROW(buddy.free(16), Error);
}

// A million random operations: no overlap, every unit found in its block, everything merged at the end.
TEST(Buddy, AgreesWithAModel) {
  constexpr int kOrder = 12;
  constexpr int kOperations = 1000000;
  Buddy buddy(kOrder);
  std::mt19937 random(7);
  std::map<uint32_t, uint32_t> blocks;  // start -> units
  std::vector<uint32_t> starts;
  uint32_t used = 0;
  for (int i = 0; i < kOperations; ++i) {
    const bool allocate = starts.empty() || random() % 2 == 0;
    if (allocate) {
      const uint32_t units = 1 + random() % (random() % 16 == 0 ? 512 : 24);
      const uint32_t start = buddy.allocate(units);
      if (start == Buddy::kNone) {
        ASSERT_LT(buddy.largest_free_piece(), units);
        continue;
      }
      const auto next = blocks.lower_bound(start);
      ASSERT_TRUE(next == blocks.end() || start + units <= next->first) << "overlaps the next block";
      if (next != blocks.begin()) {
        const auto previous = std::prev(next);
        ASSERT_LE(previous->first + previous->second, start) << "overlaps the previous block";
      }
      blocks.emplace(start, units);
      starts.push_back(start);
      used += units;
    } else {
      const size_t index = random() % starts.size();
      const uint32_t start = starts[index];
      starts[index] = starts.back();
      starts.pop_back();
      ASSERT_EQ(buddy.free(start), blocks[start]);
      used -= blocks[start];
      blocks.erase(start);
    }
    ASSERT_EQ(buddy.used_units(), used);
    const uint32_t unit = random() % buddy.total_units();
    const Buddy::Block found = buddy.find(unit);
    auto model = blocks.upper_bound(unit);
    const bool in_block = model != blocks.begin() && (--model)->first + model->second > unit;
    ASSERT_EQ(found.start, in_block ? model->first : Buddy::kNone);
    if (in_block) {
      ASSERT_EQ(found.units, model->second);
    }
  }
  uint32_t walked = 0;
  buddy.for_each([&](uint32_t start, uint32_t units, bool allocated) {
    EXPECT_EQ(start, walked);
    EXPECT_EQ(allocated, blocks.count(start) == 1);
    walked += units;
  });
  EXPECT_EQ(walked, buddy.total_units());
  for (uint32_t start : starts) buddy.free(start);
  EXPECT_EQ(buddy.used_units(), 0u);
  EXPECT_EQ(buddy.largest_free_piece(), buddy.total_units()) << "free space did not merge";
}

}  // namespace
}  // namespace mps
