// What every pointwise node computes, in every dtype.
#include <cmath>

#include "tests/cpp/conformance/exam.h"

namespace mps::exam {
namespace {

// Float functions may be 4 ULP off in float32, which is at most 1 ULP in the short dtypes. All else is exact.
int64_t tolerance(NodeKind kind, DType dtype) {
  if (!is_float(dtype)) return 0;
  switch (kind) {
    case NodeKind::reciprocal:
    case NodeKind::square_root:
    case NodeKind::ceil:
    case NodeKind::floor:
    case NodeKind::rint:
    case NodeKind::truncate:
      return 0;
    default:
      if (info(kind).dtypes != NodeDTypes::kFloat && kind != NodeKind::power) return 0;
  }
  return dtype == DType::float32 ? 4 : 1;
}

// Near their zeros these two are differences of large terms, which a device without double does not know well enough.
// The host's own accuracy is asked in tests/cpp/unit/host_vector_test.cc.
double slack(NodeKind kind) { return kind == NodeKind::lgamma || kind == NodeKind::digamma ? 2e-5 : 0; }

struct Question {
  NodeKind kind;
  DType dtype;
};

std::vector<Question> all_pointwise() {
  std::vector<Question> questions;
  for (int kind = 0; kind < kNodeCount; ++kind) {
    for (int dtype = 0; dtype < kDTypeCount; ++dtype) {
      const Question question{static_cast<NodeKind>(kind), static_cast<DType>(dtype)};
      if (is_pointwise(question.kind) && takes(question.kind, question.dtype)) questions.push_back(question);
    }
  }
  return questions;
}

std::string title(const ::testing::TestParamInfo<Question>& test) {
  return std::string(info(test.param.kind).name) + "_" + name(test.param.dtype);
}

class Pointwise : public Exam, public ::testing::WithParamInterface<Question> {
 protected:
  NodeKind kind() const { return GetParam().kind; }
  DType dtype() const { return GetParam().dtype; }
  int64_t ulp() const { return tolerance(kind(), dtype()); }
  bool selects() const { return info(kind()).family == NodeFamily::kSelect; }
  size_t operand_count() const {
    const NodeFamily family = info(kind()).family;
    return selects() ? 3 : family == NodeFamily::kUnary || family == NodeFamily::kCast ? 1 : 2;
  }

  // The node, or for a cast one node per dtype, on operands of these shapes.
  Graph graph_of(Span<const Shape> shapes) {
    Graph graph;
    std::vector<Value> operands;
    for (size_t i = 0; i < operand_count(); ++i) {
      operands.push_back(graph.placeholder(selects() && i == 0 ? DType::bool_ : dtype(), shapes[i]));
    }
    if (kind() != NodeKind::cast) {
      graph.result(record(graph, kind(), operands));
      return graph;
    }
    for (int to = 0; to < kDTypeCount; ++to) {
      Graph alone;  // one dtype that a device lacks must not hide the others
      alone.result(alone.cast(alone.placeholder(dtype(), {1}), static_cast<DType>(to)));
      if (!device().device().supports(alone).empty()) continue;
      graph.result(record(graph, kind(), operands, static_cast<DType>(to)));
    }
    return graph;
  }

  std::vector<Input> inputs_of(Span<const Shape> shapes, double low, double high) const {
    std::vector<Input> inputs;
    for (size_t i = 0; i < operand_count(); ++i) {
      const DType type = selects() && i == 0 ? DType::bool_ : dtype();
      const uint32_t seed = static_cast<uint32_t>(i + 1);
      inputs.emplace_back(is_float(type) ? random_numbers(type, shapes[i], low, high, seed)
                                         : whole_numbers(type, shapes[i], 100, seed));
    }
    return inputs;
  }

  void expect(Span<const Shape> shapes, double low = -20, double high = 20) {
    expect_reference(graph_of(shapes), inputs_of(shapes, low, high), ulp(), slack(kind()));
  }
};

INSTANTIATE_TEST_SUITE_P(Nodes, Pointwise, ::testing::ValuesIn(all_pointwise()), title);

TEST_P(Pointwise, SpecialValues) {
  // All pairs: the operands broadcast against each other.
  const Tensor special = special_values(dtype());
  const int64_t count = special.elements();
  Tensor column = special, row = special;
  column.shape = {count, 1};
  row.shape = {1, count};
  const Shape shapes[] = {selects() ? Shape{count, count} : column.shape, selects() ? column.shape : row.shape,
                          row.shape};
  std::vector<Input> inputs;
  if (selects()) inputs.emplace_back(whole_numbers(DType::bool_, {count, count}, 1, 1));
  inputs.emplace_back(column);
  if (operand_count() > 1) inputs.emplace_back(row);
  expect_reference(graph_of({shapes, 3}), inputs, ulp(), slack(kind()));
}

TEST_P(Pointwise, DenseOperands) {
  const Shape shape{3, 5, 7};
  const Shape shapes[] = {shape, shape, shape};
  expect({shapes, 3});
}

TEST_P(Pointwise, SmallNumbers) {
  const Shape shapes[] = {{500}, {500}, {500}};
  expect({shapes, 3}, -0.01, 0.01);
}

TEST_P(Pointwise, ManyElements) {
  // More than 65,536, which has been a limit in drivers, and no multiple of any vector or block.
  const Shape shape{70001};
  const Shape shapes[] = {shape, shape, shape};
  expect({shapes, 3});
}

TEST_P(Pointwise, NoDimensions) {
  const Shape shapes[] = {{}, {}, {}};
  expect({shapes, 3});
}

TEST_P(Pointwise, NoElements) {
  const Shape shapes[] = {{0, 3}, {0, 3}, {0, 3}};
  for (const Tensor& result : run(graph_of({shapes, 3}), inputs_of({shapes, 3}, 0, 1))) {
    EXPECT_TRUE(result.bytes.empty());
  }
}

TEST_P(Pointwise, BroadcastOperands) {
  if (operand_count() == 1) return;  // nothing to broadcast against
  const Shape inner[] = {{4, 1, 6}, {5, 1}, {6}};
  expect({inner, 3});
  const Shape outer[] = {{1}, {3, 50}, {3, 1}};
  expect({outer, 3});
  const Shape number[] = {{3000}, {}, {3000}};
  expect({number, 3});
}

TEST_P(Pointwise, ScalarOperands) {
  if (operand_count() == 1) return;  // the same graph with every operand a number is NoDimensions
  Graph graph;
  std::vector<Value> operands;
  std::vector<Input> inputs;
  if (selects()) {
    operands.push_back(graph.placeholder(DType::bool_, {20}));
    inputs.emplace_back(whole_numbers(DType::bool_, {20}, 1, 1));
  }
  operands.push_back(graph.placeholder(dtype(), {20}));
  inputs.emplace_back(whole_numbers(dtype(), {20}, 9, 2));
  operands.push_back(graph.scalar(dtype()));
  inputs.emplace_back(Scalar(3));
  graph.result(record(graph, kind(), operands));
  expect_reference(graph, inputs, ulp(), slack(kind()));
}

TEST_P(Pointwise, ConstantOperands) {
  Graph graph;
  std::vector<Value> operands;
  for (size_t i = 0; i < operand_count(); ++i) {
    operands.push_back(graph.constant(static_cast<int>(i) + 1, selects() && i == 0 ? DType::bool_ : dtype(), {2, 3}));
  }
  graph.result(record(graph, kind(), operands, DType::float32));
  expect_reference(graph, {}, ulp(), slack(kind()));
}

TEST_P(Pointwise, Denormals) {
  if (!is_float(dtype())) return;  // only floats have any
  const bool half = dtype() == DType::float16;
  const double smallest = half                        ? std::ldexp(1, -24)
                          : dtype() == DType::float32 ? std::ldexp(1, -149)
                                                      : std::ldexp(1, -133);
  const Tensor tensor = tensor_of(
      dtype(), {8}, {smallest, -smallest, 3 * smallest, 100 * smallest, -100 * smallest, 0.5, smallest * 64, 1});
  Tensor column = tensor, row = tensor;
  column.shape = {8, 1};
  row.shape = {1, 8};
  const Shape shapes[] = {selects() ? Shape{8, 8} : column.shape, selects() ? column.shape : row.shape, row.shape};
  std::vector<Input> inputs;
  if (selects()) inputs.emplace_back(whole_numbers(DType::bool_, {8, 8}, 1, 1));
  inputs.emplace_back(column);
  if (operand_count() > 1) inputs.emplace_back(row);
  expect_reference(graph_of({shapes, 3}), inputs, ulp(), slack(kind()));
}

}  // namespace
}  // namespace mps::exam
