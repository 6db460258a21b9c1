// launch(): addresses become ranges, and what must not overlap does not.
#include "plugin/core/launch.h"

#include "tests/cpp/unit/testing.h"

namespace mps {
namespace {

class Launch : public NullTest {
 protected:
  Launch() {
    const Value x = graph_.placeholder(DType::float32, {8});
    graph_.result(graph_.addition(x, graph_.scalar(DType::float32)));
  }

  void run(const void* from, void* to) {
    const Feed feeds[] = {from, Scalar(1.0)};
    launch(state(), stream(), graph_, {feeds, 2}, {&to, 1});
  }
  uint64_t encoded() { return faults().count(Fault::encode); }

  Graph graph_;  // [8] float32: 32 bytes
};

char* bytes(void* address) { return static_cast<char*>(address); }

TEST_F(Launch, EncodesOncePerCall) {
  void* const x = memory().allocate(32).address;
  void* const y = memory().allocate(32).address;
  run(x, y);
  run(x, y);
  EXPECT_EQ(encoded(), 2u);
  EXPECT_EQ(faults().count(Fault::compile), 1u);
}

TEST_F(Launch, AllowsInPlaceAndNeighbours) {
  char* const block = bytes(memory().allocate(96).address);
  run(block, block);
  run(block, block + 32);
  run(block + 64, block + 32);
  EXPECT_EQ(encoded(), 3u);
}

TEST_F(Launch, RefusesPartialOverlap) {
  char* const block = bytes(memory().allocate(96).address);
  OpScope scope("add");
  const std::string error = error_of(ErrorKind::kArgument, [&] { run(block, block + 4); });
  EXPECT_EQ(
      error.rfind("[add] result overlaps an operand: expected separate or identical memory, got bytes 4..36 and 0..32",
                  0),
      0u)
      << error;
  EXPECT_NE(error_of(ErrorKind::kArgument, [&] { run(block + 28, block); }), "");
  EXPECT_EQ(encoded(), 0u);
}

TEST_F(Launch, RefusesMemoryOfTheHost) {
  float host[8] = {};
  void* const x = memory().allocate(32).address;
  EXPECT_NE(error_of(ErrorKind::kArgument, [&] { run(host, x); }), "");
  EXPECT_NE(error_of(ErrorKind::kArgument, [&] { run(x, host); }), "");
}

TEST_F(Launch, RefusesFeedsThatDoNotFitTheGraph) {
  void* const x = memory().allocate(32).address;
  const Feed swapped[] = {Scalar(1.0), x};
  EXPECT_NE(error_of(ErrorKind::kInternal, [&] { launch(state(), stream(), graph_, {swapped, 2}, {&x, 1}); }), "");
  EXPECT_NE(error_of(ErrorKind::kInternal, [&] { launch(state(), stream(), graph_, {swapped, 1}, {&x, 1}); }), "");
  const Feed right[] = {x, Scalar(1.0)};
  EXPECT_NE(error_of(ErrorKind::kInternal, [&] { launch(state(), stream(), graph_, {right, 2}, {}); }), "");
}

TEST_F(Launch, WithoutElementsDoesNothing) {
  Graph g;
  g.result(g.negative(g.placeholder(DType::float32, {0, 3})));
  const Feed feeds[] = {static_cast<const void*>(nullptr)};
  void* const results[] = {nullptr};
  launch(state(), stream(), g, {feeds, 1}, {results, 1});
  EXPECT_EQ(encoded(), 0u);
  EXPECT_EQ(faults().count(Fault::compile), 0u);
}

TEST_F(Launch, SkipsEmptyResultsAmongOthers) {
  Graph g;
  const Value empty = g.placeholder(DType::float32, {0}), x = g.placeholder(DType::float32, {8});
  g.result(empty);
  g.result(g.negative(x));
  void* const memory_of_x = memory().allocate(32).address;
  const Feed feeds[] = {static_cast<const void*>(nullptr), memory_of_x};
  void* const results[] = {nullptr, memory_of_x};
  launch(state(), stream(), g, {feeds, 2}, {results, 2});
  EXPECT_EQ(encoded(), 1u);
}

TEST_F(Launch, NamesTheOpInLaterErrors) {
  void* const x = memory().allocate(32).address;
  faults().fail(Fault::encode);
  {
    OpScope scope("gelu");
    run(x, x);  // does not throw
  }
  EXPECT_EQ(error_of(ErrorKind::kDevice, [&] { stream().synchronize(); }).rfind("[gelu] ", 0), 0u);
  stream().synchronize();  // thrown once
}

TEST_F(Launch, AFailedCompilationThrowsAtOnce) {
  void* const x = memory().allocate(32).address;
  faults().fail(Fault::compile);
  EXPECT_NE(error_of(ErrorKind::kDevice, [&] { run(x, x); }), "");
  run(x, x);
  stream().synchronize();
}

}  // namespace
}  // namespace mps
