#include "plugin/metal/legal/numbers.h"

#include <cmath>
#include <limits>

#include "plugin/metal/legal/compositions.h"

namespace mps::legal {
namespace {

bool is_narrow(DType dtype) { return dtype == DType::bool_ || (is_integer(dtype) && size_of(dtype) < 4); }

Value compare(Builder& b, NodeKind kind, Value x, Scalar with) { return b.record(kind, {x, b.like(x, with)}); }

// A float32 as int32 or int64. Metal's own conversion is defined for what fits, and only that is left to it; NaN
// compares as false and so becomes 0.
template <typename Integer>
Value truncate(Builder& b, Value x) {
  using Limits = std::numeric_limits<Integer>;
  const DType to = sizeof(Integer) == 4 ? DType::int32 : DType::int64;
  const double end =
      std::ldexp(1.0, Limits::digits);  // a power of two: exact in float32, as the highest integer is not
  const Value fits = compare(b, NodeKind::less_than, b.record(NodeKind::absolute, {x}), end);
  const Value value = b.cast(b.select(fits, x, b.like(x, 0)), to);
  const Value highest = b.constant(int64_t{Limits::max()}, to, b.shape(x));
  const Value lowest = b.constant(int64_t{Limits::min()}, to, b.shape(x));
  const Value capped = b.select(compare(b, NodeKind::greater_than_or_equal_to, x, end), highest, value);
  return b.select(compare(b, NodeKind::less_than_or_equal_to, x, -end), lowest, capped);
}

Value select(Builder& b, Value predicate, Value x, Value y) {
  Shape shape = broadcast_shapes(b.shape(x), b.shape(y));
  shape = broadcast_shapes(b.shape(predicate), shape);
  const DType dtype = b.dtype(x);
  const DType moved_as = dtype == DType::bool_ ? DType::int8 : dtype;
  const auto in_shape = [&](Value value) { return b.broadcast(b.cast(value, moved_as), shape); };
  const Value wide = moved(b, predicate, [&](Value value) { return b.broadcast(value, shape); });
  return b.cast(b.select(wide, in_shape(x), in_shape(y)), dtype);
}

}  // namespace

DType computed(Builder& b, DType dtype) {
  if (dtype == DType::int64) b.need(kInt64, "arithmetic on int64");
  if (is_narrow(dtype)) return DType::int32;
  return is_float(dtype) ? DType::float32 : dtype;
}

Value convert(Builder& b, Value x, DType to) {
  const DType from = b.dtype(x);
  if (from == to) return x;
  if (from == DType::bool_) return b.cast(b.cast(x, is_float(to) ? DType::float32 : DType::int32), to);
  // Between int64 and int32 every release casts; all else of int64 is arithmetic.
  const bool integers = is_integer(from) && is_integer(to);
  const DType wide = integers ? DType::int32 : computed(b, from);
  x = b.cast(x, wide);
  if (to == DType::bool_) return compare(b, NodeKind::not_equal, x, 0);
  if (is_float(wide) && is_integer(to)) {
    if (to == DType::int64) return computed(b, to), truncate<int64_t>(b, x);
    return b.cast(truncate<int32_t>(b, x), to);
  }
  if (is_float(to)) x = b.cast(x, DType::float32);  // and then rounded to the short one
  return b.cast(x, to);
}

Value pointwise(Builder& b, NodeKind kind, Span<const Value> operands) {
  if (kind == NodeKind::identity) return operands[0];
  if (kind == NodeKind::select) return select(b, operands[0], operands[1], operands[2]);
  const DType dtype = b.dtype(operands[0]);
  if (info(kind).dtypes == NodeDTypes::kBool) return b.record(kind, operands);
  const DType wide = computed(b, dtype);
  SmallVector<Value, 3> x;
  for (Value operand : operands) x.push_back(b.cast(operand, wide));
  const Composition* const composition = find_composition(kind, wide);
  const Value result = composition != nullptr ? composition->build(b, x) : b.record(kind, x);
  if (info(kind).family == NodeFamily::kCompare) return result;
  return dtype == DType::bool_ ? compare(b, NodeKind::not_equal, result, 0) : b.cast(result, dtype);
}

Value reduce(Builder& b, NodeKind kind, Value x, Dims axes) {
  const DType dtype = b.dtype(x);
  return convert(b, b.graph().reduction(kind, b.cast(x, computed(b, dtype)), axes), dtype);
}

}  // namespace mps::legal
