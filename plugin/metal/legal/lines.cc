#include "plugin/metal/legal/lines.h"

#include <limits>

#include "plugin/metal/legal/numbers.h"
#include "plugin/metal/legal/shapes.h"

namespace mps::legal {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// What nothing of this dtype is less than, or greater than.
Scalar limit_of(DType dtype, bool greatest) {
  return visit(dtype, [&](auto zero) -> Scalar {
    using T = decltype(zero);
    if constexpr (std::is_integral_v<T>) {
      using Limits = std::numeric_limits<T>;
      return static_cast<int64_t>(greatest ? Limits::max() : Limits::lowest());
    } else {
      return greatest ? kInfinity : -kInfinity;
    }
  });
}

// -- scans of [outer, length, inner] ----------------------------------------------------------------------------------

// Values that are combined as one: all but cumulative_log_sum_exp have one part.
struct Terms {
  Value x{}, sum{};
  bool has_sum = false;
};

template <typename F>
Terms each(Terms terms, F f) {
  terms.x = f(terms.x);
  if (terms.has_sum) terms.sum = f(terms.sum);
  return terms;
}

NodeKind step_of(NodeKind scan) {
  switch (scan) {
    case NodeKind::cumulative_sum:
      return NodeKind::addition;
    case NodeKind::cumulative_product:
      return NodeKind::multiplication;
    case NodeKind::cumulative_minimum:
      return NodeKind::minimum;
    default:
      return NodeKind::maximum;
  }
}

// exp(x - highest), and 1 where both are the same infinity.
Value weight(Builder& b, Value x, Value highest) {
  const Value power = b.record(NodeKind::exponent, {b.record(NodeKind::subtraction, {x, highest})});
  return b.select(b.record(NodeKind::equal, {x, highest}), b.like(x, 1), power);
}

Terms combine(Builder& b, NodeKind kind, Terms first, Terms second) {
  Terms result = first;
  result.x = pointwise(b, step_of(kind), {first.x, second.x});
  if (!first.has_sum) return result;
  // log(s exp(x) + t exp(y)) = highest + log(s exp(x - highest) + t exp(y - highest))
  const Value left = b.record(NodeKind::multiplication, {first.sum, weight(b, first.x, result.x)});
  const Value right = b.record(NodeKind::multiplication, {second.sum, weight(b, second.x, result.x)});
  result.sum = b.record(NodeKind::addition, {left, right});
  return result;
}

// Each element with the one 1 before it, then 2 before it, then 4 ... (Hillis and Steele, 1986).
Terms scan_in_steps(Builder& b, NodeKind kind, Terms terms, bool reverse) {
  const int64_t length = b.shape(terms.x)[1];
  for (int64_t distance = 1; distance < length; distance *= 2) {
    const int64_t rest = length - distance;
    const auto part = [&](int64_t start, int64_t size) {
      return each(terms, [&](Value x) { return b.slice(x, 1, start, size); });
    };
    const Terms kept = part(reverse ? rest : 0, distance);
    Terms made = combine(b, kind, part(0, rest), part(distance, rest));
    made.x = reverse ? b.concatenation({made.x, kept.x}, 1) : b.concatenation({kept.x, made.x}, 1);
    if (made.has_sum) {
      made.sum = reverse ? b.concatenation({made.sum, kept.sum}, 1) : b.concatenation({kept.sum, made.sum}, 1);
    }
    terms = made;
  }
  return terms;
}

Value inclusive_scan(Builder& b, NodeKind kind, Value x, bool reverse) {
  const bool is_native = kind == NodeKind::cumulative_sum || kind == NodeKind::cumulative_product;
  if (is_native && b.target().macos >= info(kind).macos) return b.graph().scan(kind, x, 1, false, reverse);
  Terms terms;
  terms.x = x;
  terms.has_sum = kind == NodeKind::cumulative_log_sum_exp;
  if (terms.has_sum) terms.sum = b.like(x, 1);
  terms = scan_in_steps(b, kind, terms, reverse);
  if (!terms.has_sum) return terms.x;
  return b.record(NodeKind::addition, {terms.x, b.record(NodeKind::logarithm, {terms.sum})});
}

// What an exclusive scan of this dtype begins with.
Scalar start_of(NodeKind kind, DType dtype) {
  switch (kind) {
    case NodeKind::cumulative_sum:
      return 0;
    case NodeKind::cumulative_product:
      return 1;
    default:
      return limit_of(dtype, kind == NodeKind::cumulative_minimum);
  }
}

Value shifted(Builder& b, Value x, Scalar start, bool reverse) {
  Shape one = b.shape(x);
  const int64_t rest = one[1] - 1;
  one[1] = 1;
  const Value first = b.constant(start, b.dtype(x), one);
  if (rest == 0) return first;
  if (reverse) return b.concatenation({b.slice(x, 1, 1, rest), first}, 1);
  return b.concatenation({first, b.slice(x, 1, 0, rest)}, 1);
}

}  // namespace

Value reduction(Builder& b, NodeKind kind, Value x, Dims axes) {
  const Shape shape = b.shape(x);
  Shape result = shape;
  for (int64_t axis : axes) result[static_cast<size_t>(axis)] = 1;
  // Neighbours that are all kept or all reduced merge.
  Shape groups;
  Ints reduced;
  bool last_reduced = false;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] == 1) continue;
    const bool is_reduced = result[i] == 1;
    if (!groups.empty() && is_reduced == last_reduced) {
      groups.back() *= shape[i];
    } else {
      if (is_reduced) reduced.push_back(static_cast<int64_t>(groups.size()));
      groups.push_back(shape[i]);
    }
    last_reduced = is_reduced;
  }
  x = b.reshape(x, groups.empty() ? Shape{1} : groups);
  if (groups.size() <= kMostAxes) return b.reshape(reduce(b, kind, x, reduced), result);
  const DType dtype = b.dtype(x);
  x = b.cast(x, computed(b, dtype));  // so that short floats are rounded once, not once per step
  for (int64_t axis : reduced) {
    const size_t i = static_cast<size_t>(axis);
    Shape now = b.shape(x);
    x = reduce(b, kind, b.reshape(x, around(now, i)), {1});
    now[i] = 1;
    x = b.reshape(x, now);
  }
  return b.reshape(convert(b, x, dtype), result);
}

Value arg_reduction(Builder& b, NodeKind kind, Value x, size_t axis) {
  const bool greatest = kind == NodeKind::reduction_arg_maximum;
  Shape result = b.shape(x);
  const Shape line = around(result, axis);
  const DType wide = computed(b, b.dtype(x));
  x = b.reshape(b.cast(x, wide), line);
  // NaN counts as the worst of all.
  if (is_float(wide)) x = b.select(b.record(NodeKind::equal, {x, x}), x, b.like(x, limit_of(wide, !greatest)));
  const Value best = b.graph().reduction(greatest ? NodeKind::reduction_maximum : NodeKind::reduction_minimum, x, {1});
  const Value place = coordinate(b, line, 1);
  const Value places = b.select(b.record(NodeKind::equal, {x, best}), place, b.like(place, line[1]));
  result[axis] = 1;
  return b.reshape(b.graph().reduction(NodeKind::reduction_minimum, places, {1}), result);
}

Value scan(Builder& b, NodeKind kind, Value x, size_t axis, bool exclusive, bool reverse) {
  const Shape shape = b.shape(x);
  const DType dtype = b.dtype(x);
  x = b.reshape(b.cast(x, computed(b, dtype)), around(shape, axis));
  x = inclusive_scan(b, kind, x, reverse);
  if (exclusive) x = shifted(b, x, start_of(kind, dtype), reverse);
  return b.reshape(convert(b, x, dtype), shape);
}

Value coordinate(Builder& b, Dims shape_, size_t axis) {
  const Shape shape(shape_);
  Shape line;
  line.resize(shape.size(), 1);
  line[axis] = shape[axis];
  return broadcast(b, b.reshape(b.graph().coordinate({shape[axis]}, 0), line), shape);
}

}  // namespace mps::legal
