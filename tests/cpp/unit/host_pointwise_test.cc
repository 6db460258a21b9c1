// Fused pointwise regions against the specification, to the bit: dtypes, broadcasting, views, outputs in the place of
// inputs, sizes from nothing to larger than the caches.
#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "plugin/core/check.h"
#include "plugin/host/pointwise_host.h"
#include "plugin/host/threads.h"
#include "tests/cpp/unit/host_arrays.h"

namespace mps {
namespace {

using test::Array;
using test::difference;

// Runs all pointwise nodes of the graph as one region. Feeds are by feed number. `shared` lists (result, feed) pairs:
// the result is written where the feed lies.
std::vector<Array> run_region(const Graph& graph, const std::vector<Array>& feeds, Span<const PointwiseView> views = {},
                              const std::vector<std::pair<size_t, size_t>>& shared = {}) {
  std::vector<Value> nodes, outputs;
  for (uint32_t i = 0; i < graph.node_count(); ++i) {
    if (is_pointwise(graph.node(i).kind)) nodes.push_back({i});
  }
  for (uint32_t node : graph.results()) outputs.push_back({node});
  const PointwiseProgram program = PointwiseProgram::compile(graph, nodes, outputs, views);
  std::vector<Array> memory = feeds;
  std::vector<const void*> inputs;
  for (Value input : program.inputs()) {
    inputs.push_back(memory[static_cast<size_t>(graph.attributes(graph.node(input))[0])].data());
  }
  std::vector<Array> results;
  for (Value output : outputs) results.emplace_back(graph.dtype(output), graph.elements(output));
  std::vector<void*> addresses;
  for (Array& result : results) addresses.push_back(result.data());
  for (const auto& [result, feed] : shared) addresses[result] = memory[feed].data();
  program.run(inputs, addresses);
  for (const auto& [result, feed] : shared)
    std::memcpy(results[result].data(), memory[feed].data(), memory[feed].bytes());
  return results;
}

std::vector<Array> random_feeds(const Graph& graph, std::mt19937& random) {
  std::vector<Array> feeds;
  for (uint32_t i = 0; i < graph.node_count(); ++i) {
    const NodeKind kind = graph.node(i).kind;
    if (kind != NodeKind::placeholder && kind != NodeKind::scalar) continue;
    feeds.emplace_back(graph.dtype(Value{i}), graph.elements(Value{i}));
    feeds.back().randomize(random);
  }
  return feeds;
}

void expect_reference(const Graph& graph, std::vector<Array> feeds, const std::string& what,
                      const std::vector<std::pair<size_t, size_t>>& shared = {}) {
  const std::vector<Array> got = run_region(graph, feeds, {}, shared), expected = test::reference(graph, feeds);
  for (size_t i = 0; i < got.size(); ++i) EXPECT_EQ(difference(got[i], expected[i]), "") << what << ", result " << i;
}

// A graph of random nodes, all computed exactly, over feeds whose shapes broadcast to `shape`.
class RandomGraph {
 public:
  RandomGraph(std::mt19937& random, const Shape& shape) : random_(random), shape_(shape) {}

  Graph make(int nodes) {
    for (int i = 0; i < 4; ++i) {
      const DType dtype = static_cast<DType>(up_to(kDTypeCount));
      values_.push_back(up_to(4) == 0 ? graph_.scalar(dtype)
                                      : graph_.placeholder(dtype, i == 0 ? shape_ : some_shape()));
    }
    values_.push_back(graph_.constant(Scalar(2.5), DType::float16));
    for (int i = 0; i < nodes; ++i) values_.push_back(node());
    // Of the full shape, whatever the values' own: results are added to a zero of that shape.
    const Value full = graph_.cast(graph_.placeholder(DType::bool_, shape_), DType::float32);
    for (int i = 0; i < 3; ++i) {
      const Value value = values_[values_.size() - 1 - static_cast<size_t>(i)];
      const Value spread = graph_.select(graph_.equal(full, full), graph_.cast(value, DType::float32), full);
      graph_.result(graph_.cast(spread, static_cast<DType>(up_to(kDTypeCount))));
    }
    return graph_;
  }

 private:
  uint32_t up_to(int end) { return static_cast<uint32_t>(random_() % static_cast<uint32_t>(end)); }

  Shape some_shape() {
    Shape shape = shape_;
    for (int64_t& dim : shape) dim = up_to(3) == 0 ? 1 : dim;
    if (!shape.empty() && shape[0] == 1 && up_to(2) == 0) shape = Shape(Dims(shape.data() + 1, shape.size() - 1));
    return shape;
  }

  Value any() { return values_[up_to(static_cast<int>(values_.size()))]; }

  Value node() {
    const Value x = any();
    const DType dtype = graph_.dtype(x);
    const Value y = graph_.cast(any(), dtype);
    const bool number = dtype != DType::bool_;
    switch (up_to(14)) {
      case 0:
        return graph_.addition(x, y);
      case 1:
        return number ? graph_.subtraction(x, y) : graph_.logical_not(x);
      case 2:
        return graph_.multiplication(x, y);
      case 3:
        return number ? graph_.division(x, y) : graph_.logical_not(y);
      case 4:
        return graph_.maximum(x, y);
      case 5:
        return graph_.minimum(x, y);
      case 6:
        return graph_.less_than(x, y);
      case 7:
        return graph_.equal(x, y);
      case 8:
        return graph_.select(graph_.cast(any(), DType::bool_), x, y);
      case 9:
        return number ? graph_.relu(x) : x;
      case 10:
        return number ? graph_.negative(x) : x;
      case 11:
        return is_float(dtype) ? graph_.square_root(x) : graph_.identity(x);
      case 12:
        return number ? graph_.sign(x) : x;
      default:
        return graph_.cast(x, static_cast<DType>(up_to(kDTypeCount)));
    }
  }

  std::mt19937& random_;
  const Shape shape_;
  Graph graph_;
  std::vector<Value> values_;
};

TEST(Pointwise, RandomRegionsAgreeWithTheSpecification) {
  std::mt19937 random(7);
  const Shape shapes[] = {{},        {1},          {7},      {3, 5},   {2, 3, 4},  {5, 1, 6},   {2, 1030},  {3, 2, 700},
                          {1, 5000}, {2, 3, 2, 5}, {600, 4}, {700, 3}, {90, 9, 8}, {400, 2, 3}, {40, 5, 30}};
  for (int round = 0; round < 400; ++round) {
    const Shape& shape = shapes[static_cast<size_t>(round) % std::size(shapes)];
    const Graph graph = RandomGraph(random, shape).make(1 + round % 20);
    expect_reference(graph, random_feeds(graph, random), "round " + std::to_string(round));
    if (HasFailure()) return;
  }
}

TEST(Pointwise, ReadsThroughViews) {
  std::mt19937 random(3);
  Graph graph;
  const Value storage = graph.placeholder(DType::float32, {60});
  const Value short_storage = graph.placeholder(DType::float16, {60});
  // Transposed, reversed, sliced, broadcast; in the region's graph the views are placeholders.
  const std::vector<std::pair<Ints, int64_t>> layouts = {{{1, 4, 12}, 0}, {{-20, -4, -1}, 59}, {{20, 8, 1}, 1},
                                                         {{0, 4, 1}, 3},  {{20, 0, 2}, 0},     {{0, 0, 0}, 17}};
  const Shape shape = {3, 2, 4};
  for (const auto& [strides, offset] : layouts) {
    const Value x = graph.strided_view(storage, shape, strides, offset);
    const Value y = graph.strided_view(short_storage, shape, strides, offset);
    graph.result(graph.addition(x, graph.cast(y, DType::float32)));
    graph.result(graph.identity(x));
    graph.result(graph.identity(y));
  }
  std::vector<Array> feeds = random_feeds(graph, random);
  const std::vector<Array> expected = test::reference(graph, feeds);
  for (size_t i = 0; i < layouts.size(); ++i) {
    Graph region;
    const Value x = region.placeholder(DType::float32, shape), y = region.placeholder(DType::float16, shape);
    const Value wide = region.cast(y, DType::float32);
    const Value sum = region.addition(x, wide), copy = region.identity(x), short_copy = region.identity(y);
    const std::vector<PointwiseView> views = {{x, layouts[i].first}, {y, layouts[i].first}};
    const PointwiseProgram program =
        PointwiseProgram::compile(region, {wide, sum, copy, short_copy}, {sum, copy, short_copy}, views);
    ASSERT_EQ(program.inputs().size(), 2u);
    EXPECT_FALSE(program.input_is_dense(0));
    ASSERT_EQ(program.inputs()[0].node, y.node);  // inputs are numbered as they are first read
    std::vector<Array> got = {{DType::float32, 24}, {DType::float32, 24}, {DType::float16, 24}};
    program.run(
        {static_cast<const void*>(feeds[1].data() + layouts[i].second * 2),
         static_cast<const void*>(feeds[0].data() + layouts[i].second * 4)},
        {static_cast<void*>(got[0].data()), static_cast<void*>(got[1].data()), static_cast<void*>(got[2].data())});
    for (size_t r = 0; r < 3; ++r) EXPECT_EQ(difference(got[r], expected[3 * i + r]), "") << i << " " << r;
  }
}

// Every result where some feed lies, with feeds that are read after the result in their place was computed.
TEST(Pointwise, OutputsMayLieInThePlaceOfInputs) {
  std::mt19937 random(5);
  for (int64_t n : {1, 10, 3000, 200000}) {
    for (DType dtype : {DType::float32, DType::float16, DType::int64}) {
      Graph graph;
      const Value x = graph.placeholder(dtype, {n}), y = graph.placeholder(dtype, {n});
      const Value sum = graph.addition(x, y);
      const Value product = graph.multiplication(sum, y);
      const Value difference = graph.subtraction(product, x);
      graph.result(sum);
      graph.result(product);
      graph.result(difference);
      const std::vector<Array> feeds = random_feeds(graph, random);
      expect_reference(graph, feeds, "sum in x", {{0, 0}});
      expect_reference(graph, feeds, "sum in y", {{0, 1}});
      expect_reference(graph, feeds, "sum in y, product in x", {{0, 1}, {1, 0}});
      expect_reference(graph, feeds, "product in x, difference in y", {{1, 0}, {2, 1}});
    }
  }
}

TEST(Pointwise, CopiesAnInputThatIsOverwrittenByAnotherOutput) {
  std::mt19937 random(6);
  Graph graph;
  const Value x = graph.placeholder(DType::int32, {5000});
  graph.result(graph.negative(x));
  graph.result(graph.identity(x));
  expect_reference(graph, random_feeds(graph, random), "negative in x", {{0, 0}});
}

// Nodes that become one step: limits, products of three and with sums, distances, reciprocal roots; and where they must
// stay two.
TEST(Pointwise, StepsThatJoinGiveTheSameBits) {
  std::mt19937 random(11);
  for (DType dtype : {DType::float32, DType::float16, DType::bfloat16, DType::int32}) {
    Graph graph;
    const Value x = graph.placeholder(dtype, {4000}), y = graph.placeholder(dtype, {4000});
    const Value low = graph.constant(0, dtype), high = graph.constant(3, dtype);
    const Value raised = graph.select(graph.less_than(x, low), low, x);
    graph.result(graph.select(graph.greater_than(raised, high), high, raised));
    const Value is_less = graph.less_than(x, y);
    graph.result(graph.select(is_less, y, x));
    graph.result(graph.select(is_less, x, y));
    graph.result(graph.select(graph.less_than(x, y), x, low));
    const Value product = graph.multiplication(x, y);
    graph.result(graph.addition(graph.multiplication(x, high), product));
    graph.result(graph.addition(y, product));
    graph.result(graph.addition(graph.multiplication(y, y), graph.multiplication(x, x)));
    graph.result(graph.multiplication(graph.multiplication(y, high), x));
    graph.result(graph.multiplication(x, graph.multiplication(product, product)));
    const Value square = graph.multiplication(x, x);
    graph.result(graph.multiplication(square, square));
    graph.result(graph.absolute(graph.subtraction(x, y)));
    const Value difference = graph.subtraction(y, x);
    graph.result(difference);
    graph.result(graph.absolute(difference));
    graph.result(graph.less_than(graph.absolute(x), y));
    graph.result(graph.equal(graph.absolute(y), high));
    graph.result(graph.greater_than(x, graph.absolute(y)));
    const Value near = graph.less_than(graph.absolute(graph.subtraction(x, y)), high);
    graph.result(graph.addition(graph.equal(x, y), near));
    const Value far = graph.less_than(graph.absolute(graph.subtraction(y, x)), high);
    graph.result(graph.logical_not(graph.addition(graph.equal(y, x), far)));
    graph.result(graph.addition(graph.equal(y, y), graph.less_than(graph.absolute(graph.subtraction(y, low)), high)));
    if (is_float(dtype)) {
      graph.result(graph.reciprocal(graph.square_root(x)));
      const Value root = graph.square_root(graph.absolute(y));
      graph.result(root);
      graph.result(graph.reciprocal(root));
    }
    expect_reference(graph, random_feeds(graph, random), std::string(name(dtype)));
  }
}

// Polynomials by Horner's rule become one step, unless somebody else reads a sum on the way.
TEST(Pointwise, PolynomialsThatJoinGiveTheSameBits) {
  std::mt19937 random(13);
  for (DType dtype : {DType::float32, DType::float16, DType::bfloat16, DType::int32}) {
    Graph graph;
    const Value x = graph.placeholder(dtype, {4001}), y = graph.placeholder(dtype, {4001});
    const auto number = [&](double value) { return graph.constant(value, dtype); };
    const auto step = [&](Value sum, Value by, double next) {
      return graph.addition(number(next), graph.multiplication(by, sum));
    };
    Value sum = number(3);
    for (int terms = 2; terms <= 8; ++terms) {
      sum = number(terms);
      for (int i = 1; i < terms; ++i) sum = step(sum, x, i - 3);
      graph.result(graph.subtraction(y, sum));
    }
    const Value of_sum = graph.absolute(sum);
    graph.result(step(step(step(number(2), of_sum, 1), of_sum, 3), of_sum, -2));
    const Value read_twice = step(step(number(2), x, 5), x, -1);
    graph.result(graph.addition(step(step(read_twice, x, 4), x, 1), read_twice));
    const Value result_too = step(step(number(1), y, 2), y, 3);
    graph.result(result_too);
    graph.result(step(step(result_too, y, 4), y, 5));
    graph.result(step(step(step(number(2), x, 1), y, 3), x, 4));  // of two numbers
    graph.result(step(step(step(x, x, 1), x, 3), x, 4));          // x x + 1 ...
    graph.result(graph.multiplication(step(step(number(2), x, 1), x, 0), x));
    expect_reference(graph, random_feeds(graph, random), std::string(name(dtype)));
  }
}

// Arms of a selection that are long enough to be left out in blocks that choose the other everywhere.
TEST(Pointwise, LongArmsAreLeftOutWhereNobodyChoosesThem) {
  std::mt19937 random(10);
  Graph graph;
  const int64_t n = 20000;  // many blocks
  const Value x = graph.placeholder(DType::float32, {n}), y = graph.placeholder(DType::float32, {n});
  const auto number = [&](double value) { return graph.constant(value, DType::float32); };
  const auto chain = [&](Value value, double step) {
    for (int i = 0; i < 30; ++i) value = graph.addition(graph.multiplication(value, number(0.5)), number(step));
    return value;
  };
  const Value is_low = graph.less_than(x, number(0)), is_lower = graph.less_than(x, number(-1));
  const Value shared = chain(y, 3);  // of an arm, and of a result
  const Value inner = graph.select(is_lower, chain(graph.addition(shared, y), 1), chain(y, 2));
  graph.result(graph.select(is_low, inner, chain(x, 4)));
  graph.result(shared);
  for (int signs : {-1, 0, 1}) {
    std::vector<Array> feeds = random_feeds(graph, random);
    float* const numbers = reinterpret_cast<float*>(feeds[0].data());
    for (int64_t i = 0; i < n; ++i) {
      const float sign = signs != 0 ? static_cast<float>(signs) : i / 4096 % 2 == 0 ? 1.0f : -1.0f;
      numbers[i] = sign * (0.5f + static_cast<float>(i % 7) / 5);
    }
    expect_reference(graph, feeds, "signs " + std::to_string(signs));
  }
}

TEST(Pointwise, LargeOutputsGoPastTheCaches) {
  std::mt19937 random(8);
  Graph graph;
  const int64_t n = (int64_t{5} << 20) + 13;  // 20 MiB of float32
  const Value x = graph.placeholder(DType::bool_, {n}), y = graph.scalar(DType::float32);
  graph.result(graph.multiplication(graph.cast(x, DType::float32), y));
  graph.result(graph.logical_not(x));
  const std::vector<Array> feeds = random_feeds(graph, random);
  expect_reference(graph, feeds, "large");
  expect_reference(graph, feeds, "large, one in place", {{1, 0}});
}

TEST(Pointwise, StepsThatWritePastTheCachesGiveTheSameBits) {
  std::mt19937 random(12);
  const int64_t n = (int64_t{5} << 20) + 13;
  const auto check = [&](DType dtype, auto make) {
    Graph graph;
    const Value chosen = graph.placeholder(DType::bool_, {n}), x = graph.placeholder(dtype, {n});
    graph.result(make(graph, chosen, x));
    expect_reference(graph, random_feeds(graph, random), std::string(name(dtype)));
  };
  const auto select = [](Graph& g, Value chosen, Value x) { return g.select(chosen, x, g.addition(x, x)); };
  for (DType dtype : {DType::float32, DType::int32, DType::int64, DType::float16}) check(dtype, select);
  check(DType::int64, [](Graph& g, Value, Value x) { return g.multiplication(x, x); });
}

TEST(Pointwise, ResultsDoNotDependOnThreads) {
  std::mt19937 random(9);
  const int before = thread_count();
  Graph graph;
  const Value x = graph.placeholder(DType::float32, {37, 5003}), row = graph.placeholder(DType::float16, {5003});
  const Value column = graph.placeholder(DType::float32, {37, 1});
  graph.result(graph.tanh(graph.addition(graph.multiplication(x, column), graph.cast(row, DType::float32))));
  const std::vector<Array> feeds = random_feeds(graph, random);
  set_thread_count(1);
  const Array alone = run_region(graph, feeds)[0];
  for (int threads : {2, 3, 7}) {
    set_thread_count(threads);
    EXPECT_EQ(difference(run_region(graph, feeds)[0], alone), "");
  }
  set_thread_count(before);
}

TEST(Pointwise, RunRangeGivesAnyPiece) {
  std::mt19937 random(10);
  Graph graph;
  const Value x = graph.placeholder(DType::float16, {30, 100}), row = graph.placeholder(DType::float16, {100});
  const Value sum = graph.addition(x, row);
  graph.result(sum);
  std::vector<Array> feeds = random_feeds(graph, random);
  const Array whole = test::reference(graph, feeds)[0];
  const PointwiseProgram program = PointwiseProgram::compile(graph, {sum}, {sum});
  EXPECT_EQ(program.elements(), 3000);
  for (int64_t begin : {0, 1, 99, 100, 1777, 2999}) {
    for (int64_t count : {0, 1, 2, 100, 1201}) {
      count = std::min(count, 3000 - begin);
      Array piece(DType::float16, count), expected(DType::float16, count);
      program.run_range({static_cast<const void*>(feeds[0].data()), static_cast<const void*>(feeds[1].data())},
                        {static_cast<void*>(piece.data())}, begin, count);
      if (count > 0) std::memcpy(expected.data(), whole.data() + begin * 2, expected.bytes());
      EXPECT_EQ(difference(piece, expected), "") << begin << " " << count;
    }
  }
}

TEST(Pointwise, EmptyTensorsAreLeftAlone) {
  Graph graph;
  const Value x = graph.placeholder(DType::float32, {0, 3});
  const Value y = graph.exponent(x);
  void* const nowhere = nullptr;
  PointwiseProgram::compile(graph, {y}, {y}).run({static_cast<const void*>(nullptr)}, {nowhere});
}

TEST(Pointwise, RefusesARegionThatIsNotOne) {
  Graph graph;
  const Value x = graph.placeholder(DType::float32, {4, 3});
  const Value sum = graph.reduction_sum(x, {0});
  EXPECT_THROW(PointwiseProgram::compile(graph, {sum}, {sum}), Error);
  const Value y = graph.exponent(sum);
  const Value z = graph.addition(x, y);
  EXPECT_THROW(PointwiseProgram::compile(graph, {y, z}, {y}), Error);  // z does not broadcast to y
  EXPECT_THROW(PointwiseProgram::compile(graph, {z, y}, {z}), Error);  // out of order
  EXPECT_THROW(PointwiseProgram::compile(graph, {z}, {z}).run({}, {}), Error);
}

}  // namespace
}  // namespace mps
