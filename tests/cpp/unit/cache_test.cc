// The cache of executables: what counts as the same graph, what is thrown out, what is counted.
#include "plugin/core/cache.h"

#include <cstring>
#include <thread>

#include "tests/cpp/unit/testing.h"

namespace mps {
namespace {

Graph graph_number(int64_t number) {
  Graph g;
  g.result(g.addition(g.placeholder(DType::int64, {4}), g.constant(number, DType::int64)));
  return g;
}

TEST(Cache, CompilesAGraphOnce) {
  FaultDevice device(std::make_unique<NullDevice>());
  Cache cache(device, 10, 1 << 20);
  const auto first = cache.get(graph_number(1));
  EXPECT_EQ(cache.get(graph_number(1)), first);
  EXPECT_NE(cache.get(graph_number(2)), first);
  EXPECT_EQ(device.faults().count(Fault::compile), 2u);
  const CacheInfo info = cache.info();
  EXPECT_EQ(info.hits, 1u);
  EXPECT_EQ(info.misses, 2u);
  EXPECT_EQ(info.entries, 2u);
  EXPECT_EQ(info.evictions, 0u);
  EXPECT_GT(info.bytes, 0u);
}

TEST(Cache, TheLeastRecentlyUsedGoesFirst) {
  FaultDevice device(std::make_unique<NullDevice>());
  Cache cache(device, 3, 1 << 20);
  for (int i : {1, 2, 3}) cache.get(graph_number(i));
  cache.get(graph_number(1));  // now 2 is the oldest
  cache.get(graph_number(4));
  EXPECT_EQ(cache.info().entries, 3u);
  EXPECT_EQ(cache.info().evictions, 1u);
  const uint64_t before = device.faults().count(Fault::compile);
  for (int i : {1, 3, 4}) cache.get(graph_number(i));
  EXPECT_EQ(device.faults().count(Fault::compile), before);
  cache.get(graph_number(2));
  EXPECT_EQ(device.faults().count(Fault::compile), before + 1);
}

TEST(Cache, BytesAreBounded) {
  FaultDevice device(std::make_unique<NullDevice>());
  Cache roomy(device, 1000, 1 << 20);
  roomy.get(graph_number(0));
  const uint64_t entry_bytes = roomy.info().bytes;
  Cache cache(device, 1000, 3 * entry_bytes);
  for (int i = 0; i < 10; ++i) cache.get(graph_number(i));
  EXPECT_EQ(cache.info().entries, 3u);
  EXPECT_EQ(cache.info().bytes, 3 * entry_bytes);
  EXPECT_EQ(cache.info().evictions, 7u);
}

TEST(Cache, TheNewestEntryStaysEvenIfItIsTooLarge) {
  FaultDevice device(std::make_unique<NullDevice>());
  Cache cache(device, 1000, 1);
  const auto executable = cache.get(graph_number(1));
  EXPECT_EQ(cache.info().entries, 1u);
  EXPECT_EQ(cache.get(graph_number(1)), executable);
}

TEST(Cache, ClearForgetsEverythingButWhatIsInUse) {
  FaultDevice device(std::make_unique<NullDevice>());
  Cache cache(device, 10, 1 << 20);
  const auto used = cache.get(graph_number(1));
  cache.clear();
  EXPECT_EQ(cache.info().entries, 0u);
  EXPECT_EQ(cache.info().bytes, 0u);
  EXPECT_EQ(used.use_count(), 1);
  EXPECT_NE(cache.get(graph_number(1)), used);
}

TEST(Cache, AFailedCompilationLeavesNothing) {
  FaultDevice device(std::make_unique<NullDevice>());
  Cache cache(device, 10, 1 << 20);
  device.faults().fail(Fault::compile);
  EXPECT_NE(error_of(ErrorKind::kDevice, [&] { cache.get(graph_number(1)); }), "");
  EXPECT_EQ(cache.info().entries, 0u);
  EXPECT_NE(cache.get(graph_number(1)), nullptr);
}

// -- two different graphs with one hash ------------------------------------------------------------------------------

// The mixing step of Graph::hash(), so that a collision can be made. If it changes there, the test below says so.
uint64_t mix(uint64_t hash, uint64_t word) {
  hash ^= word * 0x9e3779b185ebca87u;
  hash = (hash << 27) | (hash >> 37);
  return hash * 0xc2b2ae3d27d4eb4fu + 0x165667b19e3779f9u;
}

uint64_t inverse(uint64_t odd) {
  uint64_t x = odd;
  for (int i = 0; i < 6; ++i) x *= 2 - odd * x;  // Newton; the number of right bits doubles
  return x;
}

// Two constants in a row: the last two words that are hashed before the results.
Graph two_constants(int64_t first, int64_t second) {
  Graph g;
  g.constant(first, DType::int64);
  g.result(g.constant(second, DType::int64));
  return g;
}

TEST(Cache, GraphsOfOneHashAreToldApart) {
  const Graph a = two_constants(1, 2);
  uint64_t state = a.node_count();
  for (uint32_t i = 0; i < 2; ++i) {
    uint64_t head;
    std::memcpy(&head, &a.node(i), sizeof head);
    state = mix(state, head);
  }
  // After other first words the states differ; another second word makes up for it.
  const uint64_t difference = mix(state, 1) ^ mix(state, 7);
  const uint64_t second = ((2 * 0x9e3779b185ebca87u) ^ difference) * inverse(0x9e3779b185ebca87u);
  const Graph b = two_constants(7, static_cast<int64_t>(second));
  ASSERT_EQ(a.hash(), b.hash()) << "Graph::hash() mixes otherwise now: bring mix() above up to date";
  ASSERT_FALSE(a == b);

  FaultDevice device(std::make_unique<NullDevice>());
  Cache cache(device, 2, 1 << 20);
  const auto of_a = cache.get(a), of_b = cache.get(b);
  EXPECT_NE(of_a, of_b);
  EXPECT_EQ(cache.get(a), of_a);
  EXPECT_EQ(cache.get(b), of_b);
  // Throwing out one of the two must not lose the other.
  cache.get(graph_number(1));
  EXPECT_EQ(cache.info().entries, 2u);
  EXPECT_EQ(cache.get(b), of_b);
}

TEST(Cache, ManyThreads) {
  FaultDevice device(std::make_unique<NullDevice>());
  Cache cache(device, 5, 1 << 20);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&cache, t] {
      for (int i = 0; i < 2000; ++i) {
        EXPECT_NE(cache.get(graph_number((i * (t + 1)) % 9)), nullptr);
        if (i % 500 == 0) cache.clear();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const CacheInfo info = cache.info();
  EXPECT_EQ(info.hits + info.misses, 8000u);
  EXPECT_LE(info.entries, 5u);
}

}  // namespace
}  // namespace mps
