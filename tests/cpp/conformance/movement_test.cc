// Nodes that move elements, in every dtype: exact by nature.
#include <numeric>

#include "tests/cpp/conformance/exam.h"

namespace mps::exam {
namespace {

class Movement : public Exam, public ::testing::WithParamInterface<DType> {
 protected:
  DType dtype() const { return GetParam(); }
  Tensor values(Dims shape, uint32_t seed = 1) const { return whole_numbers(dtype(), shape, 100, seed); }

  // One graph with the result of `build` on one placeholder.
  template <typename Build>
  void expect(Dims shape, Build build) {
    Graph graph;
    graph.result(build(graph, graph.placeholder(dtype(), shape)));
    expect_reference(graph, {values(shape)});
  }
};

std::vector<DType> all_dtypes() {
  std::vector<DType> dtypes;
  for (int i = 0; i < kDTypeCount; ++i) dtypes.push_back(static_cast<DType>(i));
  return dtypes;
}

INSTANTIATE_TEST_SUITE_P(DTypes, Movement, ::testing::ValuesIn(all_dtypes()),
                         [](const auto& test) { return std::string(name(test.param)); });

TEST_P(Movement, Reshape) {
  expect({6, 4}, [](Graph& g, Value x) { return g.reshape(x, {3, 1, 8}); });
  expect({6, 4}, [](Graph& g, Value x) { return g.reshape(x, {24}); });
  expect({1, 1}, [](Graph& g, Value x) { return g.reshape(x, {}); });
}

TEST_P(Movement, ReshapeOfATranspose) {
  expect({6, 4}, [](Graph& g, Value x) { return g.reshape(g.transpose(x, {1, 0}), {3, 8}); });
  expect({2, 3, 4, 5}, [](Graph& g, Value x) { return g.reshape(g.transpose(x, {2, 3, 0, 1}), {20, 6}); });
}

TEST_P(Movement, Transpose) {
  expect({3, 4}, [](Graph& g, Value x) { return g.transpose(x, {1, 0}); });
  expect({2, 3, 4, 5}, [](Graph& g, Value x) { return g.transpose(x, {3, 1, 0, 2}); });
  expect({2, 3, 4, 5}, [](Graph& g, Value x) { return g.transpose(x, {0, 2, 1, 3}); });
  expect({1, 7, 1}, [](Graph& g, Value x) { return g.transpose(x, {2, 1, 0}); });
}

TEST_P(Movement, TransposeOfManyElements) {
  expect({301, 257}, [](Graph& g, Value x) { return g.transpose(x, {1, 0}); });
  expect({7, 130, 3, 40}, [](Graph& g, Value x) { return g.transpose(x, {0, 3, 2, 1}); });
}

TEST_P(Movement, Broadcast) {
  expect({3, 1}, [](Graph& g, Value x) { return g.broadcast(x, {2, 3, 4}); });
  expect({}, [](Graph& g, Value x) { return g.broadcast(x, {70000}); });
  expect({1, 5}, [](Graph& g, Value x) { return g.broadcast(x, {4, 5}); });
}

TEST_P(Movement, Slice) {
  expect({5, 7}, [](Graph& g, Value x) { return g.slice(x, {1, 2}, {4, 7}, {1, 1}); });
  expect({5, 7}, [](Graph& g, Value x) { return g.slice(x, {0, 1}, {5, 6}, {2, 3}); });
  expect({50, 2000}, [](Graph& g, Value x) { return g.slice(x, {3, 5}, {49, 1999}, {1, 1}); });
  expect({5, 7}, [](Graph& g, Value x) { return g.slice(x, {2, 2}, {2, 5}, {1, 1}); });  // no elements
}

TEST_P(Movement, Concatenation) {
  for (int axis : {0, 1, 2}) {
    Graph graph;
    std::vector<Value> parts;
    std::vector<Input> inputs;
    for (int64_t length : {3, 1, 0, 5}) {
      Shape shape{2, 4, 3};
      shape[static_cast<size_t>(axis)] = length;
      parts.push_back(graph.placeholder(dtype(), shape));
      inputs.emplace_back(values(shape, static_cast<uint32_t>(length)));
    }
    graph.result(graph.concatenation(parts, axis));
    expect_reference(graph, inputs);
  }
}

TEST_P(Movement, ConcatenationOfViewsAndConstants) {
  Graph graph;
  const Value x = graph.placeholder(dtype(), {3, 4});
  const Value parts[] = {graph.transpose(x, {1, 0}), graph.constant(1, dtype(), {4, 2}),
                         graph.broadcast(graph.slice(x, {0, 0}, {1, 1}, {1, 1}), {4, 1})};
  graph.result(graph.concatenation({parts, 3}, 1));
  expect_reference(graph, {values({3, 4})});
}

TEST_P(Movement, StridedView) {
  struct View {
    Shape shape;
    Ints strides;
    int64_t offset;
  };
  const View views[] = {
      {{3, 4}, {4, 1}, 5},        // a dense part, further in
      {{3, 4}, {1, 3}, 0},        // transposed
      {{5}, {-2}, 20},            // backwards
      {{3, 4}, {-4, -1}, 11},     // both axes backwards
      {{2, 3, 4}, {0, 5, 1}, 3},  // repeated
      {{4, 3}, {1, 1}, 2},        // overlapping windows
      {{}, {}, 23},               // one element
      {{0, 3}, {1, 1}, 0},        // none
  };
  for (const View& view : views) {
    SCOPED_TRACE(to_string(view.shape) + " by " + to_string(view.strides));
    expect({24}, [&](Graph& g, Value x) { return g.strided_view(x, view.shape, view.strides, view.offset); });
  }
}

TEST_P(Movement, StridedViewOfManyElements) {
  expect({200 * 400}, [](Graph& g, Value x) { return g.strided_view(x, {400, 200}, {1, 400}, 0); });
  expect({200 * 400}, [](Graph& g, Value x) { return g.strided_view(x, {40000}, {-2}, 79999); });
}

TEST_P(Movement, StridedUpdate) {
  struct Update {
    Shape shape;
    Ints strides;
    int64_t offset;
  };
  const Update updates[] = {
      {{3, 4}, {4, 1}, 5}, {{4, 3}, {1, 4}, 2}, {{5}, {-2}, 20}, {{}, {}, 7}, {{2, 2}, {12, -3}, 9}};
  for (const Update& update : updates) {
    SCOPED_TRACE(to_string(update.shape) + " by " + to_string(update.strides));
    Graph graph;
    const Value storage = graph.placeholder(dtype(), {24}), x = graph.placeholder(dtype(), update.shape);
    graph.result(graph.strided_update(storage, x, update.strides, update.offset));
    expect_reference(graph, {values({24}), values(update.shape, 2)});
  }
}

TEST_P(Movement, StridedUpdatesInARow) {
  Graph graph;
  const Value storage = graph.placeholder(dtype(), {24}), x = graph.placeholder(dtype(), {2, 3});
  Value value = graph.strided_update(storage, x, {3, 1}, 0);
  value = graph.strided_update(value, graph.transpose(x, {1, 0}), {4, 2}, 8);
  value = graph.strided_update(value, graph.constant(1, dtype(), {2}), {1}, 22);
  graph.result(value);
  expect_reference(graph, {values({24}), values({2, 3}, 2)});
}

TEST_P(Movement, ViewsOfViews) {
  expect({6, 8}, [](Graph& g, Value x) {
    Value value = g.slice(x, {1, 0}, {6, 8}, {2, 2});  // [3, 4]
    value = g.broadcast(g.reshape(value, {3, 1, 4}), {3, 2, 4});
    value = g.transpose(value, {2, 0, 1});  // [4, 3, 2]
    value = g.reshape(value, {24});
    return g.strided_view(value, {5, 4}, {3, 2}, 1);
  });
}

}  // namespace
}  // namespace mps::exam
