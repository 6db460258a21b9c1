#include "plugin/metal/legal/alignment.h"

#include <limits>
#include <vector>

#include "plugin/metal/legal/lines.h"
#include "plugin/metal/legal/numbers.h"
#include "plugin/metal/legal/shapes.h"

namespace mps::legal {
namespace {

constexpr double kNever = -std::numeric_limits<double>::infinity();

class Lattice {
 public:
  Lattice(Builder& b, Value scores, Value skips, Value frames, Value states)
      : b_(b), shape_(b.shape(scores)), scores_(b.cast(scores, DType::float32)), skips_(skips) {
    const Shape each{shape_[1], 1};
    frames_ = b_.reshape(frames, each);
    const Value count = b_.reshape(states, each);
    const Value state = coordinate(b_, {1, shape_[2]}, 1);
    const auto chosen = [&](Value condition) { return point(NodeKind::select, condition, number(0), number(kNever)); };
    first_ = whole(chosen(point(NodeKind::less_than, state, integer(2))));
    exists_ = whole(chosen(point(NodeKind::less_than, state, count)));
    const Value late =
        point(NodeKind::greater_than_or_equal_to, state, point(NodeKind::subtraction, count, integer(2)));
    last_ = point(NodeKind::addition, whole(chosen(late)), exists_);
    // What the number of frames or states leaves no way for is given none: neither more than there are, nor less
    // than 1.
    const auto inside = [&](Value x, int64_t most) {
      return point(NodeKind::multiplication, point(NodeKind::greater_than_or_equal_to, x, integer(1)),
                   point(NodeKind::less_than_or_equal_to, x, integer(most)));
    };
    fits_ = point(NodeKind::multiplication, inside(frames_, shape_[0]), inside(count, shape_[2]));
  }

  Value align() {
    std::vector<Value> before, shares;
    Value total = b_.constant(kNever, DType::float32, {shape_[1], 1});
    for (int64_t t = 0; t < shape_[0]; ++t) {
      const Value ways = t == 0 ? first_ : combined(before.back(), -1, skips_);
      before.push_back(point(NodeKind::addition, point(NodeKind::addition, ways, score(t)), exists_));
      const Value end = log_sum(point(NodeKind::addition, before.back(), last_));
      total = point(NodeKind::select, is_last(t), end, total);
    }
    total = point(NodeKind::select, fits_, total, number(kNever));
    const Value possible = point(NodeKind::greater_than, total, number(kNever));
    const Value shift = point(NodeKind::select, possible, total, number(0));
    Value behind{}, next{};
    shares.resize(before.size());
    for (int64_t t = shape_[0]; t-- > 0;) {
      const Value ends = point(NodeKind::select, is_last(t), last_, whole(number(kNever)));
      if (t + 1 == shape_[0]) {
        behind = ends;
      } else {
        behind = point(NodeKind::select, is_last(t), last_, combined(next, 1, moved_by(skips_, 2)));
      }
      const Value power = point(NodeKind::subtraction, point(NodeKind::addition, before[at(t)], behind), shift);
      const Value inside =
          point(NodeKind::multiplication, possible, point(NodeKind::greater_than, frames_, integer(t)));
      shares[at(t)] = point(NodeKind::select, inside, point(NodeKind::exponent, power), number(0));
      next = point(NodeKind::addition, behind, score(t));
    }
    std::vector<Value> parts{b_.reshape(total, {shape_[1]})};
    for (Value share : shares) parts.push_back(b_.reshape(share, {shape_[1] * shape_[2]}));
    return concatenation(b_, parts, 0);
  }

 private:
  template <typename... Values>
  Value point(NodeKind kind, Values... values) {
    return pointwise(b_, kind, {values...});
  }
  static size_t at(int64_t t) { return static_cast<size_t>(t); }
  Value number(double value) { return b_.constant(value, DType::float32); }
  Value integer(int64_t value) { return b_.constant(value, DType::int32); }
  Value whole(Value x) { return broadcast(b_, x, {shape_[1], shape_[2]}); }
  Value score(int64_t t) { return b_.reshape(b_.slice(scores_, 0, t, 1), {shape_[1], shape_[2]}); }
  Value is_last(int64_t t) { return point(NodeKind::equal, frames_, integer(t + 1)); }

  // x[s + by], and never where there is none.
  Value moved_by(Value x, int64_t by) {
    const int64_t count = shape_[2], missing = std::min(by < 0 ? -by : by, count);
    const Value none = b_.constant(kNever, DType::float32, {shape_[1], missing});
    if (missing == count) return none;
    const Value rest = b_.slice(x, 1, by < 0 ? 0 : missing, count - missing);
    return by < 0 ? concatenation(b_, {none, rest}, 1) : concatenation(b_, {rest, none}, 1);
  }

  // The ways of a state, of its neighbour, and of the one behind that where it may be skipped to.
  Value combined(Value x, int64_t by, Value skips) {
    const Value near = moved_by(x, by), far = point(NodeKind::addition, moved_by(x, 2 * by), skips);
    const Value highest = point(NodeKind::maximum, point(NodeKind::maximum, x, near), far);
    const Value nothing = point(NodeKind::equal, highest, number(kNever));
    const Value shift = point(NodeKind::select, nothing, number(0), highest);
    const auto part = [&](Value y) { return point(NodeKind::exponent, point(NodeKind::subtraction, y, shift)); };
    const Value sum = point(NodeKind::addition, point(NodeKind::addition, part(x), part(near)), part(far));
    const Value safe = point(NodeKind::select, nothing, number(1), sum);
    return point(NodeKind::select, nothing, number(kNever),
                 point(NodeKind::addition, shift, point(NodeKind::logarithm, safe)));
  }

  // Of each row.
  Value log_sum(Value x) {
    const Value highest = reduction(b_, NodeKind::reduction_maximum, x, {1});
    const Value nothing = point(NodeKind::equal, highest, number(kNever));
    const Value shift = point(NodeKind::select, nothing, number(0), highest);
    const Value power = point(NodeKind::exponent, point(NodeKind::subtraction, x, shift));
    const Value sum = reduction(b_, NodeKind::reduction_sum, power, {1});
    const Value safe = point(NodeKind::select, nothing, number(1), sum);
    return point(NodeKind::select, nothing, number(kNever),
                 point(NodeKind::addition, shift, point(NodeKind::logarithm, safe)));
  }

  Builder& b_;
  const Shape shape_;  // [T, B, S]
  const Value scores_, skips_;
  Value frames_{}, first_{}, exists_{}, last_{}, fits_{};
};

}  // namespace

Value ctc_alignment(Builder& b, Value scores, Value skips, Value frames, Value states) {
  return Lattice(b, scores, skips, frames, states).align();
}

}  // namespace mps::legal
