// Convolutions and poolings with their gradients: layouts, groups, windows of all kinds, sizes from one element to
// several pieces.
#include <cmath>
#include <limits>
#include <random>

#include "tests/cpp/conformance/exam.h"

namespace mps::exam {
namespace {

// A square or cubic window; what a question is about is changed in the result.
Sliding sliding(size_t axes, int64_t size, int64_t stride = 1, int64_t padding = 0, int64_t dilation = 1) {
  Sliding s;
  s.size.resize(axes, size);
  s.strides.resize(axes, stride);
  s.dilations.resize(axes, dilation);
  s.before.resize(axes, padding);
  s.padding.resize(axes, padding);
  return s;
}

Shape image(const Sliding& s, int64_t batch, int64_t channels, Dims spatial) {
  Shape shape{batch};
  if (!s.channels_last) shape.push_back(channels);
  shape.append(spatial.data(), spatial.size());
  if (s.channels_last) shape.push_back(channels);
  return shape;
}

class Images : public Exam, public ::testing::WithParamInterface<DType> {
 protected:
  DType dtype() const { return GetParam(); }

  static std::string tell(const Sliding& s, Dims x) {
    return to_string(x) + (s.channels_last ? " channels last" : "") + ", " + std::to_string(s.groups) +
           " groups, size " + to_string(s.size) + ", strides " + to_string(s.strides) + ", dilations " +
           to_string(s.dilations) + ", padding " + to_string(s.before) + to_string(s.padding);
  }

  // The result, and both gradients for an incoming one of its shape.
  void convolve(Sliding s, int64_t batch, int64_t inputs, int64_t outputs, Dims spatial, bool last) {
    s.channels_last = last;
    const Shape x_shape = image(s, batch, inputs, spatial);
    Shape w_shape{outputs, inputs / s.groups};
    w_shape.append(s.size.data(), s.size.size());
    SCOPED_TRACE(tell(s, x_shape));
    Graph graph;
    const Value x = graph.placeholder(dtype(), x_shape), w = graph.placeholder(dtype(), w_shape);
    const Value y = graph.convolution(x, w, s);
    const Shape y_shape(graph.shape(y));
    const Value dy = graph.placeholder(dtype(), y_shape);
    graph.result(y);
    graph.result(graph.convolution_data_gradient(dy, w, x_shape, s));
    graph.result(graph.convolution_weights_gradient(dy, x, w_shape, s));
    // Sums of whole numbers are exact in any order; in half formats they are rounded once.
    expect_reference(graph, {whole_numbers(dtype(), x_shape, 2, 1), whole_numbers(dtype(), w_shape, 2, 2),
                             whole_numbers(dtype(), y_shape, 1, 3)});
  }
  void convolve(const Sliding& s, int64_t batch, int64_t inputs, int64_t outputs, Dims spatial) {
    for (bool last : {false, true}) convolve(s, batch, inputs, outputs, spatial, last);
  }

  // Everything that pools, with so many positions along each axis.
  void pool(Sliding s, int64_t batch, int64_t channels, Dims spatial, Dims positions, bool last) {
    s.channels_last = last;
    const Shape x_shape = image(s, batch, channels, spatial), y_shape = image(s, batch, channels, positions);
    SCOPED_TRACE(tell(s, x_shape) + " to " + to_string(y_shape));
    Graph graph;
    const Value x = graph.placeholder(dtype(), x_shape), dy = graph.placeholder(dtype(), y_shape);
    graph.result(graph.pooling(NodeKind::max_pooling, x, y_shape, s));
    graph.result(graph.pooling(NodeKind::max_pooling_indices, x, y_shape, s));
    graph.result(graph.max_pooling_gradient(dy, x, s));
    const std::vector<Input> inputs{whole_numbers(dtype(), x_shape, 3, 1), whole_numbers(dtype(), y_shape, 3, 2)};
    expect_reference(graph, inputs);
    // Shares of a gradient are rounded before they are added up.
    for (bool counts_padding : {false, true}) {
      Graph averages;
      const Value a = averages.placeholder(dtype(), x_shape), da = averages.placeholder(dtype(), y_shape);
      s.counts_padding = counts_padding;
      averages.result(averages.pooling(NodeKind::average_pooling, a, y_shape, s));
      averages.result(averages.average_pooling_gradient(da, x_shape, s));
      expect_reference(averages, inputs, 2, 1e-5);
    }
  }
  void pool(const Sliding& s, int64_t batch, int64_t channels, Dims spatial, Dims positions) {
    for (bool last : {false, true}) pool(s, batch, channels, spatial, positions, last);
  }
};

std::vector<DType> floats() { return {DType::float32, DType::float16, DType::bfloat16}; }

INSTANTIATE_TEST_SUITE_P(DTypes, Images, ::testing::ValuesIn(floats()),
                         [](const auto& test) { return std::string(name(test.param)); });

TEST_P(Images, Convolutions) {
  convolve(sliding(2, 1), 1, 1, 1, {1, 1});
  convolve(sliding(2, 1), 2, 3, 5, {4, 5});
  convolve(sliding(2, 3), 2, 3, 4, {6, 7});
  convolve(sliding(2, 3, 1, 1), 1, 16, 32, {8, 8});
  convolve(sliding(2, 3, 2, 1), 3, 4, 8, {9, 10});
  convolve(sliding(2, 5, 3, 2), 2, 2, 3, {11, 12});
  convolve(sliding(2, 3, 1, 2, 2), 2, 3, 4, {7, 8});
  convolve(sliding(2, 2, 2, 0, 3), 1, 3, 2, {10, 9});
  convolve(sliding(2, 7, 2, 3), 1, 3, 16, {20, 24});
}

TEST_P(Images, ConvolutionsWithUnevenWindows) {
  Sliding s = sliding(2, 1);
  s.size = {1, 3}, s.strides = {2, 1}, s.dilations = {1, 2}, s.before = {0, 3}, s.padding = {1, 0};
  convolve(s, 2, 3, 4, {5, 9});
  s.size = {4, 2}, s.strides = {3, 2}, s.dilations = {2, 1}, s.before = {5, 0}, s.padding = {0, 2};
  convolve(s, 1, 2, 3, {9, 6});
}

TEST_P(Images, ConvolutionsWithGroups) {
  Sliding s = sliding(2, 3, 1, 1);
  s.groups = 2;
  convolve(s, 2, 4, 6, {5, 6});
  s.groups = 8;
  convolve(s, 2, 8, 8, {7, 6});
  convolve(s, 1, 8, 16, {7, 6});
  s = sliding(2, 5, 2, 2, 1);
  s.groups = 3;
  convolve(s, 3, 9, 3, {8, 11});
  s = sliding(2, 1);
  s.groups = 4;
  convolve(s, 2, 4, 4, {3, 3});
}

TEST_P(Images, ConvolutionsLargeEnoughToBeCut) {
  convolve(sliding(2, 3, 1, 1), 4, 32, 32, {20, 20}, false);
  convolve(sliding(2, 3, 1, 1), 1, 64, 64, {16, 16}, false);
  convolve(sliding(2, 3, 1, 1), 5, 24, 40, {15, 17}, true);
  Sliding s = sliding(2, 5, 1, 2);
  s.groups = 6;
  convolve(s, 1, 96, 96, {24, 24}, false);
}

TEST_P(Images, ConvolutionsWithLargeWindows) {
  Sliding s = sliding(2, 1);
  s.size = {70, 1};
  s.groups = 2;
  convolve(s, 2, 2, 4, {75, 3}, false);
  s = sliding(2, 40, 3, 45);
  convolve(s, 1, 1, 2, {12, 30}, false);
  s.size = {3, 50}, s.strides = {1, 2}, s.dilations = {1, 2}, s.before = {0, 80}, s.padding = {1, 30};
  convolve(s, 1, 2, 1, {4, 9}, true);
}

TEST_P(Images, ConvolutionsInThreeDimensions) {
  convolve(sliding(3, 1), 1, 2, 3, {2, 3, 4});
  convolve(sliding(3, 3, 1, 1), 2, 2, 3, {4, 5, 6});
  convolve(sliding(3, 2, 2, 1), 1, 3, 2, {5, 4, 7});
  Sliding s = sliding(3, 2, 1, 2, 2);
  s.groups = 2;
  convolve(s, 2, 4, 2, {3, 4, 5});
  s.size = {3, 1, 2}, s.strides = {3, 1, 2}, s.dilations = {2, 1, 1}, s.before = {1, 0, 2}, s.padding = {4, 0, 1};
  convolve(s, 1, 2, 4, {6, 3, 5});
}

TEST_P(Images, ConvolutionsBetweenOtherNodes) {
  const Sliding s = sliding(2, 3, 1, 1);
  const Shape x_shape{2, 3, 6, 5}, w_shape{4, 3, 3, 3};
  Graph graph;
  const Value x = graph.placeholder(dtype(), x_shape), w = graph.placeholder(dtype(), w_shape);
  const Value bias = graph.placeholder(dtype(), {1, 4, 1, 1});
  const Value y = graph.relu(graph.addition(graph.convolution(graph.negative(x), w, s), bias));
  graph.result(y);
  graph.result(graph.pooling(NodeKind::max_pooling, y, {2, 4, 3, 2}, sliding(2, 2, 2)));
  graph.result(graph.convolution_weights_gradient(graph.transpose(graph.transpose(y, {1, 0, 2, 3}), {1, 0, 2, 3}), x,
                                                  w_shape, s));
  expect_reference(graph, {whole_numbers(dtype(), x_shape, 1, 1), whole_numbers(dtype(), w_shape, 1, 2),
                           whole_numbers(dtype(), {1, 4, 1, 1}, 1, 3)});
}

TEST_P(Images, ErrorOfConvolutionsIsBounded) {
  const Shape x_shape{2, 48, 9, 8}, w_shape{24, 48, 3, 3};
  const Sliding s = sliding(2, 3);
  Graph graph;
  const Value x = graph.placeholder(dtype(), x_shape), w = graph.placeholder(dtype(), w_shape);
  graph.result(graph.convolution(x, w, s));
  const std::vector<Input> inputs{random_numbers(dtype(), x_shape, -1, 1, 3),
                                  random_numbers(dtype(), w_shape, -1, 1, 4)};
  // 432 products below 1: float32 sums of any order, then one rounding.
  expect_reference(graph, inputs, dtype() == DType::float32 ? 0 : 1, 432 * 432 * std::ldexp(1.0, -24) / 16);
}

TEST_P(Images, Pooling) {
  pool(sliding(2, 1), 1, 1, {1, 1}, {1, 1});
  pool(sliding(2, 2, 2), 2, 3, {6, 8}, {3, 4});
  pool(sliding(2, 2, 2), 2, 19, {7, 5}, {3, 2});
  pool(sliding(2, 3, 2, 1), 2, 4, {8, 9}, {4, 5});
  pool(sliding(2, 3, 1, 1), 1, 2, {5, 6}, {5, 6});
  pool(sliding(2, 2, 3), 1, 2, {8, 8}, {3, 3});
  pool(sliding(2, 20, 7, 9), 1, 2, {30, 28}, {5, 4});
  pool(sliding(2, 2, 1, 1), 2, 13, {1, 1}, {2, 2});
  pool(sliding(2, 2, 1, 0), 2, 13, {2, 2}, {1, 1});
  pool(sliding(1, 3, 2, 1), 2, 3, {11}, {6});
  pool(sliding(3, 2, 2), 1, 3, {4, 6, 4}, {2, 3, 2});
  pool(sliding(3, 3, 2, 1), 2, 2, {5, 4, 7}, {3, 2, 4});
}

// With ceil_mode the last windows begin inside, but end beyond the padding.
TEST_P(Images, PoolingBeyondTheEnd) {
  pool(sliding(2, 2, 2), 2, 3, {5, 7}, {3, 4});
  pool(sliding(2, 3, 2, 1), 1, 2, {6, 8}, {4, 5});
  Sliding s = sliding(2, 3, 2);
  s.before = {0, 2}, s.padding = {1, 0}, s.size = {2, 4};
  pool(s, 1, 3, {6, 5}, {4, 3});
}

TEST_P(Images, UnevenPooling) {
  Sliding s = sliding(2, 1);
  s.adaptive = true;
  pool(s, 2, 3, {6, 8}, {3, 2});
  pool(s, 2, 17, {7, 5}, {3, 4});
  pool(s, 1, 2, {5, 4}, {1, 1});
  pool(s, 1, 2, {3, 4}, {5, 9});
  Sliding cubic = sliding(3, 1);
  cubic.adaptive = true;
  pool(cubic, 1, 2, {5, 4, 7}, {3, 2, 4});
}

TEST_P(Images, PoolingOfSpecialValues) {
  const double nan = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();
  const Shape x_shape{1, 1, 4, 6}, y_shape{1, 1, 2, 3};
  Graph graph;
  const Value x = graph.placeholder(dtype(), x_shape), dy = graph.placeholder(dtype(), y_shape);
  const Sliding s = sliding(2, 2, 2);
  graph.result(graph.pooling(NodeKind::max_pooling, x, y_shape, s));
  graph.result(graph.pooling(NodeKind::max_pooling_indices, x, y_shape, s));
  graph.result(graph.max_pooling_gradient(dy, x, s));
  expect_reference(
      graph, {tensor_of(dtype(), x_shape, {1, nan,  -infinity, -infinity, nan, nan, 2,  0, -infinity, nan, nan, nan,
                                           0, -0.0, infinity,  nan,       3,   3,   -1, 0, 5,         7,   3,   3}),
              whole_numbers(dtype(), y_shape, 3, 1)});
}

TEST_P(Images, RandomWindows) {
  std::mt19937 random(11);
  const auto pick = [&](int64_t low, int64_t high) {
    return low + static_cast<int64_t>(random() % static_cast<uint32_t>(high - low + 1));
  };
  for (int i = 0; i < 40; ++i) {
    Sliding s;
    Ints spatial, positions;
    const size_t axes = static_cast<size_t>(pick(2, 3));
    for (size_t axis = 0; axis < axes; ++axis) {
      spatial.push_back(pick(1, 6));
      positions.push_back(pick(1, 4));
      s.size.push_back(pick(1, 4));
      s.strides.push_back(pick(1, 3));
      s.dilations.push_back(1);
      s.before.push_back(pick(0, 3));
      s.padding.push_back(pick(0, 3));
    }
    pool(s, pick(1, 2), pick(1, 18), spatial, positions);
    s.groups = pick(1, 2);
    for (int64_t& dilation : s.dilations) dilation = pick(1, 2);
    bool fits = true;
    for (size_t axis = 0; axis < axes; ++axis) fits = fits && s.positions(axis, spatial[axis]) >= 1;
    if (fits) convolve(s, pick(1, 2), s.groups * pick(1, 3), s.groups * pick(1, 3), spatial);
  }
}

// Windows that see nothing: -inf, nowhere, and no average.
TEST_P(Images, WindowsWithoutElements) {
  const Shape x_shape{1, 2, 4, 4}, y_shape{1, 2, 3, 3};
  Graph graph;
  const Value x = graph.placeholder(dtype(), x_shape), dy = graph.placeholder(dtype(), y_shape);
  const Sliding s = sliding(2, 1, 2);
  graph.result(graph.pooling(NodeKind::max_pooling, x, y_shape, s));
  graph.result(graph.pooling(NodeKind::max_pooling_indices, x, y_shape, s));
  graph.result(graph.pooling(NodeKind::average_pooling, x, y_shape, s));
  graph.result(graph.max_pooling_gradient(dy, x, s));
  expect_reference(graph, {whole_numbers(dtype(), x_shape, 3, 1), whole_numbers(dtype(), y_shape, 3, 2)});
}

TEST_P(Images, Nothing) {
  const Sliding s = sliding(2, 3, 1, 1);
  Graph graph;
  const Value x = graph.placeholder(dtype(), {0, 3, 5, 5}), w = graph.placeholder(dtype(), {2, 3, 3, 3});
  const Value dy = graph.placeholder(dtype(), {0, 2, 5, 5});
  graph.result(graph.convolution(x, w, s));
  graph.result(graph.convolution_data_gradient(dy, w, {0, 3, 5, 5}, s));
  graph.result(graph.convolution_weights_gradient(dy, x, {2, 3, 3, 3}, s));
  graph.result(graph.pooling(NodeKind::max_pooling, x, {0, 3, 5, 5}, s));
  expect_reference(graph, {empty_tensor(dtype(), {0, 3, 5, 5}), whole_numbers(dtype(), {2, 3, 3, 3}, 2, 1),
                           empty_tensor(dtype(), {0, 2, 5, 5})});
}

}  // namespace
}  // namespace mps::exam
