// Products of matrices: layouts, batches, sizes from one element to several blocks.
#include <cmath>

#include "tests/cpp/conformance/exam.h"

namespace mps::exam {
namespace {

class Matmul : public Exam, public ::testing::WithParamInterface<DType> {
 protected:
  DType dtype() const { return GetParam(); }

  void expect(Dims x, Dims y) {
    SCOPED_TRACE(to_string(x) + " x " + to_string(y));
    Graph graph;
    const Value a = graph.placeholder(dtype(), x), b = graph.placeholder(dtype(), y);
    graph.result(graph.matrix_multiplication(a, b));
    expect_reference(graph, {whole_numbers(dtype(), x, 2, 1), whole_numbers(dtype(), y, 2, 2)});
  }
};

std::vector<DType> numbers() {
  std::vector<DType> dtypes;
  for (int i = 0; i < kDTypeCount; ++i) {
    if (takes(NodeKind::matrix_multiplication, static_cast<DType>(i))) dtypes.push_back(static_cast<DType>(i));
  }
  return dtypes;
}

INSTANTIATE_TEST_SUITE_P(DTypes, Matmul, ::testing::ValuesIn(numbers()),
                         [](const auto& test) { return std::string(name(test.param)); });

TEST_P(Matmul, Sizes) {
  for (int64_t m : {1, 2, 7, 33}) {
    for (int64_t n : {1, 3, 16, 65}) {
      for (int64_t k : {1, 5, 64}) expect({m, k}, {k, n});
    }
  }
}

TEST_P(Matmul, LargeEnoughToBeCut) {
  expect({200, 130}, {130, 170});
  expect({3, 300}, {300, 700});
  expect({700, 300}, {300, 3});
  expect({1, 500}, {500, 600});
}

TEST_P(Matmul, Batches) {
  expect({3, 4, 5}, {3, 5, 6});
  expect({3, 4, 5}, {5, 6});
  expect({4, 5}, {3, 5, 6});
  expect({2, 1, 4, 5}, {1, 3, 5, 6});
  expect({2, 3, 4, 5}, {3, 5, 6});
  expect({2, 3, 4, 5}, {2, 1, 5, 6});
  expect({7, 1, 5}, {7, 5, 1});
  expect({70, 8, 5}, {70, 5, 6});
}

TEST_P(Matmul, TransposedOperands) {
  for (bool transpose_x : {false, true}) {
    for (bool transpose_y : {false, true}) {
      for (int64_t m : {1, 9, 70}) {
        SCOPED_TRACE(std::to_string(m) + (transpose_x ? " x" : "") + (transpose_y ? " y" : ""));
        const int64_t k = 40, n = 33;
        const Shape x = transpose_x ? Shape{2, k, m} : Shape{2, m, k};
        const Shape y = transpose_y ? Shape{2, n, k} : Shape{2, k, n};
        Graph graph;
        Value a = graph.placeholder(dtype(), x), b = graph.placeholder(dtype(), y);
        if (transpose_x) a = graph.transpose(a, {0, 2, 1});
        if (transpose_y) b = graph.transpose(b, {0, 2, 1});
        graph.result(graph.matrix_multiplication(a, b));
        expect_reference(graph, {whole_numbers(dtype(), x, 2, 1), whole_numbers(dtype(), y, 2, 2)});
      }
    }
  }
}

TEST_P(Matmul, HeadsOfAttention) {
  // [batch, time, heads, size]: the matrices lie between each other.
  const Shape shape{2, 9, 3, 8};
  Graph graph;
  const Value q = graph.transpose(graph.placeholder(dtype(), shape), {0, 2, 1, 3});
  const Value k = graph.transpose(graph.placeholder(dtype(), shape), {0, 2, 3, 1});
  const Value v = graph.transpose(graph.placeholder(dtype(), shape), {0, 2, 1, 3});
  const Value scores = graph.matrix_multiplication(q, k);
  graph.result(scores);
  graph.result(graph.reshape(
      graph.transpose(graph.matrix_multiplication(q, graph.transpose(v, {0, 1, 3, 2})), {0, 2, 1, 3}), {2, 9, 27}));
  expect_reference(graph, {whole_numbers(dtype(), shape, 2, 1), whole_numbers(dtype(), shape, 2, 2),
                           whole_numbers(dtype(), shape, 2, 3)});
}

TEST_P(Matmul, OddViews) {
  Graph graph;
  const Value x = graph.placeholder(dtype(), {400}), y = graph.placeholder(dtype(), {20, 30});
  // Every second column; rows backwards; one row repeated; a part of wider rows.
  const Value columns = graph.slice(y, {0, 0}, {20, 30}, {1, 2});
  graph.result(graph.matrix_multiplication(graph.strided_view(x, {10, 20}, {-20, 1}, 180), columns));
  graph.result(graph.matrix_multiplication(graph.strided_view(x, {10, 20}, {0, 1}, 3), y));
  graph.result(graph.matrix_multiplication(graph.strided_view(x, {10, 20}, {30, 1}, 3), y));
  graph.result(graph.matrix_multiplication(graph.strided_view(x, {5, 10, 20}, {0, 3, 7}, 0),
                                           graph.slice(y, {0, 3}, {20, 9}, {1, 1})));
  graph.result(graph.matrix_multiplication(graph.strided_view(x, {3, 1, 20}, {2, 0, 3}, 0), y));
  expect_reference(graph, {whole_numbers(dtype(), {400}, 2, 1), whole_numbers(dtype(), {20, 30}, 2, 2)});
}

TEST_P(Matmul, BroadcastBatchOfBothOperands) {
  Graph graph;
  const Value x = graph.broadcast(graph.placeholder(dtype(), {4, 5}), {3, 4, 5});
  const Value y = graph.broadcast(graph.placeholder(dtype(), {5, 6}), {3, 5, 6});
  graph.result(graph.matrix_multiplication(x, y));
  expect_reference(graph, {whole_numbers(dtype(), {4, 5}, 2, 1), whole_numbers(dtype(), {5, 6}, 2, 2)});
}

TEST_P(Matmul, NothingToSum) {
  Graph graph;
  const Value a = graph.placeholder(dtype(), {3, 0});
  const Value b = graph.placeholder(dtype(), {0, 4});
  graph.result(graph.matrix_multiplication(a, b));
  expect_reference(graph, {empty_tensor(dtype(), {3, 0}), empty_tensor(dtype(), {0, 4})});
}

TEST_P(Matmul, IntegersWrap) {
  if (is_float(dtype())) return;  // floats do not
  Graph graph;
  const Value a = graph.placeholder(dtype(), {5, 90});
  const Value b = graph.placeholder(dtype(), {90, 7});
  graph.result(graph.matrix_multiplication(a, b));
  Tensor x = tensor_of(dtype(), {5, 90}, {127, 3, 99}), y = tensor_of(dtype(), {90, 7}, {126, 55, 1, 77});
  if (size_of(dtype()) > 1) {
    for (Tensor* tensor : {&x, &y}) {
      for (size_t i = 0; i < tensor->bytes.size(); ++i) tensor->bytes[i] = static_cast<unsigned char>(i * 37 + 11);
    }
  }
  expect_reference(graph, {x, y});
}

TEST_P(Matmul, ErrorIsBounded) {
  if (!is_float(dtype())) return;  // integers have none
  const int64_t m = 30, k = 700, n = 40;
  Graph graph;
  const Value a = graph.placeholder(dtype(), {m, k});
  const Value b = graph.placeholder(dtype(), {k, n});
  graph.result(graph.matrix_multiplication(a, b));
  const Tensor x = random_numbers(dtype(), {m, k}, -1, 1, 3), y = random_numbers(dtype(), {k, n}, -1, 1, 4);
  const Tensor got = run(graph, {x, y})[0];
  int64_t wrong = 0;
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      double sum = 0, absolute_sum = 0;
      for (int64_t l = 0; l < k; ++l) {
        const double product = value_at(x, i * k + l) * value_at(y, l * n + j);
        sum += product;
        absolute_sum += std::abs(product);
      }
      const int digits = dtype() == DType::float32 ? 24 : dtype() == DType::float16 ? 11 : 8;
      const double bound = 64 * std::ldexp(absolute_sum, -24) + std::ldexp(std::abs(sum), -digits) * 1.01;
      if (!(std::abs(value_at(got, i * n + j) - sum) <= bound)) ++wrong;
    }
  }
  EXPECT_EQ(wrong, 0);
}

TEST_P(Matmul, BetweenOtherNodes) {
  Graph graph;
  const Value x = graph.placeholder(dtype(), {12, 20}), w = graph.placeholder(dtype(), {20, 8});
  const Value b = graph.placeholder(dtype(), {8});
  const Value y = graph.relu(graph.addition(graph.matrix_multiplication(graph.negative(x), w), b));
  graph.result(y);
  graph.result(graph.matrix_multiplication(graph.transpose(x, {1, 0}), y));
  graph.result(graph.reduction_sum(y, {0}));
  expect_reference(graph, {whole_numbers(dtype(), {12, 20}, 1, 1), whole_numbers(dtype(), {20, 8}, 1, 2),
                           whole_numbers(dtype(), {8}, 1, 3)});
}

}  // namespace
}  // namespace mps::exam
