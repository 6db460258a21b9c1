// Random words: every device makes the ones that the paper's authors publish, whatever counter and number.
#include "tests/cpp/conformance/exam.h"

namespace mps::exam {
namespace {

class RandomBits : public Exam {
 protected:
  // Key, counter: words with the lowest first.
  struct Place {
    uint32_t key[2], block[4];
  };

  static Value record(Graph& graph, Dims shape) {
    Graph::Counter counter;
    for (Value& word : counter.key) word = graph.scalar(DType::int32);
    for (Value& word : counter.block) word = graph.scalar(DType::int32);
    return graph.random_bits(shape, counter);
  }

  static std::vector<Input> inputs(const Place& at) {
    std::vector<Input> inputs;
    for (uint32_t word : at.key) inputs.emplace_back(Scalar(int64_t{word}));
    for (uint32_t word : at.block) inputs.emplace_back(Scalar(int64_t{word}));
    return inputs;
  }

  std::vector<uint32_t> words(const Place& at, int64_t count) {
    Graph graph;
    graph.result(record(graph, {count}));
    const Tensor got = run(graph, inputs(at))[0];
    return {got.data<uint32_t>(), got.data<uint32_t>() + count};
  }
};

// The vectors of Random123 1.14 (D. E. Shaw Research), philox4x32 with 10 rounds.
TEST_F(RandomBits, KnownAnswers) {
  const struct {
    Place at;
    std::vector<uint32_t> words;
  } vectors[] = {
      {{{0, 0}, {0, 0, 0, 0}}, {0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8}},
      {{{~0u, ~0u}, {~0u, ~0u, ~0u, ~0u}}, {0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD}},
      {{{0xA4093822, 0x299F31D0}, {0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344}},
       {0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1}},
  };
  for (const auto& vector : vectors) EXPECT_EQ(words(vector.at, 4), vector.words);
}

TEST_F(RandomBits, AnyNumberOfWords) {
  for (const Shape& shape : {Shape{}, Shape{1}, Shape{3}, Shape{4}, Shape{5}, Shape{63}, Shape{64}, Shape{65},
                             Shape{2, 3, 5, 7}, Shape{2, 1, 3, 1, 2, 5}, Shape{70001}}) {
    SCOPED_TRACE(to_string(shape));
    Graph graph;
    graph.result(record(graph, shape));
    expect_reference(graph, inputs({{7, 9}, {11, 0, 0, 0}}));
  }
}

TEST_F(RandomBits, TheSequenceIsOne) {
  // From a later block on it is the same, also where the counter's first word, or both, overflow.
  for (const Place& at : {Place{{1, 2}, {5, 0, 3, 4}}, Place{{1, 2}, {0xFFFFFFFE, 6, 3, 4}},
                          Place{{1, 2}, {0xFFFFFFFE, 0xFFFFFFFF, 3, 4}}, Place{{1, 2}, {0x7FFFFFFE, 6, 3, 4}}}) {
    const std::vector<uint32_t> all = words(at, 400);
    for (uint32_t block : {1u, 2u, 3u, 50u}) {
      Place later = at;
      later.block[0] += block;
      if (later.block[0] < at.block[0]) ++later.block[1];
      const std::vector<uint32_t> rest(all.begin() + 4 * block, all.end());
      EXPECT_EQ(words(later, static_cast<int64_t>(rest.size())), rest) << block;
    }
  }
}

TEST_F(RandomBits, FeedOtherNodes) {
  Graph graph;
  const Value bits = record(graph, {40, 30});
  graph.result(graph.cast(bits, DType::float32));
  graph.result(graph.transpose(bits, {1, 0}));
  graph.result(graph.bitwise_and(bits, graph.constant(0xFF, DType::int32)));
  graph.result(bits);
  expect_reference(graph, inputs({{3, 0}, {0, 0, 0, 0}}));
}

}  // namespace
}  // namespace mps::exam
