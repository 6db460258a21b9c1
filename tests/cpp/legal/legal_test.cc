// What a legal graph looks like, and what the exam does not ask: many axes, long axes, odd strided views, refusals.
#include "plugin/metal/legal/legal.h"

#include <algorithm>
#include <climits>
#include <random>

#include "plugin/core/check.h"
#include "plugin/metal/legal/compositions.h"
#include "plugin/metal/legal/shapes.h"
#include "plugin/metal/legal/workarounds.h"
#include "tests/cpp/conformance/exam.h"
#include "tests/cpp/legal/target.h"

namespace mps::exam {
namespace {

bool is_computed_in(DType dtype, legal::Target target) {
  return dtype == DType::float32 || dtype == DType::int32 || (dtype == DType::int64 && target.macos >= legal::kInt64);
}

bool is_narrow(DType dtype) { return is_integer(dtype) && size_of(dtype) < 4; }

// The casts that MPSGraph is trusted with.
bool is_trusted(DType from, DType to, legal::Target target) {
  const bool has_int64 = target.macos >= legal::kInt64;
  switch (from) {
    case DType::bool_:
      return to == DType::int8 || to == DType::int32 || to == DType::float32;
    case DType::int8:
      return to == DType::int32 || to == DType::bool_;
    case DType::uint8:
    case DType::int16:
      return to == DType::int32;
    case DType::int32:
      return is_narrow(to) || to == DType::int64 || to == DType::float32 || to == DType::bool_;
    case DType::int64:
      return to == DType::int32 || (to == DType::float32 && has_int64);
    case DType::float16:
    case DType::bfloat16:
      return to == DType::float32;
    case DType::float32:
      return to == DType::int32 || (to == DType::int64 && has_int64) || is_float(to);
  }
  return false;
}

size_t count_kind(const Graph& graph, NodeKind kind) {
  const std::vector<bool> live = legal::find_live(graph);
  size_t count = 0;
  for (uint32_t i = 0; i < graph.node_count(); ++i) count += live[i] && graph.node(i).kind == kind ? 1 : 0;
  return count;
}

void expect_legal_node(const Graph& graph, const Node& node, legal::Target target) {
  const DType dtype = node.operand_count == 0 ? node.dtype : graph.dtype(graph.operand(node, node.operand_count - 1));
  const auto operand = [&](size_t i) { return graph.shape(graph.operand(node, i)); };
  // Reshapes do nothing, and a gather takes an index of one axis.
  const bool sees_axes = node.kind != NodeKind::reshape && node.kind != NodeKind::strided_view;
  EXPECT_TRUE(node.rank <= legal::kMostAxes || !sees_axes);
  switch (info(node.kind).family) {
    case NodeFamily::kSource:
      if (node.kind == NodeKind::constant) {
        EXPECT_TRUE(dtype == DType::float32 || dtype == DType::int32 || dtype == DType::int64);
      }
      return;
    case NodeFamily::kUnary:
    case NodeFamily::kBinary:
    case NodeFamily::kCompare:
      EXPECT_LE(info(node.kind).macos, target.macos);
      EXPECT_NE(node.kind, NodeKind::identity);
      EXPECT_TRUE(is_computed_in(dtype, target) || info(node.kind).dtypes == NodeDTypes::kBool);
      // These are part of their own compositions: on divisors that are neither 0 nor -1, by counts below the width.
      EXPECT_TRUE(legal::find_composition(node.kind, dtype) == nullptr || node.kind == NodeKind::division ||
                  node.kind == NodeKind::bitwise_left_shift || node.kind == NodeKind::bitwise_right_shift);
      return;
    case NodeFamily::kSelect:
      EXPECT_NE(dtype, DType::bool_);
      for (size_t i = 0; i < 3; ++i) EXPECT_TRUE(same_shape(operand(i), graph.shape(node))) << "of operand " << i;
      return;
    case NodeFamily::kCast:
      EXPECT_TRUE(is_trusted(dtype, node.dtype, target)) << "to " << name(node.dtype);
      return;
    case NodeFamily::kReshape:
      return;
    case NodeFamily::kTranspose: {
      EXPECT_NE(dtype, DType::bool_);
      size_t moved = 0;
      for (size_t i = 0; i < node.rank; ++i) moved += graph.attributes(node)[i] != static_cast<int64_t>(i) ? 1 : 0;
      EXPECT_TRUE(moved == 2 || target.macos >= legal::kPermutation);
      return;
    }
    case NodeFamily::kBroadcast:
    case NodeFamily::kStridedView:
      EXPECT_NE(dtype, DType::bool_);
      return;
    case NodeFamily::kSlice:
    case NodeFamily::kConcatenation:
      EXPECT_NE(dtype, DType::bool_);
      return;
    case NodeFamily::kScan:
      EXPECT_LE(info(node.kind).macos, target.macos);
      EXPECT_TRUE(is_computed_in(dtype, target));
      EXPECT_TRUE(node.kind == NodeKind::cumulative_sum || node.kind == NodeKind::cumulative_product);
      EXPECT_EQ(graph.attributes(node)[1], 0) << "exclusive";
      return;
    case NodeFamily::kCoordinate:
      EXPECT_EQ(node.rank, 1);
      return;
    case NodeFamily::kGather:
      EXPECT_NE(dtype, DType::bool_);
      EXPECT_NE(dtype, DType::uint8);
      EXPECT_EQ(graph.dtype(graph.operand(node, 0)), DType::int32);
      return;
    case NodeFamily::kScatter:
      EXPECT_TRUE(dtype == DType::float32 || dtype == DType::int32);
      EXPECT_EQ(graph.dtype(graph.operand(node, 1)), DType::int32);
      EXPECT_NE(graph.attributes(node)[0], static_cast<int64_t>(ScatterMode::kSet));
      return;
    case NodeFamily::kArgReduce:
    case NodeFamily::kArgSort:
    case NodeFamily::kSearchSorted:
    case NodeFamily::kAttention:
    case NodeFamily::kAlignment:
      ADD_FAILURE() << "made of other nodes";
      return;
    case NodeFamily::kStridedUpdate:
    case NodeFamily::kRandom:
      ADD_FAILURE() << "MPSGraph has no such node";
      return;
    case NodeFamily::kReduce:
      EXPECT_TRUE(is_computed_in(dtype, target));
      return;
    case NodeFamily::kConvolution:
    case NodeFamily::kConvolutionGradient: {
      EXPECT_EQ(dtype, DType::float32);
      EXPECT_EQ(node.rank, 4);
      const Sliding sliding = Sliding::of(graph.attributes(node));
      EXPECT_FALSE(sliding.channels_last);
      for (size_t i = 0; i < 2; ++i) EXPECT_LE(sliding.size[i], legal::kConvolutionWindowLimit);
      if (node.kind != NodeKind::convolution_2d_weights_gradient) {
        for (size_t i = 1; i < 4; ++i) EXPECT_LE(graph.shape(node)[i], legal::kConvolutionLimit);
      }
      return;
    }
    case NodeFamily::kQuantized:
      EXPECT_EQ(node.kind, NodeKind::dequantize) << "made of other nodes";
      EXPECT_GE(target.macos, legal::kDequantize);
      EXPECT_EQ(node.rank, 3);
      EXPECT_EQ(graph.attributes(node)[0], 1);
      return;
    case NodeFamily::kFourier: {
      const Fourier what = Fourier::of(graph.attributes(node));
      EXPECT_NE(node.kind, NodeKind::hermitean_to_real_fft) << "made of another node";
      EXPECT_GE(target.macos, info(node.kind).macos);
      EXPECT_EQ(what.scale, 1);
      EXPECT_GT(what.length, 1);
      EXPECT_FALSE(what.inverse && node.kind == NodeKind::real_to_hermitean_fft);
      return;
    }
    case NodeFamily::kPooling:
    case NodeFamily::kPoolingGradient:
      ADD_FAILURE() << "made of other nodes";
      return;
    case NodeFamily::kMatmul: {
      EXPECT_EQ(dtype, DType::float32);
      EXPECT_TRUE(node.rank == 2 || node.rank == 3);
      EXPECT_EQ(operand(0).size(), operand(1).size());
      EXPECT_TRUE(node.rank == 2 || operand(0)[0] == operand(1)[0]);
      EXPECT_LE(operand(0)[node.rank - 1u], legal::kMatmulInnerLimit);
      if (target.macos < 144) {
        EXPECT_LE(graph.shape(node)[node.rank - 2u], legal::kMatmulColumnsLimit);
        EXPECT_LE(graph.shape(node)[node.rank - 1u], legal::kMatmulColumnsLimit);
      }
      return;
    }
  }
}

}  // namespace

void expect_legal(const Graph& graph, legal::Target target) {
  const std::vector<bool> live = legal::find_live(graph);
  for (uint32_t result : graph.results()) EXPECT_LE(graph.node(result).rank, legal::kMostAxes) << "result";
  for (uint32_t i = 0; i < graph.node_count(); ++i) {
    if (!live[i]) continue;
    const Node& node = graph.node(i);
    SCOPED_TRACE(std::string(info(node.kind).name) + " of " +
                 name(node.operand_count == 0 ? node.dtype : graph.dtype(graph.operand(node, 0))) + " giving " +
                 name(node.dtype) + to_string(graph.shape(node)));
    EXPECT_GT(graph.elements(Value{i}), 0);
    EXPECT_LE(graph.elements(Value{i}), INT_MAX);
    expect_legal_node(graph, node, target);
  }
}

namespace {

void product_of(Graph& g, DType dtype, Dims x, Dims y) {
  const Value a = g.placeholder(dtype, x), b = g.placeholder(dtype, y);
  g.result(g.matrix_multiplication(a, b));
}

class Legal : public Exam {
 protected:
  static Graph legal_graph(const Graph& graph, legal::Target target) { return legal::legalize(graph, target).graph; }
};

TEST_F(Legal, NoKernelSeesManyAxes) {
  Graph g;
  const Shape shape{2, 3, 2, 1, 3, 2, 2};
  const Value x = g.placeholder(DType::float32, shape), y = g.placeholder(DType::float32, {3, 2, 2});
  const Value sum = g.addition(x, y);
  g.result(sum);
  g.result(g.transpose(sum, {6, 1, 4, 3, 0, 2, 5}));
  g.result(g.transpose(sum, {0, 1, 2, 3, 5, 6, 4}));
  g.result(g.reduction_sum(sum, {0, 2, 5}));
  g.result(g.reduction_sum(sum, {1, 4, 6}));
  g.result(g.slice(sum, {0, 1, 0, 0, 1, 0, 1}, {2, 3, 2, 1, 3, 1, 2}, {1, 1, 1, 1, 1, 1, 1}));
  const Value parts[] = {sum, x, sum};
  g.result(g.concatenation({parts, 3}, 4));
  g.result(g.matrix_multiplication(x, g.transpose(x, {0, 1, 2, 3, 4, 6, 5})));
  g.result(g.less_than(x, y));
  g.result(g.select(g.less_than(x, y), x, y));
  expect_reference(g, {whole_numbers(DType::float32, shape, 3, 1), whole_numbers(DType::float32, {3, 2, 2}, 3, 2)});
}

TEST_F(Legal, LinesOfManyAxes) {
  // expect_legal() sees that no node has more than four.
  const Shape shape{2, 3, 2, 1, 7, 2, 2};
  for (size_t axis : {0u, 1u, 4u, 6u}) {
    Graph g;
    const Value x = g.placeholder(DType::float32, shape);
    const int along = static_cast<int>(axis);
    g.result(g.reduction(NodeKind::reduction_maximum, x, {0, 2, static_cast<int64_t>(axis)}));
    g.result(g.arg_reduction(NodeKind::reduction_arg_minimum, x, along));
    g.result(g.scan(NodeKind::cumulative_sum, x, along));
    g.result(g.scan(NodeKind::cumulative_maximum, x, along, true, true));
    g.result(g.arg_sort(x, along, true, shape[axis]));
    g.result(g.coordinate(shape, along));
    expect_reference(g, {whole_numbers(DType::float32, shape, 9, 1)});
  }
}

TEST_F(Legal, SortsChooseByLength) {
  const auto count_of = [&](NodeKind kind, int64_t length, int64_t count) {
    Graph g;
    g.result(g.arg_sort(g.placeholder(DType::float32, {length}), 0, false, count));
    return count_kind(legal_graph(g, target()), kind);
  };
  // A few: two extremes for each.
  EXPECT_EQ(count_of(NodeKind::reduction_minimum, 100000, 5), 10u);
  // All of a short line: ranks, which are scattered.
  EXPECT_EQ(count_of(NodeKind::scatter, 1000, 1000), 1u);
  EXPECT_EQ(count_of(NodeKind::reduction_minimum, 1000, 1000), 0u);
  // All of a long line: a network, whose 78 stages put keys and numbers together; the last keys nobody needs.
  EXPECT_EQ(count_of(NodeKind::scatter, 4096, 4096), 0u);
  EXPECT_EQ(count_of(NodeKind::concatenation, 4096, 4096), 2u * 78 - 1);
}

TEST_F(Legal, AxesThatDoNotMergeAreWrittenOut) {
  // Each operand repeats along every second axis; expect_legal() sees that no node has more than four.
  const Shape shape{2, 3, 2, 3, 2, 3}, even{2, 1, 2, 1, 2, 1}, odd{1, 3, 1, 3, 1, 3};
  for (DType dtype : {DType::float32, DType::bool_, DType::int16}) {
    SCOPED_TRACE(name(dtype));
    Graph g;
    const Value x = g.placeholder(dtype, even), y = g.placeholder(dtype, odd), p = g.placeholder(DType::bool_, odd);
    g.result(g.addition(x, y));
    g.result(g.less_than(x, y));
    g.result(g.select(p, x, y));
    g.result(g.broadcast(x, shape));
    g.result(g.cast(g.broadcast(y, shape), DType::float16));
    g.result(g.strided_view(g.reshape(x, {8}), {2, 2, 2, 2, 2, 2}, {1, 1, 1, 1, 1, 1}, 1));
    g.result(g.strided_view(g.reshape(g.broadcast(x, shape), {216}), shape, {-108, 36, -18, 6, -3, 1}, 108 + 18 + 3));
    expect_reference(
        g, {whole_numbers(dtype, even, 9, 1), whole_numbers(dtype, odd, 9, 2), whole_numbers(DType::bool_, odd, 1, 3)});
  }
}

TEST_F(Legal, ShortFloatsAreRoundedOnceInLongReductions) {
  Graph g;
  const Shape shape{9, 2, 9, 2, 9, 2, 9};  // more groups than axes
  g.result(g.reduction_sum(g.placeholder(DType::float16, shape), {0, 2, 4, 6}));
  expect_reference(g, {random_numbers(DType::float16, shape, -1, 1, 1)}, 1);
}

TEST_F(Legal, LongInnerAxesAreCut) {
  for (int64_t inner : {32766, 32767, 32768, 40001}) {
    SCOPED_TRACE(inner);
    Graph g;
    const Shape x{2, inner}, y{inner, 3};
    product_of(g, DType::float32, x, y);
    expect_reference(g, {whole_numbers(DType::float32, x, 2, 1), whole_numbers(DType::float32, y, 2, 2)});
    EXPECT_EQ(count_kind(legal_graph(g, target()), NodeKind::matrix_multiplication),
              inner < 32767 ? 1u : static_cast<size_t>((inner + 16383) / 16384));
  }
}

TEST_F(Legal, WideProductsAreCut) {
  for (const Shape& x : {Shape{3, 2}, Shape{40000, 2}}) {
    for (int64_t columns : {32768, 33000}) {
      if (x[0] * columns > 40000 * 3) continue;
      Graph g;
      const Shape y{2, x[0] > 3 ? 3 : columns};
      product_of(g, DType::float32, x, y);
      expect_reference(g, {whole_numbers(DType::float32, x, 2, 1), whole_numbers(DType::float32, y, 2, 2)});
      const bool wide = x[0] > 32768 || y[1] > 32768;
      EXPECT_EQ(count_kind(legal_graph(g, {140}), NodeKind::matrix_multiplication), wide ? 2u : 1u);
      EXPECT_EQ(count_kind(legal_graph(g, {144}), NodeKind::matrix_multiplication), 1u);
    }
  }
}

TEST_F(Legal, SpectraAreMethodsFromMacOS14On) {
  Graph g;
  const Value x = g.placeholder(DType::float32, {2, 12, 3});
  const Value half = g.real_to_hermitean_fft(x, true, 0.5);
  g.result(g.fast_fourier_transform(half, true));
  g.result(g.hermitean_to_real_fft(half, 12, false));
  expect_reference(g, {random_numbers(DType::float32, {2, 12, 3}, -1, 1, 1)}, 4, 2e-5);
  const auto count = [&](int macos, NodeKind kind) { return count_kind(legal_graph(g, {macos}), kind); };
  EXPECT_EQ(count(133, NodeKind::fast_fourier_transform) + count(133, NodeKind::real_to_hermitean_fft), 0u);
  EXPECT_GT(count(133, NodeKind::matrix_multiplication), 0u);
  EXPECT_EQ(count(140, NodeKind::fast_fourier_transform), 2u);
  EXPECT_EQ(count(140, NodeKind::real_to_hermitean_fft), 1u);
  EXPECT_EQ(count(140, NodeKind::matrix_multiplication), 0u);
}

TEST_F(Legal, IntegerProductsOfManyTermsAreExact) {
  // The largest digits, so that every product of floats is as large as it gets.
  for (DType dtype : {DType::int8, DType::uint8, DType::int16, DType::int32}) {
    SCOPED_TRACE(name(dtype));
    Graph g;
    const Shape x{2, 3, 700}, y{700, 2};
    product_of(g, dtype, x, y);
    const double top = dtype == DType::int8    ? -128
                       : dtype == DType::uint8 ? 255
                       : dtype == DType::int16 ? -32768
                                               : -2147483648.0;
    expect_reference(g, {tensor_of(dtype, x, {top, top + 1 - 2 * (top > 0), top}), tensor_of(dtype, y, {top})});
  }
}

TEST_F(Legal, StridedViewsOfEveryKind) {
  // Any view and update inside of small storage; nested ones must not become gathers.
  std::mt19937 random(1);
  const auto between = [&](int low, int high) { return std::uniform_int_distribution<int>(low, high)(random); };
  for (int trial = 0; trial < 600; ++trial) {
    const int64_t count = between(1, 60);
    Shape shape;
    Ints strides;
    int64_t low = 0, high = 0;
    for (int axis = between(0, 4); axis > 0; --axis) {
      const int64_t size = between(1, 4), stride = between(-9, 20);
      const int64_t reach = (size - 1) * stride;
      if (high - low + std::abs(reach) >= count) continue;
      (reach < 0 ? low : high) += reach;
      shape.push_back(size);
      strides.push_back(stride);
    }
    const int64_t offset = between(static_cast<int>(-low), static_cast<int>(count - 1 - high));
    SCOPED_TRACE(to_string(shape) + " by " + to_string(strides) + " from " + std::to_string(offset) + " of " +
                 std::to_string(count));
    const DType dtype = trial % 3 == 0 ? DType::uint8 : trial % 3 == 1 ? DType::bool_ : DType::int32;
    Graph g;
    const Value storage = g.placeholder(dtype, {count}), update = g.placeholder(dtype, shape);
    g.result(g.strided_view(storage, shape, strides, offset));
    std::vector<Tensor> inputs = {whole_numbers(dtype, {count}, 99, 1), whole_numbers(dtype, shape, 99, 2)};
    std::vector<int64_t> places;  // which elements the view reads
    Ints index;
    index.resize(shape.size(), 0);
    for (int64_t left = element_count(shape); left > 0; --left) {
      int64_t place = offset;
      for (size_t i = 0; i < shape.size(); ++i) place += index[i] * strides[i];
      places.push_back(place);
      for (size_t i = shape.size(); i-- > 0 && ++index[i] == shape[i];) index[i] = 0;
    }
    std::sort(places.begin(), places.end());
    // Of elements that two indices name, any value is right: no question.
    const bool unique = std::adjacent_find(places.begin(), places.end()) == places.end();
    if (unique) g.result(g.strided_update(storage, update, strides, offset));
    expect_reference(g, {inputs[0], inputs[1]});
    if (HasFailure()) return;
  }
}

TEST_F(Legal, RepeatedElementsMayBeUpdated) {
  Graph g;
  const Value storage = g.placeholder(DType::int32, {10}), update = g.placeholder(DType::int32, {3, 4});
  g.result(g.strided_update(storage, update, {0, 2}, 1));
  const Tensor before = whole_numbers(DType::int32, {10}, 9, 1);
  const Tensor got = run(g, {before, tensor_of(DType::int32, {3, 4}, {20, 21, 22, 23})})[0];
  for (int64_t i = 0; i < 10; ++i) {
    const bool updated = i % 2 == 1 && i < 8;
    EXPECT_EQ(value_at(got, i), updated ? 20 + static_cast<double>(i / 2) : value_at(before, i)) << i;
  }
}

TEST_F(Legal, ViewsOfPrograms) {
  // What programs make: parts, transposes, diagonals, windows that do not overlap. None needs a gather.
  struct View {
    Shape shape;
    Ints strides;
    int64_t offset;
  };
  const View views[] = {
      {{5, 6, 7}, {42, 7, 1}, 0},
      {{4, 6, 3}, {42, 7, 1}, 45},
      {{7, 5, 6}, {1, 42, 7}, 0},
      {{5, 7}, {42, 1}, 35},
      {{6}, {8}, 0},
      {{5, 3, 7}, {42, 14, 1}, 7},
      {{3, 6, 7}, {84, 7, 1}, 0},
      {{5, 6, 7}, {-42, 7, -1}, 174},
      {{2, 5, 6, 7}, {0, 42, 7, 1}, 0},
  };
  for (const View& view : views) {
    SCOPED_TRACE(to_string(view.shape) + " by " + to_string(view.strides));
    Graph g;
    g.result(g.strided_view(g.placeholder(DType::float32, {210}), view.shape, view.strides, view.offset));
    expect_reference(g, {whole_numbers(DType::float32, {210}, 99, 1)});
    const Graph made = legal_graph(g, target());
    for (uint32_t i = 0; i < made.node_count(); ++i) {
      if (made.node(i).kind != NodeKind::strided_view) continue;
      Ints axes;
      const Dims attributes = made.attributes(made.node(i));
      EXPECT_TRUE(legal::is_reverse(made.shape(made.node(i)), {attributes.data() + 1, attributes.size() - 1},
                                    attributes[0], &axes));
    }
  }
}

TEST_F(Legal, FeedsThatBecomeResultsAreNotComputed) {
  Graph g;
  const Value x = g.placeholder(DType::bool_, {2, 3}), s = g.scalar(DType::int64), y = g.placeholder(DType::int8, {4});
  g.result(g.reshape(x, {6}));
  g.result(s);
  g.result(g.negative(y));
  g.result(g.placeholder(DType::float32, {0}));
  g.result(g.reshape(g.negative(y), {2, 2}));
  const legal::Legal made = legal::legalize(g, {260});
  ASSERT_EQ(made.results.size(), 5u);
  EXPECT_EQ(made.results[0].kind, legal::Source::kFeed);
  EXPECT_EQ(made.results[0].index, 0u);
  EXPECT_EQ(made.results[1].kind, legal::Source::kFeed);
  EXPECT_EQ(made.results[1].index, 1u);
  EXPECT_EQ(made.results[2].kind, legal::Source::kResult);
  EXPECT_EQ(made.results[3].kind, legal::Source::kNothing);
  EXPECT_EQ(made.graph.results().size(), 2u);
}

TEST_F(Legal, LargeConvolutionsAreRefused) {
  const auto refused = [](Dims x, Dims weights) {
    Graph g;
    Sliding s;
    s.size = {weights[2], weights[3]};
    s.strides = s.dilations = {1, 1};
    s.before = s.padding = {0, 0};
    g.result(g.convolution(g.placeholder(DType::float32, x), g.placeholder(DType::float32, weights), s));
    return legal::refusal(g, {260});
  };
  EXPECT_EQ(refused({1, 2, 3, 65538}, {2, 2, 1, 3}), "");
  EXPECT_NE(refused({1, 2, 3, 65539}, {2, 2, 1, 3}).find("65537"), std::string::npos);
  EXPECT_EQ(refused({1, 1, 1, 1}, {65536, 1, 1, 1}), "");
  EXPECT_NE(refused({1, 1, 1, 1}, {65537, 1, 1, 1}).find("65537"), std::string::npos);
}

TEST_F(Legal, Refusals) {
  const auto refusal = [](DType dtype, int macos, auto build) {
    Graph g;
    g.result(build(g, g.placeholder(dtype, {6})));
    const std::string why = legal::refusal(g, {macos});
    if (why.empty()) {
      legal::legalize(g, {macos});
    } else {
      EXPECT_THROW(legal::legalize(g, {macos}), Error);
    }
    return why;
  };
  const auto negative = [](Graph& g, Value x) { return g.negative(x); };
  EXPECT_EQ(refusal(DType::bfloat16, 133, negative), "bfloat16 needs macOS 14.0: this is macOS 13.3.");
  EXPECT_EQ(refusal(DType::bfloat16, 140, negative), "");
  EXPECT_EQ(refusal(DType::int64, 130, negative), "arithmetic on int64 needs macOS 13.3: this is macOS 13.0.");
  EXPECT_EQ(refusal(DType::int64, 133, negative), "");
  EXPECT_EQ(refusal(DType::int64, 120, [](Graph& g, Value x) { return g.reshape(x, {2, 3}); }), "");
  EXPECT_EQ(refusal(DType::int64, 120, [](Graph& g, Value x) { return g.cast(x, DType::int8); }), "");
  EXPECT_EQ(refusal(DType::int8, 120, [](Graph& g, Value x) { return g.cast(x, DType::int64); }), "");
  EXPECT_NE(refusal(DType::int64, 120, [](Graph& g, Value x) { return g.cast(x, DType::float32); }), "");
  EXPECT_NE(refusal(DType::float32, 120, [](Graph& g, Value x) { return g.cast(x, DType::int64); }), "");
  const auto large = [](Graph& g, Value x) { return g.broadcast(g.slice(x, {0}, {1}, {1}), {50000, 50000}); };
  EXPECT_EQ(refusal(DType::float32, 260, large),
            "MPSGraph has no tensors of 2500000000 elements: expected at most 2147483647.");
  const auto products = [](Graph& g, Value x) {
    const Value data = g.reshape(x, {1, 6, 1});
    return g.scatter(ScatterMode::kMultiply, data, g.placeholder(DType::int32, {6}), data);
  };
  EXPECT_EQ(refusal(DType::int64, 260, products), "MPSGraph does not scatter products of int64.");
  EXPECT_EQ(refusal(DType::int32, 120, products), "");
  const auto interleaved = [](Graph& g, Value) {
    const Value storage = g.placeholder(DType::int32, {40000});
    return g.strided_update(storage, g.placeholder(DType::int32, {100, 100}), {100, 101}, 0);
  };
  EXPECT_NE(refusal(DType::int32, 260, interleaved), "");
}

}  // namespace
}  // namespace mps::exam
