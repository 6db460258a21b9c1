// Whole graphs: chains, several results, results that are no computation, results in the place of feeds.
#include <cmath>

#include "tests/cpp/conformance/exam.h"

namespace mps::exam {
namespace {

class Graphs : public Exam {};

// layer_norm-like: reductions between pointwise nodes, values that are read on both sides of them.
Graph normalisation(DType dtype, int64_t rows, int64_t columns) {
  Graph g;
  const Value x = g.placeholder(dtype, {rows, columns});
  const Value scale = g.placeholder(dtype, {columns}), epsilon = g.scalar(DType::float32);
  const Value wide = g.cast(x, DType::float32);
  const Value count = g.constant(static_cast<double>(columns), DType::float32);
  const Value mean = g.division(g.reduction_sum(wide, {1}), count);
  const Value centered = g.subtraction(wide, mean);
  const Value variance = g.division(g.reduction_sum(g.square(centered), {1}), count);
  const Value normal = g.division(centered, g.square_root(g.addition(variance, epsilon)));
  g.result(g.cast(g.multiplication(normal, g.cast(scale, DType::float32)), dtype));
  g.result(mean);
  g.result(g.reshape(variance, {rows}));
  return g;
}

TEST_F(Graphs, Normalisation) {
  for (DType dtype : {DType::float32, DType::bfloat16, DType::float16}) {
    SCOPED_TRACE(name(dtype));
    expect_reference(normalisation(dtype, 30, 64),
                     {random_numbers(dtype, {30, 64}, -3, 5, 1), random_numbers(dtype, {64}, -2, 2, 2), Scalar(1e-5)},
                     8);
  }
}

TEST_F(Graphs, Softmax) {
  Graph g;
  const Value x = g.placeholder(DType::float32, {20, 50});
  const Value e = g.exponent(x);
  g.result(g.division(e, g.reduction_sum(e, {1})));
  expect_reference(g, {random_numbers(DType::float32, {20, 50}, -5, 5, 1)}, 8);
}

TEST_F(Graphs, AdamStep) {
  Graph g;
  const Shape shape{1000};
  const Value p = g.placeholder(DType::float32, shape), gradient = g.placeholder(DType::bfloat16, shape);
  const Value m = g.placeholder(DType::float32, shape), v = g.placeholder(DType::float32, shape);
  const Value rate = g.scalar(DType::float32), beta = g.scalar(DType::float32);
  const Value one = g.constant(1, DType::float32), wide = g.cast(gradient, DType::float32);
  const Value rest = g.subtraction(one, beta);
  const Value m2 = g.addition(g.multiplication(m, beta), g.multiplication(wide, rest));
  const Value v2 = g.addition(g.multiplication(v, beta), g.multiplication(g.square(wide), rest));
  const Value step = g.division(m2, g.addition(g.square_root(v2), g.constant(1e-8, DType::float32)));
  g.result(g.subtraction(p, g.multiplication(rate, step)));
  g.result(m2);
  g.result(v2);
  expect_reference(
      g, {random_numbers(DType::float32, shape, -1, 1, 1), random_numbers(DType::bfloat16, shape, -1, 1, 2),
          random_numbers(DType::float32, shape, -1, 1, 3), random_numbers(DType::float32, shape, 0, 1, 4), Scalar(0.01),
          Scalar(0.9)});
}

TEST_F(Graphs, AChainGivesTheBitsOfItsNodes) {
  // The same nodes in one graph and one per graph: whatever a device fuses, float16 rounds at every node.
  for (DType dtype : {DType::float32, DType::float16, DType::bfloat16}) {
    SCOPED_TRACE(name(dtype));
    const NodeKind chain[] = {NodeKind::square, NodeKind::exponent,   NodeKind::logarithm, NodeKind::sigmoid,
                              NodeKind::tanh,   NodeKind::reciprocal, NodeKind::negative,  NodeKind::relu};
    const Tensor x = random_numbers(dtype, {3000}, -2, 2, 1), y = random_numbers(dtype, {3000}, 0.5, 2, 2);
    Graph whole;
    Value value = whole.placeholder(dtype, {3000});
    const Value other = whole.placeholder(dtype, {3000});
    Tensor single = x;
    for (NodeKind kind : chain) {
      const Value operand[] = {value};
      value = whole.addition(whole.multiplication(record(whole, kind, {operand, 1}), other), other);
      for (NodeKind step : {kind, NodeKind::multiplication, NodeKind::addition}) {
        Graph one;
        const Value a = one.placeholder(dtype, {3000}), b = one.placeholder(dtype, {3000});
        const Value operands[] = {a, b};
        one.result(record(one, step, {operands, 2}));
        single = run(one, {single, y})[0];
      }
    }
    whole.result(value);
    expect_close(run(whole, {x, y})[0], single, 0);
  }
}

TEST_F(Graphs, ResultsThatAreNoComputation) {
  Graph g;
  const Value x = g.placeholder(DType::int32, {4, 5}), s = g.scalar(DType::float16);
  g.result(x);
  g.result(s);
  g.result(g.constant(7, DType::int64, {3, 3}));
  g.result(g.constant(2.5, DType::float32, {70001}));
  g.result(g.reshape(x, {20}));
  g.result(g.transpose(x, {1, 0}));
  g.result(g.broadcast(s, {2, 2}));
  g.result(x);
  expect_reference(g, {whole_numbers(DType::int32, {4, 5}, 100, 1), Scalar(1.5)});
}

TEST_F(Graphs, AValueReturnedTwice) {
  Graph g;
  const Value x = g.placeholder(DType::float32, {4, 5});
  const Value y = g.addition(x, x);
  g.result(y);
  g.result(y);
  g.result(g.multiplication(y, x));
  g.result(g.reshape(y, {20}));
  expect_reference(g, {whole_numbers(DType::float32, {4, 5}, 9, 1)});
}

TEST_F(Graphs, ResultsOfDifferentShapesAndDTypes) {
  Graph g;
  const Value x = g.placeholder(DType::float32, {6, 7}), row = g.placeholder(DType::float32, {7});
  g.result(g.less_than(x, row));
  g.result(g.cast(g.addition(x, row), DType::int8));
  g.result(g.negative(row));
  g.result(g.reduction_sum(x, {0, 1}));
  g.result(g.slice(g.square(x), {0, 0}, {6, 7}, {2, 2}));
  expect_reference(g, {whole_numbers(DType::float32, {6, 7}, 9, 1), whole_numbers(DType::float32, {7}, 9, 2)});
}

TEST_F(Graphs, NodesThatNobodyNeeds) {
  Graph g;
  const Value x = g.placeholder(DType::float32, {5}), unused = g.placeholder(DType::float32, {8});
  const Value s = g.scalar(DType::float32);
  g.reduction_sum(g.exponent(unused), {0});
  g.logarithm(x);
  g.result(g.multiplication(x, s));
  expect_reference(g, {whole_numbers(DType::float32, {5}, 9, 1), whole_numbers(DType::float32, {8}, 9, 2), Scalar(3)});
}

TEST_F(Graphs, SomeResultsWithoutElements) {
  Graph g;
  const Value x = g.placeholder(DType::float32, {0, 4}), y = g.placeholder(DType::float32, {3});
  g.result(g.exponent(x));
  g.result(g.addition(y, y));
  g.result(g.reduction_sum(x, {0}));
  expect_reference(g, {empty_tensor(DType::float32, {0, 4}), whole_numbers(DType::float32, {3}, 9, 1)});
}

TEST_F(Graphs, ManyTemporaries) {
  // Each stage must be in memory before the next starts; the memory of earlier ones may be used again.
  Graph g;
  const int64_t n = 60;
  Value x = g.placeholder(DType::int32, {n, n});
  Value kept = g.transpose(x, {1, 0});
  for (int i = 0; i < 10; ++i) {
    const Value sums = g.reduction_sum(x, {i % 2});
    x = g.subtraction(g.transpose(x, {1, 0}), g.broadcast(sums, {n, n}));
    if (i == 4) kept = g.addition(kept, x);
  }
  g.result(g.addition(x, kept));
  expect_reference(g, {whole_numbers(DType::int32, {n, n}, 9, 1)});
}

TEST_F(Graphs, NumbersComputedFromNumbers) {
  // Values of one element, computed from scalars and constants, with readers of different shapes.
  Graph g;
  const Value a = g.scalar(DType::float32), b = g.scalar(DType::float32);
  const Value x = g.placeholder(DType::float32, {2000}), y = g.placeholder(DType::float32, {3, 4});
  const Value ratio = g.division(g.square_root(a), g.addition(b, g.constant(1, DType::float32)));
  g.result(g.multiplication(x, ratio));
  g.result(g.addition(y, g.negative(ratio)));
  g.result(ratio);
  expect_reference(g, {Scalar(16), Scalar(3), whole_numbers(DType::float32, {2000}, 9, 1),
                       whole_numbers(DType::float32, {3, 4}, 9, 2)});
}

TEST_F(Graphs, OneExecutableManyTimes) {
  // Temporaries and scalars must not leak from one run into the next.
  Graph g;
  const Value x = g.placeholder(DType::float32, {64, 64}), s = g.scalar(DType::float32);
  g.result(g.matrix_multiplication(g.multiplication(x, s), g.transpose(g.addition(x, s), {1, 0})));
  for (int i = 0; i < 20; ++i) {
    expect_reference(g, {whole_numbers(DType::float32, {64, 64}, 2, static_cast<uint32_t>(i)), Scalar(i % 3)});
  }
}

// -- results in the place of feeds -----------------------------------------------------------------------------------

class InPlace : public Exam {
 protected:
  // Launches the graph with result i in the memory of feed `places[i]`, and expects what separate memory gives.
  void expect(const Graph& graph, const std::vector<Tensor>& inputs, const std::vector<size_t>& places) {
    if (const std::string why = device().device().supports(graph); !why.empty()) return refuse(graph, why);
    std::vector<Input> copies(inputs.begin(), inputs.end());
    const std::vector<Tensor> want = reference(graph, copies);
    std::vector<std::unique_ptr<Block>> blocks;
    std::vector<Feed> feeds;
    std::vector<void*> results;
    for (const Tensor& input : inputs) {
      blocks.push_back(upload(input));
      feeds.emplace_back(blocks.back()->address());
    }
    for (size_t place : places) results.push_back(blocks[place]->address());
    launch(device(), stream(), graph, feeds, results);
    for (size_t i = 0; i < places.size(); ++i) {
      SCOPED_TRACE("result " + std::to_string(i) + " in the place of feed " + std::to_string(places[i]));
      expect_close(download(*blocks[places[i]], want[i].dtype, want[i].shape), want[i], 0);
    }
  }
};

TEST_F(InPlace, Pointwise) {
  for (int64_t n : {10, 5000, 100000}) {
    Graph g;
    const Value x = g.placeholder(DType::float32, {n}), y = g.placeholder(DType::float32, {n});
    g.result(g.addition(g.square(x), y));
    const std::vector<Tensor> inputs = {whole_numbers(DType::float32, {n}, 9, 1),
                                        whole_numbers(DType::float32, {n}, 9, 2)};
    expect(g, inputs, {0});
    expect(g, inputs, {1});
  }
}

TEST_F(InPlace, TwoResultsCrossed) {
  // Each result lies where the other's operand lies.
  for (int64_t n : {10, 5000, 100000}) {
    Graph g;
    const Value x = g.placeholder(DType::int32, {n}), y = g.placeholder(DType::int32, {n});
    g.result(g.addition(y, y));
    g.result(g.multiplication(x, x));
    const std::vector<Tensor> inputs = {whole_numbers(DType::int32, {n}, 9, 1), whole_numbers(DType::int32, {n}, 9, 2)};
    expect(g, inputs, {0, 1});
    expect(g, inputs, {1, 0});
  }
}

TEST_F(InPlace, Swap) {
  Graph g;
  const Value x = g.placeholder(DType::int32, {3000}), y = g.placeholder(DType::int32, {3000});
  g.result(y);
  g.result(x);
  expect(g, {whole_numbers(DType::int32, {3000}, 9, 1), whole_numbers(DType::int32, {3000}, 9, 2)}, {0, 1});
}

TEST_F(InPlace, AFeedThatIsReadAgainLater) {
  Graph g;
  const Value x = g.placeholder(DType::float32, {50, 50});
  const Value y = g.addition(x, x);
  g.result(y);
  g.result(g.matrix_multiplication(x, y));
  Graph with_room = g;
  std::vector<Tensor> inputs = {whole_numbers(DType::float32, {50, 50}, 3, 1)};
  // The second result needs memory of its own: a feed that nobody reads.
  with_room.placeholder(DType::float32, {50, 50});
  inputs.push_back(whole_numbers(DType::float32, {50, 50}, 3, 2));
  expect(with_room, inputs, {0, 1});
  expect(with_room, inputs, {1, 0});
}

TEST_F(InPlace, Transpose) {
  for (int64_t n : {3, 70, 200}) {
    Graph g;
    g.result(g.transpose(g.placeholder(DType::float32, {n, n}), {1, 0}));
    expect(g, {whole_numbers(DType::float32, {n, n}, 9, 1)}, {0});
    Graph with_work;
    const Value x = with_work.placeholder(DType::float32, {n, n});
    with_work.result(with_work.addition(x, with_work.transpose(x, {1, 0})));
    expect(with_work, {whole_numbers(DType::float32, {n, n}, 9, 1)}, {0});
  }
}

TEST_F(InPlace, MatmulAndReduction) {
  Graph g;
  const Value x = g.placeholder(DType::float32, {40, 40}), y = g.placeholder(DType::float32, {40, 40});
  g.result(g.matrix_multiplication(x, y));
  const std::vector<Tensor> inputs = {whole_numbers(DType::float32, {40, 40}, 3, 1),
                                      whole_numbers(DType::float32, {40, 40}, 3, 2)};
  expect(g, inputs, {0});
  expect(g, inputs, {1});
  Graph sum;
  const Value a = sum.placeholder(DType::float32, {1, 30});
  sum.result(sum.reduction_sum(sum.broadcast(a, {5, 30}), {0}));
  expect(sum, {whole_numbers(DType::float32, {1, 30}, 3, 1)}, {0});
}

TEST_F(InPlace, StridedUpdate) {
  for (int64_t n : {24, 100000}) {
    Graph g;
    const Value storage = g.placeholder(DType::int32, {n}), update = g.placeholder(DType::int32, {n / 2});
    g.result(g.strided_update(storage, update, {2}, 1));
    expect(g, {whole_numbers(DType::int32, {n}, 9, 1), whole_numbers(DType::int32, {n / 2}, 9, 2)}, {0});
  }
}

TEST_F(InPlace, StridedUpdateFromItself) {
  // x[1:] = x[:-1], and x = x reversed: what is read must be what was there before.
  Graph shift;
  const Value x = shift.placeholder(DType::int32, {3000});
  shift.result(shift.strided_update(x, shift.strided_view(x, {2999}, {1}, 0), {1}, 1));
  expect(shift, {whole_numbers(DType::int32, {3000}, 9, 1)}, {0});
  Graph reverse;
  const Value y = reverse.placeholder(DType::int32, {3000});
  reverse.result(reverse.strided_update(y, reverse.strided_view(y, {3000}, {-1}, 2999), {1}, 0));
  expect(reverse, {whole_numbers(DType::int32, {3000}, 9, 1)}, {0});
  Graph computed;
  const Value z = computed.placeholder(DType::int32, {3000});
  computed.result(computed.strided_update(z, computed.negative(computed.strided_view(z, {1500}, {-1}, 2999)), {2}, 0));
  expect(computed, {whole_numbers(DType::int32, {3000}, 9, 1)}, {0});
}

TEST_F(InPlace, DifferentDTypeOfTheSameSize) {
  Graph g;
  g.result(g.cast(g.placeholder(DType::float32, {5000}), DType::int32));
  expect(g, {whole_numbers(DType::float32, {5000}, 9, 1)}, {0});
}

// What reduces a view wants it dense; what reads it besides must not take the dense copy for the view, or the other way
// round.
TEST_F(Graphs, AViewThatIsReducedAndCompared) {
  Graph graph;
  const Value x = graph.placeholder(DType::float32, {6, 5});
  const Value view = graph.slice(x, {0, 0}, {6, 4}, {1, 1});
  graph.result(graph.equal(view, graph.reduction(NodeKind::reduction_maximum, view, {1})));
  expect_reference(graph, {whole_numbers(DType::float32, {6, 5}, 3, 1)});
}

}  // namespace
}  // namespace mps::exam
