// Sums over any axes. Whole numbers are summed exactly in any order; for others the error is bounded by theory.
#include <cmath>

#include "tests/cpp/conformance/exam.h"

namespace mps::exam {
namespace {

class Reduction : public Exam, public ::testing::WithParamInterface<DType> {
 protected:
  DType dtype() const { return GetParam(); }

  void expect(Dims shape, Dims axes, int limit = 1) {
    SCOPED_TRACE(to_string(shape) + " over " + to_string(axes));
    Graph graph;
    graph.result(graph.reduction_sum(graph.placeholder(dtype(), shape), axes));
    expect_reference(graph, {whole_numbers(dtype(), shape, limit, 1)});
  }
};

std::vector<DType> numbers() {
  std::vector<DType> dtypes;
  for (int i = 0; i < kDTypeCount; ++i) {
    if (takes(NodeKind::reduction_sum, static_cast<DType>(i))) dtypes.push_back(static_cast<DType>(i));
  }
  return dtypes;
}

INSTANTIATE_TEST_SUITE_P(DTypes, Reduction, ::testing::ValuesIn(numbers()),
                         [](const auto& test) { return std::string(name(test.param)); });

TEST_P(Reduction, AnyAxes) {
  const Shape shape{3, 4, 5, 6};
  for (int mask = 0; mask < 16; ++mask) {
    Ints axes;
    for (int axis = 0; axis < 4; ++axis) {
      if (mask & (1 << axis)) axes.push_back(axis);
    }
    expect(shape, axes);
  }
}

TEST_P(Reduction, ManyElements) {
  expect({70001}, {0});
  expect({300, 500}, {0});
  expect({300, 500}, {1});
  expect({2, 40000}, {1});
  expect({40000, 2}, {0});
}

TEST_P(Reduction, IntegersWrap) {
  if (is_float(dtype())) return;  // floats do not
  expect({1000}, {0}, 100);
}

TEST_P(Reduction, FewElements) {
  expect({1, 3}, {0});
  expect({}, {});
  expect({2}, {0});
}

TEST_P(Reduction, NoElements) {
  Graph graph;
  graph.result(graph.reduction_sum(graph.placeholder(dtype(), {0, 3}), {0}));
  expect_reference(graph, {empty_tensor(dtype(), {0, 3})});
}

TEST_P(Reduction, OfATransposedTensor) {
  Graph graph;
  const Value x = graph.transpose(graph.placeholder(dtype(), {4, 50, 6}), {1, 2, 0});
  graph.result(graph.reduction_sum(x, {0}));
  graph.result(graph.reduction_sum(x, {2}));
  expect_reference(graph, {whole_numbers(dtype(), {4, 50, 6}, 2, 1)});
}

TEST_P(Reduction, OfAConstant) {
  Graph graph;
  graph.result(graph.reduction_sum(graph.constant(1, dtype(), {5, 10}), {1}));
  expect_reference(graph, {});
}

TEST_P(Reduction, OfWhatWasComputed) {
  // Alone (a prologue), and with another reader of what is summed.
  for (bool shared : {false, true}) {
    Graph graph;
    const Value x = graph.placeholder(dtype(), {40, 70}), row = graph.placeholder(dtype(), {70});
    const Value product = graph.multiplication(x, row);
    graph.result(graph.reduction_sum(product, {0}));
    if (shared) graph.result(graph.addition(product, product));
    expect_reference(graph, {whole_numbers(dtype(), {40, 70}, 2, 1), whole_numbers(dtype(), {70}, 2, 2)});
  }
}

TEST_P(Reduction, ErrorIsBounded) {
  if (!is_float(dtype())) return;  // integers have none
  const int64_t rows = 7, length = 5000;
  Graph graph;
  graph.result(graph.reduction_sum(graph.placeholder(dtype(), {rows, length}), {1}));
  const Tensor x = random_numbers(dtype(), {rows, length}, -1, 1, 3);
  const Tensor got = run(graph, {x})[0];
  for (int64_t row = 0; row < rows; ++row) {
    double sum = 0, absolute_sum = 0;
    for (int64_t i = 0; i < length; ++i) {
      sum += value_at(x, row * length + i);
      absolute_sum += std::abs(value_at(x, row * length + i));
    }
    // float32 partial sums in any order are off by at most n * 2^-24 * sum |x|; sensible ones by far less than this.
    // Then the result is rounded once.
    const double digits = dtype() == DType::float32 ? 24 : dtype() == DType::float16 ? 11 : 8;
    const double bound =
        64 * std::ldexp(absolute_sum, -24) + std::ldexp(std::abs(sum), -static_cast<int>(digits)) * 1.01;
    EXPECT_NEAR(value_at(got, row), sum, bound) << "row " << row;
  }
}

TEST_P(Reduction, SpecialValues) {
  if (!is_float(dtype())) return;  // integers have none
  const double infinity = std::numeric_limits<double>::infinity();
  Graph graph;
  graph.result(graph.reduction_sum(graph.placeholder(dtype(), {4, 2}), {1}));
  expect_reference(graph, {tensor_of(dtype(), {4, 2}, {infinity, 1, infinity, -infinity, std::nan(""), 1, -0.0, -0.0})},
                   1);
}

}  // namespace
}  // namespace mps::exam
