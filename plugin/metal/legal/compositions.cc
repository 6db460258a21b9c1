#include "plugin/metal/legal/compositions.h"

#include "plugin/metal/legal/functions.h"

namespace mps::legal {
namespace {

Value zero(Builder& b, Value x) { return b.like(x, 0); }
Value is_positive(Builder& b, Value x) { return b.record(NodeKind::greater_than, {x, zero(b, x)}); }
Value is_negative(Builder& b, Value x) { return b.record(NodeKind::less_than, {x, zero(b, x)}); }
Value minus(Builder& b, Value x) { return b.record(NodeKind::subtraction, {zero(b, x), x}); }

// Both operands in the shape of the result: a select takes nothing else.
struct Pair {
  Value x, y;
};
Pair broadcast_pair(Builder& b, Span<const Value> x) {
  const Shape shape = broadcast_shapes(b.shape(x[0]), b.shape(x[1]));
  return {b.broadcast(x[0], shape), b.broadcast(x[1], shape)};
}

Value negative_of_integers(Builder& b, Span<const Value> x) { return minus(b, x[0]); }

Value absolute_of_integers(Builder& b, Span<const Value> x) {
  return b.select(is_negative(b, x[0]), minus(b, x[0]), x[0]);
}

Value square_of_integers(Builder& b, Span<const Value> x) { return b.record(NodeKind::multiplication, {x[0], x[0]}); }

Value sign(Builder& b, Span<const Value> x) {
  const Value neither = b.select(b.record(NodeKind::equal, {x[0], zero(b, x[0])}), zero(b, x[0]), x[0]);  // 0 or NaN
  const Value not_positive = b.select(is_negative(b, x[0]), b.like(x[0], -1), neither);
  return b.select(is_positive(b, x[0]), b.like(x[0], 1), not_positive);
}

Value relu(Builder& b, Span<const Value> x) { return b.select(is_positive(b, x[0]), x[0], zero(b, x[0])); }

Value division_of_integers(Builder& b, Span<const Value> operands) {
  const auto [x, y] = broadcast_pair(b, operands);
  const Value is_zero = b.record(NodeKind::equal, {y, zero(b, y)});
  const Value is_minus_one = b.record(NodeKind::equal, {y, b.like(y, -1)});
  const Value one = b.like(y, 1);
  const Value divisor = b.select(is_zero, one, b.select(is_minus_one, one, y));
  const Value quotient = b.record(NodeKind::division, {x, divisor});
  return b.select(is_zero, zero(b, x), b.select(is_minus_one, minus(b, x), quotient));
}

Value maximum_of_integers(Builder& b, Span<const Value> operands) {
  const auto [x, y] = broadcast_pair(b, operands);
  return b.select(b.record(NodeKind::greater_than, {x, y}), x, y);
}

Value minimum_of_integers(Builder& b, Span<const Value> operands) {
  const auto [x, y] = broadcast_pair(b, operands);
  return b.select(b.record(NodeKind::less_than, {x, y}), x, y);
}

Value truncate(Builder& b, Span<const Value> x) {
  return b.select(is_negative(b, x[0]), b.record(NodeKind::ceil, {x[0]}), b.record(NodeKind::floor, {x[0]}));
}

// By the quotient, which is 0 where the divisor is.
Value modulo_of_integers(Builder& b, Span<const Value> operands) {
  const auto [x, y] = broadcast_pair(b, operands);
  const Value whole = b.record(NodeKind::multiplication, {division_of_integers(b, {x, y}), y});
  return b.record(NodeKind::subtraction, {x, whole});
}

// By squaring, a step for each bit of the exponent that its dtype has. To a negative power only 1 and -1 are not 0.
Value power_of_integers(Builder& b, Span<const Value> operands) {
  const auto [x, y] = broadcast_pair(b, operands);
  const Value one = b.like(x, 1), two = b.like(x, 2);
  const Value inverts = is_negative(b, y);
  const auto half_of = [&](Value value) { return b.record(NodeKind::division, {value, two}); };
  const auto is_odd = [&](Value value, Value half) {
    return b.record(NodeKind::not_equal, {b.record(NodeKind::addition, {half, half}), value});
  };
  const Value is_one = b.record(NodeKind::equal, {x, one});
  const Value is_minus_one = b.record(NodeKind::equal, {x, b.like(x, -1)});
  const Value unit = b.select(is_odd(y, half_of(y)), x, one);
  const Value inverse = b.select(is_one, one, b.select(is_minus_one, unit, zero(b, x)));
  Value bits = b.select(inverts, zero(b, y), y), square = x, result = one;
  const size_t steps = 8 * size_of(b.dtype(x)) - 1;
  for (size_t i = 0; i < steps; ++i) {
    const Value half = half_of(bits);
    result = b.select(is_odd(bits, half), b.record(NodeKind::multiplication, {result, square}), result);
    if (i + 1 < steps) square = b.record(NodeKind::multiplication, {square, square});
    bits = half;
  }
  return b.select(inverts, inverse, result);
}

// Metal says nothing of counts that are negative or not below the width.
Value shift(Builder& b, NodeKind kind, Span<const Value> operands, bool keeps_sign) {
  const auto [x, y] = broadcast_pair(b, operands);
  const int last = static_cast<int>(8 * size_of(b.dtype(x))) - 1;
  const Value most = b.like(y, last);
  const Value is_far = b.record(NodeKind::greater_than, {y, most});
  const Value count = b.select(is_negative(b, y), most, b.select(is_far, most, y));
  const Value shifted = b.record(kind, {x, count});
  if (keeps_sign) return shifted;
  return b.select(is_negative(b, y), zero(b, x), b.select(is_far, zero(b, x), shifted));
}
Value left_shift(Builder& b, Span<const Value> x) { return shift(b, NodeKind::bitwise_left_shift, x, false); }
Value right_shift(Builder& b, Span<const Value> x) { return shift(b, NodeKind::bitwise_right_shift, x, true); }

constexpr Composition kCompositions[] = {
#define MPS_COMPOSITION(kind, numbers, function, words) {NodeKind::kind, Numbers::numbers, function},
#define MPS_REWRITE(...)
#include "plugin/metal/legal/compositions.def"
#undef MPS_COMPOSITION
#undef MPS_REWRITE
};

// A pointwise node without a method of MPSGraph must have a row here for everything that it takes.
constexpr bool is_covered(const NodeInfo& row, NodeKind kind) {
  const bool by_method = row.selector[0] != '\0' || row.family > NodeFamily::kCompare;
  bool floats = by_method || row.dtypes == NodeDTypes::kBool, integers = by_method || row.dtypes == NodeDTypes::kFloat;
  for (const Composition& each : kCompositions) {
    if (each.kind != kind) continue;
    floats = floats || each.numbers != Numbers::kIntegers;
    integers = integers || each.numbers != Numbers::kFloats;
  }
  return floats && integers;
}
constexpr bool all_are_covered() {
  for (int i = 0; i < kNodeCount; ++i) {
    if (!is_covered(kNodeInfos[i], static_cast<NodeKind>(i))) return false;
  }
  return true;
}
static_assert(all_are_covered(), "a row of nodes.def without a selector needs rows in compositions.def");

}  // namespace

const Composition* find_composition(NodeKind kind, DType dtype) {
  for (const Composition& row : kCompositions) {
    const bool applies = row.numbers == Numbers::kNumbers || (row.numbers == Numbers::kFloats) == is_float(dtype);
    if (row.kind == kind && applies) return &row;
  }
  return nullptr;
}

}  // namespace mps::legal
