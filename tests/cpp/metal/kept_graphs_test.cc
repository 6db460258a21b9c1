// Compiled graphs that outlive the program: what was compiled once is read the next time, right and only if it is
// whole. PADDLE_MPS_GRAPH_FOLDER names a folder for this test.
#include "plugin/metal/kept_graphs.h"

#include <filesystem>
#include <fstream>

#include "tests/cpp/conformance/exam.h"
#if MPS_APPLE_DOUBLE
#include "tests/apple_double/double.h"
#endif

namespace mps::exam {
namespace {

namespace fs = std::filesystem;

class KeptGraphs : public Exam {
 protected:
  void SetUp() override {
    if (kept_graphs_folder().empty()) GTEST_SKIP() << "MPSGraph packages need macOS 14, and a folder.";
    ASSERT_TRUE(clear_kept_graphs());
    device().cache().clear();
  }

  // Feeds and results of many shapes and dtypes, in an order that nobody would guess.
  static Graph graph() {
    Graph g;
    const Value a = g.placeholder(DType::float32, {3, 4}), unused = g.placeholder(DType::int8, {7});
    const Value b = g.placeholder(DType::float32, {4}), s = g.scalar(DType::float32);
    const Value c = g.placeholder(DType::float32, {3, 4}), d = g.placeholder(DType::bool_, {3, 1});
    static_cast<void>(unused);
    g.result(g.reduction_sum(g.multiplication(a, b), {0}));
    g.result(g.select(d, g.subtraction(a, s), c));
    g.result(g.less_than(a, c));
    g.result(g.subtraction(c, a));
    return g;
  }
  static std::vector<Input> inputs(uint32_t seed) {
    return {whole_numbers(DType::float32, {3, 4}, 9, seed),     whole_numbers(DType::int8, {7}, 9, seed),
            whole_numbers(DType::float32, {4}, 9, seed + 1),    Scalar(3),
            whole_numbers(DType::float32, {3, 4}, 9, seed + 2), whole_numbers(DType::bool_, {3, 1}, 1, seed + 3)};
  }

  // As in a new program: nothing of what was compiled is in memory.
  void expect_right_in_a_new_program(uint32_t seed) {
    device().cache().clear();
    expect_reference(graph(), inputs(seed));
  }

  static std::vector<fs::path> entries() {
    std::vector<fs::path> found;
    if (!fs::exists(kept_graphs_folder())) return found;
    for (const auto& each : fs::directory_iterator(kept_graphs_folder())) found.push_back(each.path());
    return found;
  }

  // Whether the executable in use was read, not compiled: compiling makes an MPSGraph.
  static void expect_graphs(int64_t count) {
#if MPS_APPLE_DOUBLE
    apple_double::settle();
    EXPECT_EQ(apple_double::live_objects()["MPSGraph"], count);
#else
    static_cast<void>(count);
#endif
  }
};

TEST_F(KeptGraphs, WhatWasCompiledIsReadTheNextTime) {
  for (uint32_t round = 0; round < 10; ++round) {  // the order of feeds may differ each time
    SCOPED_TRACE(round);
    ASSERT_TRUE(clear_kept_graphs());
    expect_right_in_a_new_program(round);
    expect_graphs(1);
    ASSERT_EQ(entries().size(), 1u);
    expect_right_in_a_new_program(round + 100);
    expect_graphs(0);
    ASSERT_EQ(entries().size(), 1u);
  }
}

TEST_F(KeptGraphs, DamagedOnesAreCompiledAgain) {
  expect_right_in_a_new_program(1);
  ASSERT_EQ(entries().size(), 1u);
  for (const auto& file : fs::recursive_directory_iterator(entries()[0] / "package")) {
    if (file.is_regular_file()) std::ofstream(file.path(), std::ios::binary | std::ios::app) << "?";
  }
  expect_right_in_a_new_program(2);
  expect_graphs(1);
  ASSERT_EQ(entries().size(), 1u);
  expect_right_in_a_new_program(3);
  expect_graphs(0);
}

TEST_F(KeptGraphs, OthersAreKeptApart) {
  for (int64_t n = 1; n <= 5; ++n) {
    Graph g;
    const Value x = g.placeholder(DType::float32, {n});
    g.result(n % 2 == 0 ? g.square(x) : g.exponent(x));
    run(g, {whole_numbers(DType::float32, {n}, 3, 1)});
    EXPECT_EQ(entries().size(), static_cast<size_t>(n));
  }
  EXPECT_TRUE(clear_kept_graphs());
  EXPECT_TRUE(entries().empty());
}

}  // namespace
}  // namespace mps::exam
