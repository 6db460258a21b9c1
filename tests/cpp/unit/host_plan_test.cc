// How a graph becomes steps: lowering, views, fusions.
#include <algorithm>
#include <cmath>
#include <memory>

#include "plugin/core/print.h"
#include "plugin/host/fusion_host.h"
#include "plugin/host/lower_host.h"
#include "plugin/host/plan_host.h"
#include "plugin/host/view_host.h"
#include "tests/cpp/unit/testing.h"

namespace mps {
namespace {

// -- views -----------------------------------------------------------------------------------------------------------

std::string text(const View& view) { return std::to_string(view.offset) + " " + to_string(view.strides); }

TEST(View, MovementsAreArithmetic) {
  const View dense = dense_view(3, {2, 3, 4});
  EXPECT_EQ(dense.slot, 3u);
  EXPECT_EQ(text(transposed(dense, {2, 0, 1})), "0 [1, 12, 4]");
  EXPECT_EQ(text(sliced(dense, {1, 0, 2}, {1, 2, 1})), "14 [12, 8, 1]");
  EXPECT_EQ(text(broadcasted(dense_view(0, {3, 1}), {3, 1}, {2, 3, 5})), "0 [0, 1, 0]");
  EXPECT_EQ(text(strided(View{0, 5, {2}}, 10, {-1, 3})), "25 [-2, 6]");
}

TEST(View, ReshapesWithoutCopyingWhereStridesAllow) {
  const auto reshape = [](const View& view, Dims from, Dims to) {
    const auto result = reshaped(view, from, to);
    return result ? text(*result) : "copy";
  };
  EXPECT_EQ(reshape(dense_view(0, {2, 3, 4}), {2, 3, 4}, {6, 4}), "0 [4, 1]");
  EXPECT_EQ(reshape(dense_view(0, {2, 3, 4}), {2, 3, 4}, {3, 8}), "0 [8, 1]");
  EXPECT_EQ(reshape(dense_view(0, {24}), {24}, {2, 1, 12}), "0 [12, 12, 1]");
  EXPECT_EQ(reshape(View{0, 7, {1, 2}}, {2, 3}, {6}), "copy");
  EXPECT_EQ(reshape(View{0, 7, {1, 2}}, {2, 3}, {2, 1, 3}).substr(0, 4), "7 [1");
  EXPECT_EQ(reshape(View{0, 0, {10, 1}}, {4, 6}, {2, 2, 3, 2}), "0 [20, 10, 2, 1]");
  EXPECT_EQ(reshape(View{0, 0, {10, 1}}, {4, 6}, {24}), "copy");
  EXPECT_EQ(reshape(View{0, 0, {0, 0}}, {4, 6}, {24}), "0 [0]");
  EXPECT_EQ(reshape(View{0, 9, {-1}}, {10}, {2, 5}), "9 [-5, -1]");
  EXPECT_EQ(reshape(View{0, 2, {}}, {}, {1, 1}), "2 [0, 0]");
  EXPECT_EQ(reshape(View{0, 2, {5, 5}}, {1, 1}, {}), "2 []");
}

// -- lowering --------------------------------------------------------------------------------------------------------

TEST(Lower, DropsWhatNobodyNeedsButKeepsFeeds) {
  Graph g;
  const Value x = g.placeholder(DType::float32, {2}), unused = g.placeholder(DType::float32, {3});
  g.exponent(unused);
  g.result(g.identity(g.negative(g.identity(x))));
  EXPECT_EQ(to_string(lower(g)),
            "%0 = placeholder : float32[2] {0}\n"
            "%1 = placeholder : float32[3] {1}\n"
            "%2 = negative %0 : float32[2]\n"
            "return %2\n");
}

TEST(Lower, MovedConstantsAreConstants) {
  Graph g;
  const Value c = g.constant(-3, DType::int16, {2, 3});
  g.result(g.slice(g.transpose(g.broadcast(g.reshape(c, {6, 1}), {6, 4}), {1, 0}), {0, 0}, {2, 2}, {1, 1}));
  const Graph lowered = lower(g);
  const Node& node = lowered.node(lowered.results()[0]);
  EXPECT_EQ(node.kind, NodeKind::constant);
  EXPECT_TRUE(same_shape(lowered.shape(node), {2, 2}));
  EXPECT_EQ(lowered.attributes(node)[0], g.attributes(g.node(c))[0]);
}

TEST(Lower, ConstantsKeepTheirBits) {
  for (DType dtype :
       {DType::float32, DType::float16, DType::bfloat16, DType::int8, DType::uint8, DType::int64, DType::bool_}) {
    for (double number : {0.0, -0.0, 1.0, 1e-7, -250.0, 1e30}) {
      Graph g;
      g.result(g.constant(number, dtype));
      EXPECT_TRUE(lower(g) == g) << name(dtype) << " " << number;
    }
  }
  Graph g;
  g.result(g.constant(INT64_MAX, DType::int64));
  EXPECT_TRUE(lower(g) == g);
}

// -- plans -----------------------------------------------------------------------------------------------------------

TEST(Plan, AReshapedResultIsComputedInItsPlace) {
  Graph g;
  const Value x = g.placeholder(DType::float32, {2, 3});
  g.result(g.reshape(g.reshape(g.scan(NodeKind::cumulative_sum, x, 1), {3, 2}), {6}));
  const auto scratch = std::make_shared<Scratch>();
  float from[] = {1, 2, 3, 4, 5, 6}, to[6] = {};
  HostBinding feed, result;
  feed.address = reinterpret_cast<char*>(from);
  result.address = reinterpret_cast<char*>(to);
  feed.bytes = result.bytes = sizeof from;
  compile_plan(g, scratch)->run({&feed, 1}, {&result, 1});
  EXPECT_EQ(scratch->bytes(), 0u);
  EXPECT_EQ(std::vector<float>(to, to + 6), (std::vector<float>{1, 3, 6, 4, 9, 15}));
}

TEST(Plan, PartsOfAConcatenationAreComputedInTheirPlaces) {
  Graph g;
  const Value x = g.placeholder(DType::float32, {3});
  const Value a = g.exponent(x), sum = g.reduction_sum(a, {0}), b = g.negative(a);
  const Value pair = g.concatenation({g.reshape(a, {1, 3}), g.reshape(b, {1, 3})}, 0);  // 2 x 3
  const Value tail = g.reshape(g.multiplication(a, sum), {1, 3});
  g.result(g.concatenation({pair, tail, g.reshape(x, {1, 3}), tail}, 0));
  g.result(b);  // twice: in its part, and by itself
  const auto executable = compile_plan(g, std::make_shared<Scratch>());
  float feed[3] = {0, 1, -2}, all[15] = {}, alone[3] = {};
  const auto binding = [](float* at, size_t count) {
    HostBinding made;
    made.address = reinterpret_cast<char*>(at);
    made.bytes = count * sizeof(float);
    return made;
  };
  const HostBinding feeds[] = {binding(feed, 3)}, results[] = {binding(all, 15), binding(alone, 3)};
  executable->run({feeds, 1}, {results, 2});
  const float total = std::exp(0.0f) + std::exp(1.0f) + std::exp(-2.0f);
  for (size_t i = 0; i < 3; ++i) {
    const float e = std::exp(feed[i]);
    EXPECT_FLOAT_EQ(all[i], e);
    EXPECT_FLOAT_EQ(all[3 + i], -e);
    EXPECT_FLOAT_EQ(all[6 + i], e * total);
    EXPECT_EQ(all[9 + i], feed[i]);
    EXPECT_EQ(all[12 + i], all[6 + i]);
    EXPECT_EQ(alone[i], all[3 + i]);
  }
}

// Parts side by side, of one fusion and of others, in rows that blocks and threads cut anywhere; one with short rows,
// one that is wanted twice, and one that is a slice of a feed. The result may lie where a feed lies.
TEST(Plan, RowsOfAConcatenationAreComputedInTheirPlaces) {
  constexpr int64_t kRows = 701;
  Graph g;
  const Value x = g.placeholder(DType::float32, {kRows, 3, 20});
  const Value a = g.exponent(x), b = g.negative(x);                                  // 3 x 20 each
  const Value narrow = g.absolute(g.slice(x, {0, 0, 0}, {kRows, 3, 1}, {1, 1, 1}));  // 3 x 1: rows of 3
  const Value rest = g.square(g.slice(x, {0, 0, 0}, {kRows, 1, 20}, {1, 1, 1}));     // 1 x 20
  const Value twice = g.square_root(a);
  const Value all = g.concatenation({a, b, rest, twice, twice}, 1);  // 3 + 3 + 1 + 3 + 3 rows of 20
  g.result(g.concatenation({g.reshape(all, {kRows, 260}), g.reshape(narrow, {kRows, 3})}, 1));
  const auto executable = compile_plan(g, std::make_shared<Scratch>());
  std::vector<float> memory(kRows * 263);
  for (size_t i = 0; i < kRows * 60; ++i) memory[i] = static_cast<float>(i % 97) / 50 - 1;
  const std::vector<float> feed(memory.begin(), memory.begin() + kRows * 60);
  HostBinding from, to;
  from.address = to.address = reinterpret_cast<char*>(memory.data());
  from.bytes = feed.size() * sizeof(float);
  to.bytes = memory.size() * sizeof(float);
  executable->run({&from, 1}, {&to, 1});
  for (size_t row = 0; row < kRows; ++row) {
    const float* const numbers = feed.data() + row * 60;
    const float* const got = memory.data() + row * 263;
    for (size_t i = 0; i < 60; ++i) {
      ASSERT_FLOAT_EQ(got[i], std::exp(numbers[i]));
      ASSERT_EQ(got[60 + i], -numbers[i]);
      ASSERT_FLOAT_EQ(got[140 + i], std::sqrt(std::exp(numbers[i])));
      ASSERT_EQ(got[200 + i], got[140 + i]);
      if (i < 20) {
        ASSERT_EQ(got[120 + i], numbers[i] * numbers[i]);
      }
      if (i < 3) {
        ASSERT_EQ(got[260 + i], std::abs(numbers[i * 20]));
      }
    }
  }
}

// A result in rows may not be written before the feed in its place has been read.
TEST(Plan, RowsDoNotOverwriteAFeedThatIsStillWanted) {
  constexpr int64_t kRows = 300, kWidth = 32;
  Graph g;
  const Value x = g.placeholder(DType::float32, {kRows, kWidth});
  g.result(g.concatenation({g.negative(x), g.square(x)}, 1));
  const auto executable = compile_plan(g, std::make_shared<Scratch>());
  std::vector<float> memory(kRows * 2 * kWidth);
  for (size_t i = 0; i < memory.size(); ++i) memory[i] = static_cast<float>(i);
  HostBinding from, to;
  from.address = to.address = reinterpret_cast<char*>(memory.data());
  to.bytes = memory.size() * sizeof(float);
  from.bytes = to.bytes / 2;
  executable->run({&from, 1}, {&to, 1});
  for (size_t row = 0; row < kRows; ++row) {
    for (size_t i = 0; i < kWidth; ++i) {
      const float number = static_cast<float>(row * kWidth + i);
      ASSERT_EQ(memory[row * 2 * kWidth + i], -number);
      ASSERT_EQ(memory[row * 2 * kWidth + kWidth + i], number * number);
    }
  }
}

// -- fusions ---------------------------------------------------------------------------------------------------------

// "nodes > outputs; ..." of every fusion that has outputs, in order of their first output.
std::string fusions_of(const Graph& graph) {
  std::vector<std::pair<uint32_t, std::string>> lines;
  for (const Fusion& fusion : find_fusions(graph).all) {
    if (fusion.outputs.empty()) continue;
    std::string line;
    for (uint32_t node : fusion.nodes) line += std::to_string(node) + " ";
    line += ">";
    for (uint32_t node : fusion.outputs) line += " " + std::to_string(node);
    lines.emplace_back(*fusion.outputs.begin(), line);
  }
  std::sort(lines.begin(), lines.end());
  std::string result;
  for (const auto& line : lines) result += (result.empty() ? "" : "; ") + line.second;
  return result;
}

TEST(Fusion, ChainsOfOneShapeAreOne) {
  Graph g;
  const Value x = g.placeholder(DType::float32, {4});              // 0
  const Value y = g.multiplication(g.exponent(x), g.negative(x));  // 1, 2, 3 in some order
  g.result(g.addition(y, x));                                      // 4
  EXPECT_EQ(fusions_of(g), "1 2 3 4 > 4");
}

TEST(Fusion, AReductionBetweenSplits) {
  Graph g;                                                // softmax without the maximum
  const Value x = g.placeholder(DType::float32, {4, 5});  // 0
  const Value e = g.exponent(x);                          // 1
  const Value s = g.reduction_sum(e, {1});                // 2
  g.result(g.division(e, s));                             // 3
  EXPECT_EQ(fusions_of(g), "1 > 1; 3 > 3");
}

TEST(Fusion, WhatOnlyAReductionNeedsIsItsPrologue) {
  Graph g;
  const Value x = g.placeholder(DType::float32, {4, 5});  // 0
  const Value q = g.square(g.negative(x));                // 1, 2
  const Value s = g.reduction_sum(q, {1});                // 3
  g.result(s);
  const Fusions fusions = find_fusions(g);
  ASSERT_NE(fusions.prologue_of[3], Fusions::kNone);
  EXPECT_EQ(fusions.all[fusions.prologue_of[3]].nodes, (std::set<uint32_t>{1, 2}));
  EXPECT_EQ(fusions.stored_by[2], Fusions::kNone);
}

TEST(Fusion, AResultIsNoPrologue) {
  Graph g;
  const Value q = g.square(g.placeholder(DType::float32, {4, 5}));  // 1: wanted in memory anyway
  g.result(q);
  g.result(g.reduction_sum(q, {1}));  // 2
  EXPECT_EQ(find_fusions(g).prologue_of[2], Fusions::kNone);
}

TEST(Fusion, APathThroughMemoryKeepsNodesApart) {
  Graph g;
  const Value x = g.placeholder(DType::float32, {4, 4});  // 0
  const Value a = g.exponent(x);                          // 1
  const Value t = g.transpose(a, {1, 0});                 // 2: reads a from memory
  g.result(g.addition(a, t));                             // 3: must not be computed with 1
  EXPECT_EQ(fusions_of(g), "1 > 1; 3 > 3");
}

TEST(Fusion, ReadersOfOneValueShareALoop) {
  Graph g;
  const Value x = g.placeholder(DType::float32, {4});  // 0
  g.result(g.exponent(x));                             // 1
  g.result(g.negative(x));                             // 2
  EXPECT_EQ(fusions_of(g), "1 2 > 1 2");
}

TEST(Fusion, WhatOnlyLaterLoopsReadIsComputedThere) {
  Graph g;
  const Value x = g.placeholder(DType::float32, {4, 5}), y = g.placeholder(DType::float32, {4, 5});  // 0, 1
  const Value e = g.exponent(x);                                                                     // 2
  const Value s = g.reduction_sum(e, {1});                                                           // 3
  const Value n = g.negative(y);                                                                     // 4
  const Value d = g.division(e, s);                                                                  // 5
  g.result(g.addition(d, n));                                                                        // 6
  EXPECT_EQ(fusions_of(g), "2 > 2; 4 5 6 > 6");
}

TEST(Fusion, StrangersDoNot) {
  Graph g;
  const Value x = g.placeholder(DType::float32, {4}), y = g.placeholder(DType::float32, {4});  // 0, 1
  g.result(g.exponent(x));                                                                     // 2
  g.result(g.negative(y));                                                                     // 3
  EXPECT_EQ(fusions_of(g), "2 > 2; 3 > 3");
}

TEST(Fusion, NumbersAreComputedWhereTheyAreRead) {
  Graph g;
  const Value s = g.scalar(DType::float32);            // 0
  const Value x = g.placeholder(DType::float32, {4});  // 1
  const Value y = g.placeholder(DType::float32, {5});  // 2
  const Value r = g.square_root(g.negative(s));        // 3, 4
  g.result(g.multiplication(x, r));                    // 5
  g.result(g.multiplication(y, r));                    // 6
  EXPECT_EQ(fusions_of(g), "3 4 5 > 5; 3 4 6 > 6");
  g.result(r);  // and now it is wanted itself
  EXPECT_EQ(fusions_of(g), "3 4 > 4; 3 4 5 > 5; 3 4 6 > 6");
}

TEST(Fusion, SmallerOperandsAreComputedBefore) {
  Graph g;
  const Value row = g.placeholder(DType::float32, {5}), x = g.placeholder(DType::float32, {4, 5});  // 0, 1
  g.result(g.addition(x, g.exponent(row)));                                                         // 2, 3
  EXPECT_EQ(fusions_of(g), "2 > 2; 3 > 3");
}

}  // namespace
}  // namespace mps
