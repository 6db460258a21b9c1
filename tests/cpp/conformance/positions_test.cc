// Extremes, scans, gathers, scatters and sorts: what is computed along whole lines, and by positions.
#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/cpp/conformance/exam.h"

namespace mps::exam {
namespace {

std::vector<DType> all_dtypes() {
  std::vector<DType> dtypes;
  for (int i = 0; i < kDTypeCount; ++i) dtypes.push_back(static_cast<DType>(i));
  return dtypes;
}

class Positions : public Exam, public ::testing::WithParamInterface<DType> {
 protected:
  DType dtype() const { return GetParam(); }
  static std::string tell(NodeKind kind, Dims shape) { return std::string(info(kind).name) + to_string(shape); }

  // Along every axis of a few shapes; `record` gets the operand and the axis.
  template <typename F>
  void along_axes(NodeKind kind, int limit, int64_t ulp, F record) {
    if (!takes(kind, dtype())) return;
    for (const Shape& shape : {Shape{1}, Shape{7}, Shape{5, 6}, Shape{3, 4, 5}, Shape{2, 300, 3}, Shape{3, 5000}}) {
      for (size_t axis = 0; axis < shape.size(); ++axis) {
        SCOPED_TRACE(tell(kind, shape) + " along " + std::to_string(axis));
        Graph graph;
        graph.result(record(graph, graph.placeholder(dtype(), shape), static_cast<int>(axis)));
        expect_reference(graph, {whole_numbers(dtype(), shape, limit, 1)}, ulp);
      }
    }
  }

  // Some are negative, or too high: outside.
  static Tensor indices(DType index, int64_t count, int limit) { return whole_numbers(index, {count}, limit, 7); }
};

INSTANTIATE_TEST_SUITE_P(DTypes, Positions, ::testing::ValuesIn(all_dtypes()),
                         [](const auto& test) { return std::string(name(test.param)); });

TEST_P(Positions, Extremes) {
  for (NodeKind kind : {NodeKind::reduction_maximum, NodeKind::reduction_minimum, NodeKind::reduction_product}) {
    along_axes(kind, 2, 0, [&](Graph& graph, Value x, int axis) { return graph.reduction(kind, x, {int64_t{axis}}); });
  }
  for (NodeKind kind : {NodeKind::reduction_arg_maximum, NodeKind::reduction_arg_minimum}) {
    along_axes(kind, 9, 0, [&](Graph& graph, Value x, int axis) { return graph.arg_reduction(kind, x, axis); });
  }
}

TEST_P(Positions, ExtremesOfMany) {
  for (NodeKind kind : {NodeKind::reduction_maximum, NodeKind::reduction_minimum}) {
    Graph graph;
    const Value x = graph.placeholder(dtype(), {200003});
    graph.result(graph.reduction(kind, x, {0}));
    const bool greatest = kind == NodeKind::reduction_maximum;
    graph.result(
        graph.arg_reduction(greatest ? NodeKind::reduction_arg_maximum : NodeKind::reduction_arg_minimum, x, 0));
    expect_reference(graph, {whole_numbers(dtype(), {200003}, 2000, 1)});
  }
}

TEST_P(Positions, SpecialValues) {
  const Tensor special = special_values(dtype());
  const int64_t count = special.elements();
  for (bool greatest : {true, false}) {
    Graph graph;
    const Value x = graph.placeholder(dtype(), special.shape);
    const NodeKind extreme = greatest ? NodeKind::reduction_maximum : NodeKind::reduction_minimum;
    graph.result(graph.reduction(extreme, x, {0}));
    graph.result(graph.reduction(extreme, graph.slice(x, {0}, {count - 1}, {1}), {0}));
    const NodeKind place = greatest ? NodeKind::reduction_arg_maximum : NodeKind::reduction_arg_minimum;
    graph.result(graph.arg_reduction(place, x, 0));
    graph.result(graph.arg_sort(x, 0, greatest, count));
    graph.result(graph.arg_sort(x, 0, greatest, std::min<int64_t>(count, 3)));
    expect_reference(graph, {special});
  }
}

TEST_P(Positions, Scans) {
  for (NodeKind kind : {NodeKind::cumulative_sum, NodeKind::cumulative_product, NodeKind::cumulative_maximum,
                        NodeKind::cumulative_minimum, NodeKind::cumulative_log_sum_exp}) {
    for (int form = 0; form < 4; ++form) {
      // exp and log may be 4 ULP off, and so may be what is made of them.
      along_axes(kind, 1, kind == NodeKind::cumulative_log_sum_exp ? 4 : 0, [&](Graph& graph, Value x, int axis) {
        return graph.scan(kind, x, axis, (form & 1) != 0, (form & 2) != 0);
      });
    }
  }
}

TEST_P(Positions, ScansOfSpecialValues) {
  if (!is_float(dtype())) return;
  const double infinity = std::numeric_limits<double>::infinity(), nan = std::nan("");
  const Tensor lines =
      tensor_of(dtype(), {3, 6},
                {1, -infinity, 2, infinity, 3, 0, -infinity, -infinity, -1, 5, nan, 9, infinity, -2, 1, 4, nan, nan});
  for (NodeKind kind : {NodeKind::cumulative_maximum, NodeKind::cumulative_minimum, NodeKind::cumulative_log_sum_exp}) {
    for (int form = 0; form < 4; ++form) {
      SCOPED_TRACE(std::string(info(kind).name) + " " + std::to_string(form));
      Graph graph;
      graph.result(graph.scan(kind, graph.placeholder(dtype(), {3, 6}), 1, (form & 1) != 0, (form & 2) != 0));
      expect_reference(graph, {lines}, kind == NodeKind::cumulative_log_sum_exp ? 4 : 0);
    }
  }
}

TEST_P(Positions, ScansOfMany) {
  for (NodeKind kind : {NodeKind::cumulative_sum, NodeKind::cumulative_maximum}) {
    if (!takes(kind, dtype())) continue;
    for (bool reverse : {false, true}) {
      Graph graph;
      graph.result(graph.scan(kind, graph.placeholder(dtype(), {2, 200003}), 1, reverse, reverse));
      expect_reference(graph, {whole_numbers(dtype(), {2, 200003}, 2, 1)});
    }
  }
}

TEST_P(Positions, Coordinates) {
  if (dtype() != DType::int32) return;  // it makes them
  Graph graph;
  for (int axis = 0; axis < 3; ++axis) {
    const Value index = graph.coordinate({3, 4, 5}, axis);
    graph.result(index);
    graph.result(graph.addition(index, index));
    graph.result(graph.transpose(index, {2, 0, 1}));
  }
  graph.result(graph.cast(graph.coordinate({70000}, 0), DType::float32));
  expect_reference(graph, {});
}

TEST_P(Positions, Gathers) {
  for (DType index : {DType::int32, DType::int64}) {
    for (const Shape& shape : {Shape{1, 9, 1}, Shape{1, 9, 5}, Shape{3, 9, 1}, Shape{2, 9, 70}, Shape{40, 9, 33}}) {
      SCOPED_TRACE(to_string(shape));
      Graph graph;
      const Value at = graph.placeholder(index, {50});
      graph.result(graph.gather(at, graph.placeholder(dtype(), shape)));
      expect_reference(graph, {indices(index, 50, 10), whole_numbers(dtype(), shape, 100, 1)});
    }
  }
}

TEST_P(Positions, Scatters) {
  for (ScatterMode mode :
       {ScatterMode::kSet, ScatterMode::kAdd, ScatterMode::kMultiply, ScatterMode::kMinimum, ScatterMode::kMaximum}) {
    for (const Shape& shape : {Shape{1, 9, 1}, Shape{1, 9, 5}, Shape{3, 9, 1}, Shape{2, 9, 200}, Shape{1, 900, 50}}) {
      SCOPED_TRACE(std::to_string(static_cast<int>(mode)) + " " + to_string(shape));
      const int64_t count = shape[1] > 100 ? 3000 : 20;
      const DType index = shape[0] == 2 ? DType::int64 : DType::int32;
      const Shape updates{shape[0], count, shape[2]};
      Graph graph;
      const Value data = graph.placeholder(dtype(), shape), at = graph.placeholder(index, {count});
      graph.result(graph.scatter(mode, data, at, graph.placeholder(dtype(), updates)));
      expect_reference(graph, {whole_numbers(dtype(), shape, 2, 1), indices(index, count, static_cast<int>(shape[1])),
                               whole_numbers(dtype(), updates, 2, 2)});
    }
  }
}

TEST_P(Positions, ScattersOfSpecialValues) {
  const Tensor special = special_values(dtype());
  const int64_t count = special.elements();
  const Shape shape{1, 5, 1}, updates{1, count, 1};
  Tensor column = special;
  column.shape = updates;
  for (ScatterMode mode : {ScatterMode::kSet, ScatterMode::kMinimum, ScatterMode::kMaximum}) {
    Graph graph;
    const Value data = graph.placeholder(dtype(), shape), at = graph.placeholder(DType::int32, {count});
    graph.result(graph.scatter(mode, data, at, graph.placeholder(dtype(), updates)));
    SCOPED_TRACE(static_cast<int>(mode));
    expect_reference(graph, {tensor_of(dtype(), shape, {1, 0, 2}), indices(DType::int32, count, 4), column});
  }
}

TEST_P(Positions, ScattersOfLargeIntegers) {
  if (!is_integer(dtype())) return;  // sums and products of those wrap
  const Tensor special = special_values(dtype());
  const int64_t count = special.elements();
  for (ScatterMode mode : {ScatterMode::kAdd, ScatterMode::kMultiply}) {
    for (int64_t repeats : {1, 3000}) {  // so many that they are added up in smaller digits
      Graph graph;
      const Shape shape{1, 5, 1}, updates{1, count * repeats, 1};
      const Value data = graph.placeholder(dtype(), shape), at = graph.placeholder(DType::int32, {count * repeats});
      graph.result(graph.scatter(mode, data, at, graph.placeholder(dtype(), updates)));
      Tensor column = empty_tensor(dtype(), updates);
      for (int64_t i = 0; i < repeats; ++i) {
        std::copy(special.bytes.begin(), special.bytes.end(),
                  column.bytes.begin() + static_cast<std::ptrdiff_t>(special.bytes.size()) * i);
      }
      expect_reference(graph, {whole_numbers(dtype(), shape, 3, 1), indices(DType::int32, count * repeats, 5), column});
    }
  }
}

TEST_P(Positions, SortsThatKeepOrder) {
  // Few numbers, often: equal ones stay in their order. Lengths around powers of two; few, some and all of each line.
  for (int64_t length : {1, 2, 31, 32, 33, 200}) {
    for (int64_t count : {int64_t{1}, length / 2 + 1, length}) {
      for (bool descending : {false, true}) {
        SCOPED_TRACE(std::to_string(count) + " of " + std::to_string(length));
        Graph graph;
        const Shape shape{2, length, 3};
        graph.result(graph.arg_sort(graph.placeholder(dtype(), shape), 1, descending, count));
        expect_reference(graph, {whole_numbers(dtype(), shape, 2, 5)});
      }
    }
  }
}

TEST_P(Positions, SortsLongLines) {
  if (size_of(dtype()) < 4) return;
  // Evenly spread, with ties; most of them close together; and with a few far beyond the others.
  for (const auto& [most, divisor] : {std::pair<int64_t, int64_t>{1 << 30, 1}, {1 << 30, 1 << 12}, {50, 1}}) {
    for (bool descending : {false, true}) {
      SCOPED_TRACE(std::to_string(most) + " / " + std::to_string(divisor));
      constexpr int64_t kLength = (1 << 17) + 5, kFar = 3;
      Graph graph;
      const Value x = graph.placeholder(dtype(), {kLength}), far = graph.placeholder(dtype(), {kFar});
      const Value near = graph.division(x, graph.constant(divisor, dtype()));
      const Value all = graph.concatenation({near, far}, 0);
      graph.result(graph.arg_sort(all, 0, descending, kLength + kFar));
      expect_reference(graph, {whole_numbers(dtype(), {kLength}, most, 7), whole_numbers(dtype(), {kFar}, 1 << 30, 8)});
    }
  }
}

TEST_P(Positions, Sorts) {
  for (bool descending : {false, true}) {
    along_axes(NodeKind::arg_sort, 50, 0, [&](Graph& graph, Value x, int axis) {
      return graph.arg_sort(x, axis, descending, graph.shape(x)[static_cast<size_t>(axis)]);
    });
    along_axes(NodeKind::arg_sort, 50, 0,
               [&](Graph& graph, Value x, int axis) { return graph.arg_sort(x, axis, descending, 1); });
  }
}

TEST_P(Positions, Searches) {
  if (!takes(NodeKind::search_sorted, dtype())) return;
  for (bool right : {false, true}) {
    Graph graph;
    const Value sequence = graph.placeholder(dtype(), {2, 9}), values = graph.placeholder(dtype(), {2, 40});
    graph.result(graph.search_sorted(sequence, values, right));
    expect_reference(graph,
                     {tensor_of(dtype(), {2, 9}, {0, 1, 1, 2, 3, 3, 3, 5, 9}), whole_numbers(dtype(), {2, 40}, 10, 3)});
  }
}

TEST_P(Positions, SearchesOfSpecialValues) {
  if (!is_float(dtype())) return;
  const double infinity = std::numeric_limits<double>::infinity(), nan = std::nan("");
  for (bool right : {false, true}) {
    Graph graph;
    const Value sequence = graph.placeholder(dtype(), {2, 5}), values = graph.placeholder(dtype(), {2, 6});
    graph.result(graph.search_sorted(sequence, values, right));
    expect_reference(graph, {tensor_of(dtype(), {2, 5}, {-infinity, -1, 0, infinity, nan, 1, 2, 3, nan, nan}),
                             tensor_of(dtype(), {2, 6}, {nan, infinity, -infinity, 0, -0.0, 2})});
  }
}

}  // namespace
}  // namespace mps::exam
