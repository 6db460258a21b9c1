// Random small graphs against the reference. All numbers stay whole and small, so that every order of summation gives
// the same bits and the comparison can be exact.
#include <algorithm>
#include <random>

#include "tests/cpp/conformance/exam.h"

namespace mps::exam {
namespace {

class RandomGraphs : public Exam {};

class Generator {
 public:
  explicit Generator(uint32_t seed) : random_(seed), seed_(seed) {}

  void make() {
    dtype_ = pick<DType>({DType::float32, DType::float32, DType::float16, DType::bfloat16, DType::int32, DType::int64,
                          DType::uint8, DType::int16, DType::int8});
    const int feeds = between(1, 3), nodes = seed_ % 10 == 0 ? 60 : between(2, 14);
    for (int i = 0; i < feeds; ++i) add_feed();
    if (between(0, 2) == 0) {
      numbers_.push_back(graph.scalar(dtype_));
      inputs.emplace_back(Scalar(between(-3, 3)));
    }
    numbers_.push_back(graph.constant(between(-2, 2), dtype_, random_shape()));
    for (int i = 0; i < nodes; ++i) add_node();
    const int results = between(1, 4);
    for (int i = 0; i < results; ++i) graph.result(any(between(0, 3) == 0 ? conditions_ : numbers_));
    graph.result(numbers_.back());
  }

  Graph graph;
  std::vector<Input> inputs;

 private:
  int between(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_); }
  template <typename T>
  T pick(std::vector<T> from) {
    return from[static_cast<size_t>(between(0, static_cast<int>(from.size()) - 1))];
  }
  Value any(const std::vector<Value>& values) { return values.empty() ? numbers_.back() : pick(values); }

  // Shapes that mostly broadcast against each other.
  Shape random_shape() {
    Shape shape;
    const int64_t sizes[] = {3, 4, 6};
    for (int axis = between(0, 3); axis < 3; ++axis) shape.push_back(between(0, 3) == 0 ? 1 : sizes[axis]);
    return shape;
  }

  void add_feed() {
    const Shape shape = random_shape();
    numbers_.push_back(graph.placeholder(dtype_, shape));
    inputs.emplace_back(whole_numbers(dtype_, shape, 4, seed_ + static_cast<uint32_t>(inputs.size())));
  }

  // Back into a range where everything stays exact.
  Value tame(Value value) {
    return graph.maximum(graph.minimum(value, graph.constant(4, dtype_)), graph.constant(-4, dtype_));
  }

  Ints random_permutation(size_t rank) {
    Ints permutation;
    for (size_t i = 0; i < rank; ++i) permutation.push_back(static_cast<int64_t>(i));
    std::shuffle(permutation.begin(), permutation.end(), random_);
    return permutation;
  }

  void add_node() {
    const Value x = pick(numbers_);
    const Shape shape(graph.shape(x));
    switch (between(0, 13)) {
      case 0:
      case 1: {
        const Value operand[] = {x};
        numbers_.push_back(record(graph,
                                  pick<NodeKind>({NodeKind::negative, NodeKind::absolute, NodeKind::sign,
                                                  NodeKind::relu, NodeKind::identity}),
                                  {operand, 1}));
        return;
      }
      case 2:
      case 3:
      case 4:
        return add_binary(x);
      case 5:
        if (!conditions_.empty()) return add_select(x);
        return;
      case 6: {
        const DType through = pick<DType>({DType::float32, DType::int32, DType::bool_, DType::int8, DType::bfloat16});
        numbers_.push_back(graph.cast(graph.cast(x, through), dtype_));
        return;
      }
      case 7:
        numbers_.push_back(graph.transpose(x, random_permutation(shape.size())));
        return;
      case 8:
        return add_slice(x, shape);
      case 9: {
        Ints axes;
        for (size_t axis = 0; axis < shape.size(); ++axis) {
          if (between(0, 1) == 1) axes.push_back(static_cast<int64_t>(axis));
        }
        numbers_.push_back(tame(graph.reduction_sum(x, axes)));
        return;
      }
      case 10:
        numbers_.push_back(graph.reshape(x, {graph.elements(x)}));
        return;
      case 11:
        return add_matmul(x);
      case 12:
        return add_concatenation(x, shape);
      case 13:
        return add_strided(x);
    }
  }

  void add_binary(Value x) {
    const Value y = pick(numbers_);
    if (!fits(graph.shape(x), graph.shape(y))) return;
    const Value operands[] = {x, y};
    if (between(0, 3) == 0) {
      conditions_.push_back(record(graph,
                                   pick<NodeKind>({NodeKind::less_than, NodeKind::equal, NodeKind::not_equal,
                                                   NodeKind::greater_than_or_equal_to}),
                                   {operands, 2}));
    } else {
      numbers_.push_back(tame(record(graph,
                                     pick<NodeKind>({NodeKind::addition, NodeKind::subtraction,
                                                     NodeKind::multiplication, NodeKind::maximum, NodeKind::minimum}),
                                     {operands, 2})));
    }
  }

  static bool fits(Dims a, Dims b) {
    for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
      const int64_t x = a[a.size() - 1 - i], y = b[b.size() - 1 - i];
      if (x != y && x != 1 && y != 1) return false;
    }
    return true;
  }

  void add_select(Value x) {
    const Value condition = pick(conditions_), y = pick(numbers_);
    if (!fits(graph.shape(x), graph.shape(y))) return;
    const Shape both = broadcast_shapes(graph.shape(x), graph.shape(y));
    if (fits(graph.shape(condition), both)) numbers_.push_back(graph.select(condition, x, y));
  }

  void add_slice(Value x, const Shape& shape) {
    Ints starts, ends, steps;
    for (int64_t size : shape) {
      starts.push_back(between(0, static_cast<int>(size) - 1));
      ends.push_back(between(static_cast<int>(starts.back()) + 1, static_cast<int>(size)));
      steps.push_back(between(1, 2));
    }
    numbers_.push_back(graph.slice(x, starts, ends, steps));
  }

  void add_matmul(Value x) {
    const Value y = pick(numbers_);
    const Dims a = graph.shape(x), b = graph.shape(y);
    if (a.size() < 2 || b.size() < 2) return;
    Ints swap;
    for (size_t i = 0; i < b.size(); ++i) swap.push_back(static_cast<int64_t>(i));
    std::swap(swap[b.size() - 1], swap[b.size() - 2]);
    if (!fits({a.data(), a.size() - 2}, {b.data(), b.size() - 2})) return;
    if (a[a.size() - 1] == b[b.size() - 2]) {
      numbers_.push_back(tame(graph.matrix_multiplication(x, y)));
    } else if (a[a.size() - 1] == b[b.size() - 1]) {
      numbers_.push_back(tame(graph.matrix_multiplication(x, graph.transpose(y, swap))));
    }
  }

  void add_concatenation(Value x, const Shape& shape) {
    if (shape.empty() || graph.elements(x) > 500) return;
    const int axis = between(0, static_cast<int>(shape.size()) - 1);
    const Value parts[] = {x, graph.negative(x), x};
    numbers_.push_back(graph.concatenation({parts, static_cast<size_t>(between(2, 3))}, axis));
  }

  void add_strided(Value x) {
    const int64_t count = graph.elements(x);
    const Value flat = graph.reshape(x, {count});
    const int64_t offset = between(0, static_cast<int>(count) - 1);
    const int64_t step = between(-2, 2);
    const int64_t room = step > 0 ? (count - 1 - offset) / step : step < 0 ? offset / -step : 5;
    const int64_t size = between(1, static_cast<int>(room) + 1);
    const Value view = graph.strided_view(flat, {size}, {step}, offset);
    if (between(0, 1) == 0 || step == 0) {
      numbers_.push_back(view);
    } else {
      numbers_.push_back(graph.strided_update(flat, graph.negative(view), {step}, offset));
    }
  }

  std::mt19937 random_;
  const uint32_t seed_;
  DType dtype_ = DType::float32;
  std::vector<Value> numbers_;
  std::vector<Value> conditions_;
};

TEST_F(RandomGraphs, MatchTheReference) {
  for (uint32_t seed = 0; seed < 1500; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Generator generator(seed);
    generator.make();
    expect_reference(generator.graph, generator.inputs);
    if (HasFailure()) break;
  }
}

}  // namespace
}  // namespace mps::exam
