// Attention with its gradient, and alignments: lengths from one element to several tiles, shared heads, ranges, masks,
// dropout.
#include <cmath>
#include <limits>

#include "tests/cpp/conformance/exam.h"

namespace mps::exam {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct Question {
  int64_t batch = 1, queries = 1, keys = 1, heads = 1, key_heads = 1, width = 4, value_width = 4;
  enum { kAll, kCausal, kEach } sees = kAll;
  std::vector<int64_t> mask = {};  // a shape, if there is one
  float dropout = 0;
};

class Sequences : public Exam, public ::testing::WithParamInterface<DType> {
 protected:
  DType dtype() const { return GetParam(); }

  // Ranges of every kind: whole, in part, none, over the ends.
  static Tensor some_ranges(const Question& q) {
    std::vector<double> values;
    for (int64_t i = 0; i < q.batch * q.queries; ++i) {
      const int64_t first = i * 7 % (q.keys + 2) - 1, last = first + i * 5 % (q.keys + 3) - 1;
      values.push_back(static_cast<double>(i % 6 == 5 ? 3 : first));
      values.push_back(static_cast<double>(i % 6 == 5 ? 3 : last));
    }
    return tensor_of(DType::int32, {q.batch, q.queries, 2}, values);
  }

  static Tensor some_mask(Dims shape) {
    Tensor mask = random_numbers(DType::float32, shape, -2, 2, 9);
    float* const values = mask.data<float>();
    for (int64_t i = 0; i < mask.elements(); i += 5) values[i] = -std::numeric_limits<float>::infinity();
    return mask;
  }

  void attend(const Question& q) {
    SCOPED_TRACE(to_string(Shape{q.batch, q.queries, q.keys, q.heads, q.key_heads, q.width, q.value_width}));
    const Shape q_shape{q.batch, q.queries, q.heads, q.width}, k_shape{q.batch, q.keys, q.key_heads, q.width},
        v_shape{q.batch, q.keys, q.key_heads, q.value_width}, out_shape{q.batch, q.queries, q.heads, q.value_width},
        sum_shape{q.batch, q.heads, q.queries};
    Graph graph;
    std::vector<Input> inputs;
    const auto feed = [&](Tensor tensor) {
      const Value value = graph.placeholder(tensor.dtype, tensor.shape);
      inputs.emplace_back(std::move(tensor));
      return value;
    };
    std::vector<Value> operands{feed(random_numbers(dtype(), q_shape, -2, 2, 1)),
                                feed(random_numbers(dtype(), k_shape, -2, 2, 2)),
                                feed(random_numbers(dtype(), v_shape, -1, 1, 3))};
    const Value dout = feed(random_numbers(dtype(), out_shape, -1, 1, 4));
    std::vector<Value> more;
    Attention what;
    what.scale = 0.6f;
    what.dropout = q.dropout;
    if (q.sees == Question::kEach) what.ranges = true, more.push_back(feed(some_ranges(q)));
    if (q.sees == Question::kCausal) {
      what.ranges = true;
      const Value i = graph.coordinate({1, q.queries, 1}, 1);
      const Value zero = graph.constant(0, DType::int32, {1, q.queries, 1});
      const Value last = graph.addition(i, graph.constant(q.keys - q.queries + 1, DType::int32));
      more.push_back(graph.concatenation({zero, last}, 2));
    }
    if (!q.mask.empty()) what.mask = true, more.push_back(feed(some_mask(q.mask)));
    for (int64_t word : {7, 11, 13, 0, 2, 5}) {
      if (q.dropout > 0) more.push_back(graph.constant(word, DType::int32));
    }
    std::vector<Value> all = operands;
    all.insert(all.end(), more.begin(), more.end());
    const Value both = graph.attention(all, what);
    const int64_t count = element_count(out_shape);
    const auto part = [&](Value flat, int64_t from, int64_t to, Dims shape) {
      return graph.reshape(graph.slice(flat, {from}, {to}, {1}), shape);
    };
    const Value out = part(both, 0, count, out_shape), log_sum = part(both, count, graph.elements(both), sum_shape);
    const Value product = graph.multiplication(out, graph.cast(dout, DType::float32));
    const Value delta =
        graph.transpose(graph.reshape(graph.reduction_sum(product, {3}), {q.batch, q.queries, q.heads}), {0, 2, 1});
    operands.insert(operands.end(), {dout, log_sum, delta});
    operands.insert(operands.end(), more.begin(), more.end());
    what.mask_gradient = what.mask;
    graph.result(both);
    graph.result(graph.attention_gradient(operands, what));
    // Sums over the queries of numbers of about 1, in another order, of weights that are off by some ULP of the scores.
    const double size = std::sqrt(static_cast<double>(std::max(q.queries * q.heads, q.keys)));
    expect_reference(graph, inputs, 64, 4e-6 * (1 + size));
  }
};

INSTANTIATE_TEST_SUITE_P(DTypes, Sequences, ::testing::Values(DType::float32, DType::float16, DType::bfloat16),
                         [](const auto& test) { return std::string(name(test.param)); });

TEST_P(Sequences, Attention) {
  attend({});
  attend({2, 3, 5, 2, 2, 4, 6});
  attend({1, 1, 9, 4, 4, 8, 8});
  attend({3, 17, 4, 1, 1, 1, 3});
  attend({1, 101, 390, 2, 2, 5, 3});
}

TEST_P(Sequences, AttentionOfSharedHeads) {
  attend({2, 3, 5, 6, 2, 4, 4});
  attend({1, 1, 33, 8, 1, 8, 4});
  attend({1, 60, 20, 6, 3, 4, 4});
}

TEST_P(Sequences, AttentionOfWhatIsSeen) {
  for (auto sees : {Question::kCausal, Question::kEach}) {
    attend({2, 7, 7, 2, 2, 4, 4, sees});
    attend({1, 5, 9, 2, 1, 4, 4, sees});
    attend({1, 9, 5, 2, 1, 4, 4, sees});
    attend({1, 130, 400, 2, 1, 4, 4, sees});
  }
}

TEST_P(Sequences, AttentionWithMasks) {
  attend({2, 3, 5, 4, 2, 4, 4, Question::kAll, {2, 4, 3, 5}});
  attend({2, 3, 5, 4, 2, 4, 4, Question::kAll, {1, 1, 3, 5}});
  attend({2, 3, 5, 4, 2, 4, 4, Question::kCausal, {2, 1, 1, 5}});
  attend({1, 100, 390, 2, 2, 4, 4, Question::kEach, {1, 2, 1, 390}});
}

TEST_P(Sequences, AttentionWithDropout) {
  attend({2, 3, 5, 4, 2, 4, 4, Question::kAll, {}, 0.25f});
  attend({1, 67, 391, 2, 1, 4, 4, Question::kCausal, {}, 0.5f});
  attend({2, 5, 7, 2, 2, 4, 4, Question::kAll, {2, 2, 5, 7}, 0.75f});
}

class Alignments : public Exam, public ::testing::WithParamInterface<DType> {
 protected:
  void align(int64_t frames, int64_t width, const std::vector<double>& frame_counts,
             const std::vector<double>& state_counts) {
    const int64_t batch = static_cast<int64_t>(frame_counts.size());
    SCOPED_TRACE(to_string(Shape{frames, batch, width}));
    Graph graph;
    const Shape shape{frames, batch, width};
    const Value scores = graph.placeholder(GetParam(), shape);
    const Value skips = graph.placeholder(DType::float32, {batch, width});
    const Value counts = graph.placeholder(DType::int32, {batch}), states = graph.placeholder(DType::int32, {batch});
    graph.result(graph.ctc_alignment(scores, skips, counts, states));
    Tensor some = tensor_of(DType::float32, {batch, width}, {0, -kInfinity, 0, 0, -kInfinity});
    // Logarithms grow with the frames, and are kept in float32.
    expect_reference(graph,
                     {random_numbers(GetParam(), shape, -4, 0, 1), some, tensor_of(DType::int32, {batch}, frame_counts),
                      tensor_of(DType::int32, {batch}, state_counts)},
                     8, 2e-5 * (1 + static_cast<double>(frames) / 8));
  }
};

INSTANTIATE_TEST_SUITE_P(DTypes, Alignments, ::testing::Values(DType::float32, DType::float16, DType::bfloat16),
                         [](const auto& test) { return std::string(name(test.param)); });

TEST_P(Alignments, AreAsLikelyAsTheirWays) {
  align(1, 1, {1}, {1});
  align(1, 3, {1, 1}, {3, 1});
  align(4, 3, {4, 3, 1, 2}, {3, 3, 3, 1});
  align(9, 7, {9, 9, 5, 3, 9}, {7, 5, 7, 7, 1});
}

TEST_P(Alignments, OfWhatDoesNotFit) {
  align(3, 5, {0, 3, 4, 3, 2}, {5, 0, 5, 6, 5});
  align(2, 9, {2, 1}, {9, 9});
}

TEST_P(Alignments, AreLong) { align(40, 41, {40, 31}, {41, 23}); }

}  // namespace
}  // namespace mps::exam
