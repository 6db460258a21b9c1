// Best-fit runs against a model that keeps a plain list of blocks.
#include "plugin/core/runs.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <vector>

#include "plugin/core/check.h"

namespace mps {
namespace {

TEST(Runs, CutsFromTheStartAndTellsTheRest) {
  Runs runs(100);
  const Runs::Run rest = runs.take(0, 30);
  EXPECT_EQ(rest.start, 30u);
  EXPECT_EQ(rest.pages, 70u);
  EXPECT_EQ(runs.take(30, 70).pages, 0u);
  EXPECT_EQ(runs.used_pages(), 100u);
  EXPECT_EQ(runs.find(29).start, 0u);
  EXPECT_EQ(runs.find(30).start, 30u);
  EXPECT_EQ(runs.find(99).pages, 70u);
  EXPECT_EQ(runs.find(100).pages, 0u);
}

TEST(Runs, AFreedBlockMergesWithBothNeighbours) {
  Runs runs(30);
  runs.take(0, 10);
  runs.take(10, 10);
  runs.take(20, 10);
  runs.free(0);
  runs.free(20);
  const Runs::Freed freed = runs.free(10);
  EXPECT_EQ(freed.block.pages, 10u);
  EXPECT_EQ(freed.before.start, 0u);
  EXPECT_EQ(freed.before.pages, 10u);
  EXPECT_EQ(freed.after.start, 20u);
  EXPECT_EQ(freed.after.pages, 10u);
  EXPECT_EQ(freed.merged.start, 0u);
  EXPECT_EQ(freed.merged.pages, 30u);
  EXPECT_EQ(runs.find(15).pages, 0u);
}

TEST(Runs, WrongUseIsAnError) {
  Runs runs(10);
  EXPECT_THROW(runs.take(0, 11), Error);
  EXPECT_THROW(runs.take(0, 0), Error);
  EXPECT_THROW(runs.take(3, 1), Error);  // inside a free run
  EXPECT_THROW(runs.free(0), Error);     // free already
  runs.take(0, 4);
  EXPECT_THROW(runs.take(0, 1), Error);
  EXPECT_THROW(runs.free(1), Error);
  EXPECT_THROW(runs.free(10), Error);
  runs.free(0);
  EXPECT_THROW(runs.free(0), Error);
  EXPECT_THROW(Runs(0), Error);
}

// A million random operations: no overlap, every page found in its block, what is merged is right, one run at the end.
TEST(Runs, AgreesWithAModel) {
  constexpr uint32_t kPages = 5000;
  Runs runs(kPages);
  std::mt19937 random(11);
  std::map<uint32_t, uint32_t> blocks, holes{{0, kPages}};  // start -> pages
  std::vector<uint32_t> starts;
  for (int i = 0; i < 1000000; ++i) {
    if (starts.empty() || random() % 2 == 0) {
      const uint32_t pages = 1 + random() % (random() % 16 == 0 ? 400 : 12);
      auto hole = holes.begin();
      std::advance(hole, random() % holes.size() % 8);
      if (hole->second < pages) continue;
      const uint32_t start = hole->first, left = hole->second - pages;
      const Runs::Run rest = runs.take(start, pages);
      ASSERT_EQ(rest.pages, left);
      holes.erase(hole);
      if (left != 0) holes[start + pages] = left;
      blocks[start] = pages;
      starts.push_back(start);
      if (holes.empty()) break;
    } else {
      const size_t index = random() % starts.size();
      const uint32_t start = starts[index];
      starts[index] = starts.back();
      starts.pop_back();
      const Runs::Freed freed = runs.free(start);
      uint32_t from = start, to = start + blocks[start];
      blocks.erase(start);
      const auto after = holes.find(to);
      ASSERT_EQ(freed.after.pages, after == holes.end() ? 0 : after->second);
      if (after != holes.end()) {
        to += after->second;
        holes.erase(after);
      }
      auto before = holes.lower_bound(start);
      if (before != holes.begin() && (--before)->first + before->second == start) {
        ASSERT_EQ(freed.before.start, before->first);
        from = before->first;
        holes.erase(before);
      } else {
        ASSERT_EQ(freed.before.pages, 0u);
      }
      holes[from] = to - from;
      ASSERT_EQ(freed.merged.start, from);
      ASSERT_EQ(freed.merged.pages, to - from);
    }
    const uint32_t page = random() % kPages;
    auto block = blocks.upper_bound(page);
    const bool in_block = block != blocks.begin() && (--block)->first + block->second > page;
    ASSERT_EQ(runs.find(page).pages, in_block ? block->second : 0);
    if (in_block) {
      ASSERT_EQ(runs.find(page).start, block->first);
    }
  }
  uint32_t walked = 0;
  runs.for_each([&](uint32_t start, uint32_t pages, bool is_block) {
    EXPECT_EQ(start, walked);
    EXPECT_EQ(is_block, blocks.count(start) == 1);
    walked += pages;
  });
  EXPECT_EQ(walked, kPages);
  for (uint32_t start : starts) runs.free(start);
  EXPECT_EQ(runs.used_pages(), 0u);
  EXPECT_EQ(runs.take(0, kPages).pages, 0u) << "free space did not merge";
}

}  // namespace
}  // namespace mps
