#include "plugin/metal/legal/builder.h"

#include <cstring>

#include "plugin/core/check.h"

namespace mps::legal {

void Builder::need(int macos, const std::string& what) const {
  if (target_.macos >= macos) return;
  const auto release = [](int times_ten) {
    return std::to_string(times_ten / 10) + "." + std::to_string(times_ten % 10);
  };
  throw Refusal(what + " needs macOS " + release(macos) + ": this is macOS " + release(target_.macos) + ".");
}

Value Builder::constant(Scalar value, DType dtype, Dims shape) {
  const Scalar bits = Bits{static_cast<int64_t>(value.bits(dtype))};
  switch (dtype) {
    case DType::float32:
    case DType::int32:
    case DType::int64:
      return graph_.constant(bits, dtype, shape);
    case DType::float16:
    case DType::bfloat16:
    case DType::bool_:
    case DType::uint8:
    case DType::int8:
    case DType::int16:
      break;
  }
  const DType wide = is_float(dtype) ? DType::float32 : DType::int32;
  return graph_.cast(graph_.constant(value_of(graph_.constant(bits, dtype)), wide, shape), dtype);
}

// A constant, or one that had to be written as a cast: its value fits its dtype, so the cast does not change it.
bool Builder::is_constant(Value x, Scalar* value) const {
  const Value origin = is(x, NodeKind::cast) ? graph_.operand(graph_.node(x), 0) : x;
  if (!is(origin, NodeKind::constant)) return false;
  *value = value_of(origin);
  return true;
}

Scalar Builder::value_of(Value constant) const {
  const uint64_t bits = static_cast<uint64_t>(graph_.attributes(graph_.node(constant))[0]);
  return visit(dtype(constant), [&](auto zero) -> Scalar {
    using T = decltype(zero);
    T value;
    std::memcpy(static_cast<void*>(&value), &bits, sizeof value);
    if constexpr (std::is_integral_v<T>) {
      return static_cast<int64_t>(value);
    } else {
      return static_cast<float>(value);
    }
  });
}

Value Builder::record(NodeKind kind, Span<const Value> operands) {
  const NodeInfo& row = info(kind);
  need(row.macos, row.name);
#define MPS_UNARY_NODE(name) \
  if (kind == NodeKind::name) return graph_.name(operands[0]);
#define MPS_BINARY_NODE(name) \
  if (kind == NodeKind::name) return graph_.name(operands[0], operands[1]);
#include "plugin/core/nodes_by_family.h"
  MPS_THROW(kInternal, "not a unary, binary or compare node: got ", row.name, ".");
}

Value Builder::select(Value predicate, Value x, Value y) { return graph_.select(predicate, x, y); }

Value Builder::cast(Value x, DType to) {
  const DType from = dtype(x);
  if (from == to) return x;
  // Only 0 and 1 are cast to bool (see convert), and they come back as they went.
  if (from == DType::bool_ && is(x, NodeKind::cast)) {
    const Value before = graph_.operand(graph_.node(x), 0);
    if (dtype(before) == to) return before;
  }
  Scalar value = 0;
  if (is_constant(x, &value) && (!is_float(from) || is_float(to))) return constant(value, to, shape(x));
  if (shape(x).size() <= kMostAxes) return graph_.cast(x, to);
  return reshape(graph_.cast(reshape(x, {graph_.elements(x)}), to), shape(x));
}

Value Builder::reshape(Value x, Dims target) {
  if (same_shape(graph_.shape(x), target)) return x;
  const Shape copy(target);
  Scalar value = 0;
  if (is_constant(x, &value)) return constant(value, dtype(x), copy);
  if (is(x, NodeKind::reshape)) return reshape(graph_.operand(graph_.node(x), 0), copy);
  return graph_.reshape(x, copy);
}

Value Builder::broadcast(Value x, Dims target) {
  const Shape copy(target);
  Scalar value = 0;
  return is_constant(x, &value) ? constant(value, dtype(x), copy) : graph_.broadcast(x, copy);
}

Value Builder::slice(Value x, Dims starts, Dims sizes, Dims steps) {
  Scalar value = 0;
  if (is_constant(x, &value)) return constant(value, dtype(x), sizes);
  Ints ends;
  for (size_t i = 0; i < sizes.size(); ++i) ends.push_back(starts[i] + (sizes[i] - 1) * steps[i] + 1);
  return graph_.slice(x, starts, ends, steps);
}

Value Builder::slice(Value x, size_t axis, int64_t start, int64_t size, int64_t step) {
  Shape sizes = shape(x);
  Ints starts, steps;
  starts.resize(sizes.size(), 0);
  steps.resize(sizes.size(), 1);
  sizes[axis] = size;
  starts[axis] = start;
  steps[axis] = step;
  return slice(x, starts, sizes, steps);
}

Value Builder::concatenation(Span<const Value> values, size_t axis) {
  return graph_.concatenation(values, static_cast<int>(axis));
}

}  // namespace mps::legal
