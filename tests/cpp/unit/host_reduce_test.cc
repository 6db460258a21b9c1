// Reductions against the specification: every arrangement of axes, every dtype, with and without a prologue, and how
// exact large sums are.
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "plugin/core/check.h"
#include "plugin/host/reduce_host.h"
#include "plugin/host/threads.h"
#include "tests/cpp/unit/host_arrays.h"

namespace mps {
namespace {

using test::Array;
using test::difference;

// Whole numbers of which even sums of thousands are exact in every dtype, so that any order gives the same bits.
Array small_integers(DType dtype, int64_t n, std::mt19937& random) {
  Array array(dtype, n);
  visit(dtype, [&](auto zero) {
    using T = decltype(zero);
    for (int64_t i = 0; i < n; ++i) {
      const T value = static_cast<T>(static_cast<float>(random() % 5));
      std::memcpy(array.data() + i * static_cast<int64_t>(sizeof value), &value, sizeof value);
    }
  });
  return array;
}

Array run(const ReduceProgram& program, const Graph& graph, Value sum, const std::vector<Array>& feeds) {
  std::vector<const void*> inputs;
  for (Value input : program.inputs()) {
    inputs.push_back(feeds[static_cast<size_t>(graph.attributes(graph.node(input))[0])].data());
  }
  Array out(graph.dtype(sum), graph.elements(sum));
  program.run(inputs, out.data());
  return out;
}

TEST(Reduce, EveryArrangementOfAxesAgreesWithTheSpecification) {
  std::mt19937 random(1);
  const Shape shapes[] = {{5},          {40},          {5000},        {3, 4},       {700, 3},       {3, 700},
                          {2, 3, 4, 5}, {1, 6, 1, 7},  {4, 2000, 3},  {3, 5, 1500}, {130, 2, 1030}, {2, 9, 3, 7, 2},
                          {1, 9000},    {9000, 1, 2},  {20, 33, 129}, {2, 70000},   {70000, 2},     {300, 1100},
                          {3, 2, 5000}, {2, 5000, 65}, {600, 2, 2, 2}};
  const DType dtypes[] = {DType::float32, DType::float16, DType::bfloat16, DType::int64, DType::int32, DType::uint8};
  for (const Shape& shape : shapes) {
    for (uint32_t set = 1; set < (1u << shape.size()); ++set) {
      Ints axes;
      for (size_t d = 0; d < shape.size(); ++d) {
        if ((set >> d & 1) != 0) axes.push_back(static_cast<int64_t>(d));
      }
      Graph graph;
      const DType dtype = dtypes[set % std::size(dtypes)];
      const Value x = graph.placeholder(dtype, shape);
      const Value sum = graph.reduction_sum(x, axes);
      if (sum.node == x.node) continue;  // only axes of size 1
      graph.result(sum);
      std::vector<Array> feeds = {small_integers(dtype, graph.elements(x), random)};
      const Array got = run(ReduceProgram::compile(graph, sum), graph, sum, feeds);
      EXPECT_EQ(difference(got, test::reference(graph, feeds)[0]), "")
          << to_string(shape) << " over " << to_string(axes);
    }
  }
}

TEST(Reduce, EveryDTypeAgreesWithTheSpecification) {
  std::mt19937 random(2);
  for (int d = 0; d < kDTypeCount; ++d) {
    const DType dtype = static_cast<DType>(d);
    if (dtype == DType::bool_) continue;
    for (const Ints& axes : {Ints{0}, Ints{1}, Ints{0, 1}}) {
      Graph graph;
      const Value x = graph.placeholder(dtype, {103, 77});
      const Value sum = graph.reduction_sum(x, axes);
      graph.result(sum);
      std::vector<Array> feeds = {small_integers(dtype, 103 * 77, random)};
      if (!is_float(dtype)) feeds[0].randomize(random);  // extreme values: sums wrap
      const Array got = run(ReduceProgram::compile(graph, sum), graph, sum, feeds);
      EXPECT_EQ(difference(got, test::reference(graph, feeds)[0]), "") << name(dtype) << " over " << to_string(axes);
    }
  }
}

TEST(Reduce, PrologueGivesTheBitsOfTwoSteps) {
  std::mt19937 random(3);
  for (const Shape& shape : {Shape{50000}, Shape{300, 1100}, Shape{7, 5000}, Shape{5000, 7}, Shape{3, 40, 50}}) {
    for (size_t axis = 0; axis < shape.size(); ++axis) {
      for (DType dtype : {DType::float32, DType::float16}) {
        const Ints axes = {static_cast<int64_t>(axis)};
        Graph graph;
        const Value x = graph.placeholder(DType::float16, shape), scale = graph.scalar(dtype);
        const Value wide = graph.cast(x, dtype);
        const Value product = graph.multiplication(wide, scale);
        const Value sum = graph.reduction_sum(product, axes);
        std::vector<Array> feeds = {{DType::float16, graph.elements(x)}, {dtype, 1}};
        for (Array& feed : feeds) feed.randomize(random);
        std::vector<Value> nodes = {product};
        if (wide.node != x.node) nodes.insert(nodes.begin(), wide);
        const PointwiseProgram prologue = PointwiseProgram::compile(graph, nodes, {product});
        const Array fused = run(ReduceProgram::compile(graph, sum, prologue), graph, sum, feeds);

        Array between(dtype, graph.elements(x));
        prologue.run({static_cast<const void*>(feeds[0].data()), static_cast<const void*>(feeds[1].data())},
                     {static_cast<void*>(between.data())});
        Graph second;
        const Value operand = second.placeholder(dtype, shape);
        const Value total = second.reduction_sum(operand, axes);
        const Array separate = run(ReduceProgram::compile(second, total), second, total, {between});
        EXPECT_EQ(difference(fused, separate), "") << to_string(shape) << " over " << axis;
      }
    }
  }
}

TEST(Reduce, ResultsDoNotDependOnThreads) {
  std::mt19937 random(4);
  const int before = thread_count();
  std::normal_distribution<float> normal;
  for (const Shape& shape : {Shape{3000000}, Shape{2, 500000}, Shape{500000, 2}, Shape{600, 1700}}) {
    for (size_t axis = 0; axis < shape.size(); ++axis) {
      Graph graph;
      const Value x = graph.placeholder(DType::float32, shape);
      const Value sum = graph.reduction_sum(x, {static_cast<int64_t>(axis)});
      std::vector<Array> feeds = {{DType::float32, graph.elements(x)}};
      for (int64_t i = 0; i < feeds[0].elements(); ++i) {
        const float value = normal(random);
        std::memcpy(feeds[0].data() + 4 * i, &value, 4);
      }
      const ReduceProgram program = ReduceProgram::compile(graph, sum);
      set_thread_count(1);
      const Array alone = run(program, graph, sum, feeds);
      for (int threads : {2, 5}) {
        set_thread_count(threads);
        EXPECT_EQ(difference(run(program, graph, sum, feeds), alone), "") << to_string(shape) << " over " << axis;
      }
    }
  }
  set_thread_count(before);
}

// A sum of 16 million positive float32, all axes, inner axis and outer axis: rounded once, it is half an ULP off.
TEST(Reduce, LargeSumsAreRoundedOnce) {
  std::mt19937 random(5);
  std::uniform_real_distribution<float> uniform(0.1f, 1.0f);
  constexpr int64_t kSize = 16 << 20;
  Array feed(DType::float32, kSize);
  double exact = 0;
  for (int64_t i = 0; i < kSize; ++i) {
    const float value = uniform(random);
    exact += static_cast<double>(value);  // 2^24 terms of 24 bits fit double's 53, but for 2^-53 at the end
    std::memcpy(feed.data() + 4 * i, &value, 4);
  }
  for (const auto& [shape, axes] : {std::pair<Shape, Ints>{{kSize}, {0}},
                                    {{1, kSize}, {1}},
                                    {{kSize, 1}, {0}},
                                    {{4096, 4096}, {0, 1}},
                                    {{256, 256, 256}, {0, 1, 2}}}) {
    Graph graph;
    const Value sum = graph.reduction_sum(graph.placeholder(DType::float32, shape), axes);
    const Array got = run(ReduceProgram::compile(graph, sum), graph, sum, {feed});
    float value;
    std::memcpy(&value, got.data(), sizeof value);
    EXPECT_EQ(value, static_cast<float>(exact)) << to_string(shape);
  }
}

TEST(Reduce, NaNAndInfinityPropagate) {
  for (const Ints& axes : {Ints{0}, Ints{1}, Ints{0, 1}}) {
    for (float special : {NAN, INFINITY, -INFINITY}) {
      Graph graph;
      const Value sum = graph.reduction_sum(graph.placeholder(DType::float32, {40, 50}), axes);
      Array feed(DType::float32, 2000);
      std::memset(feed.data(), 0, feed.bytes());
      std::memcpy(feed.data() + 4 * (7 * 50 + 13), &special, 4);
      const Array got = run(ReduceProgram::compile(graph, sum), graph, sum, {feed});
      int found = 0;
      for (int64_t i = 0; i < got.elements(); ++i) {
        float value;
        std::memcpy(&value, got.data() + 4 * i, 4);
        found += value == special || (value != value && special != special) ? 1 : 0;
      }
      EXPECT_EQ(found, 1) << special << " over " << to_string(axes);
    }
  }
}

TEST(Reduce, RefusesWhatIsNotAReduction) {
  Graph graph;
  const Value x = graph.placeholder(DType::float32, {4});
  EXPECT_THROW(ReduceProgram::compile(graph, graph.exponent(x)), Error);
  const Value sum = graph.reduction_sum(x, {0});
  EXPECT_THROW(ReduceProgram::compile(graph, sum).run({}, nullptr), Error);
}

}  // namespace
}  // namespace mps
