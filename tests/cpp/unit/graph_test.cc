// Graphs as data: recording, folding, equality, hashes, text.
#include "plugin/core/graph.h"

#include <functional>
#include <set>

#include "plugin/core/print.h"
#include "tests/cpp/unit/testing.h"

namespace mps {
namespace {

TEST(Graph, PrintsItself) {
  Graph g;
  const Value x = g.placeholder(DType::float32, {2, 3});
  const Value e = g.exponent(x);  // one statement each: C++ may evaluate arguments in any order
  const Value c = g.constant(1.5, DType::float32);
  g.result(g.reshape(g.addition(e, c), {6}));
  g.result(x);
  EXPECT_EQ(to_string(g),
            "%0 = placeholder : float32[2, 3] {0}\n"
            "%1 = exponent %0 : float32[2, 3]\n"
            "%2 = constant : float32[] {1069547520}\n"
            "%3 = addition %1 %2 : float32[2, 3]\n"
            "%4 = reshape %3 : float32[6]\n"
            "return %4 %0\n");
}

TEST(Graph, NumbersItsFeeds) {
  Graph g;
  const Value x = g.placeholder(DType::float32, {2});
  const Value s = g.scalar(DType::int32);
  const Value y = g.placeholder(DType::float32, {});
  EXPECT_EQ(g.feed_count(), 3u);
  EXPECT_EQ(g.attributes(g.node(x))[0], 0);
  EXPECT_EQ(g.attributes(g.node(s))[0], 1);
  EXPECT_EQ(g.attributes(g.node(y))[0], 2);
  EXPECT_TRUE(same_shape(g.shape(s), {}));
}

TEST(Graph, WhatDoesNothingRecordsNothing) {
  Graph g;
  const Value x = g.placeholder(DType::float32, {2, 1, 3});
  const Value parts[] = {x, g.placeholder(DType::float32, {2, 0, 3})};
  const size_t before = g.node_count();
  EXPECT_EQ(g.cast(x, DType::float32).node, x.node);
  EXPECT_EQ(g.reshape(x, {2, 1, 3}).node, x.node);
  EXPECT_EQ(g.transpose(x, {0, 1, 2}).node, x.node);
  EXPECT_EQ(g.broadcast(x, {2, 1, 3}).node, x.node);
  EXPECT_EQ(g.slice(x, {0, 0, 0}, {2, 1, 3}, {1, 1, 1}).node, x.node);
  EXPECT_EQ(g.reduction_sum(x, {1}).node, x.node);
  EXPECT_EQ(g.concatenation({parts, 2}, 1).node, x.node);
  EXPECT_EQ(g.concatenation({parts, 1}, 0).node, x.node);
  EXPECT_EQ(g.node_count(), before);
}

TEST(Graph, SumsOverNothingAreZeros) {
  Graph g;
  const Value empty = g.placeholder(DType::float32, {0, 3}), other = g.placeholder(DType::float32, {4, 0});
  EXPECT_EQ(g.node(g.reduction_sum(empty, {0})).kind, NodeKind::constant);
  const Value product = g.matrix_multiplication(other, empty);
  EXPECT_EQ(g.node(product).kind, NodeKind::constant);
  EXPECT_TRUE(same_shape(g.shape(product), {4, 3}));
}

// Each of these differs from each other one in exactly one thing.
std::vector<std::function<void(Graph&)>> variants() {
  return {
      [](Graph& g) { g.result(g.reduction_sum(g.placeholder(DType::float32, {2, 3}), {0})); },
      [](Graph& g) { g.result(g.reduction_sum(g.placeholder(DType::float32, {2, 3}), {1})); },     // an attribute
      [](Graph& g) { g.result(g.reduction_sum(g.placeholder(DType::int32, {2, 3}), {0})); },       // the dtype
      [](Graph& g) { g.result(g.reduction_sum(g.placeholder(DType::float32, {3, 2}), {0})); },     // the shape
      [](Graph& g) { g.result(g.reduction_sum(g.placeholder(DType::float32, {2, 3, 1}), {0})); },  // the rank
      [](Graph& g) { g.result(g.negative(g.placeholder(DType::float32, {2, 3}))); },               // the kind
      [](Graph& g) { g.result(g.absolute(g.placeholder(DType::float32, {2, 3}))); },
      [](Graph& g) {  // the results
        const Value x = g.placeholder(DType::float32, {2, 3});
        g.negative(x);
        g.result(x);
      },
      [](Graph& g) {
        const Value x = g.negative(g.placeholder(DType::float32, {2, 3}));
        g.result(x);
        g.result(x);
      },
      [](Graph& g) {  // which operand is which
        const Value x = g.placeholder(DType::float32, {2}), y = g.placeholder(DType::float32, {2});
        g.result(g.subtraction(x, y));
      },
      [](Graph& g) {
        const Value x = g.placeholder(DType::float32, {2}), y = g.placeholder(DType::float32, {2});
        g.result(g.subtraction(y, x));
      },
      [](Graph& g) { g.result(g.constant(1.0, DType::float32, {2})); },  // a number
      [](Graph& g) { g.result(g.constant(2.0, DType::float32, {2})); },
      [](Graph& g) { g.result(g.constant(-0.0, DType::float32, {2})); },
      [](Graph& g) { g.result(g.constant(0.0, DType::float32, {2})); },
      [](Graph& g) { g.result(g.scalar(DType::float32)); },  // what kind of feed
      [](Graph& g) { g.result(g.placeholder(DType::float32, {})); },
      [](Graph&) {},
  };
}

TEST(Graph, ADifferenceInOneThingIsADifference) {
  std::vector<Graph> graphs;
  std::set<uint64_t> hashes;
  for (const auto& build : variants()) {
    Graph a, b;
    build(a);
    build(b);
    EXPECT_TRUE(a == b);
    EXPECT_EQ(a.hash(), b.hash());
    for (const Graph& other : graphs) EXPECT_FALSE(a == other) << to_string(a) << to_string(other);
    graphs.push_back(a);
    hashes.insert(a.hash());
  }
  EXPECT_EQ(hashes.size(), graphs.size());
}

TEST(Graph, ClearMakesItNew) {
  Graph g, fresh;
  g.result(g.negative(g.placeholder(DType::float32, {2, 3})));
  g.clear();
  EXPECT_TRUE(g == fresh);
  EXPECT_EQ(g.hash(), fresh.hash());
  EXPECT_EQ(g.feed_count(), 0u);
  EXPECT_TRUE(g.empty());
}

TEST(Graph, ShapesMayComeFromTheGraphItself) {
  // The pool moves while the argument lies in it.
  Graph g;
  Value x = g.placeholder(DType::float32, {2, 3, 4, 5, 6, 7, 8, 9});
  for (int i = 0; i < 100; ++i)
    x = g.broadcast(g.reshape(x, {2, 3, 4, 5, 6, 7, 72}), g.shape(g.reshape(x, {2, 3, 4, 5, 6, 7, 72})));
  EXPECT_TRUE(same_shape(g.shape(x), {2, 3, 4, 5, 6, 7, 72}));
  Value y = g.placeholder(DType::float32, {4, 4});
  for (int i = 0; i < 200; ++i) {
    y = g.constant(i, DType::float32, g.shape(y));
    ASSERT_TRUE(same_shape(g.shape(y), {4, 4})) << i;
    y = g.transpose(y, {1, 0});
    y = g.transpose(y, g.attributes(g.node(y)));
    ASSERT_TRUE(same_shape(g.shape(y), {4, 4})) << i;
  }
}

TEST(Graph, GrowsBeyondItsInlineStorage) {
  Graph g;
  Value x = g.placeholder(DType::float32, {3, 5});
  for (int i = 0; i < 500; ++i) {
    x = g.addition(x, x);
    g.result(x);
  }
  EXPECT_EQ(g.node_count(), 501u);
  EXPECT_EQ(g.results().size(), 500u);
  EXPECT_EQ(g.operands(g.node(x))[0], 499);
  const Graph copy = g;
  EXPECT_TRUE(copy == g);
  EXPECT_EQ(copy.hash(), g.hash());
}

}  // namespace
}  // namespace mps
