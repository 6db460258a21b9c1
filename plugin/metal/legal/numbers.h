// Which dtype a node is computed in, and how values come there and back, so that the numbers are those of device.h
// whatever MPSGraph's kernels do with narrow types:
//
//   bool                        as int32; what is not 0 is true. Moved as int8
//   uint8, int8, int16          as int32, which wraps when it is cast back
//   int32, int64                as they are; int64 from macOS 13.3 on
//   float16, bfloat16           as float32, rounded once per node; bfloat16 from macOS 14 on
//   float32                     as it is
#pragma once

#include "plugin/metal/legal/builder.h"

namespace mps::legal {

// The dtype that arithmetic on `dtype` is done in. Throws a Refusal if the target has no arithmetic on it.
DType computed(Builder& b, DType dtype);

// What the cast node means, for any two dtypes.
Value convert(Builder& b, Value x, DType to);

// A unary, binary or compare node, or a select, on operands of any dtype whose shapes broadcast as they stand.
Value pointwise(Builder& b, NodeKind kind, Span<const Value> operands);

// A reduction of `x` over `axes`, on any dtype.
Value reduce(Builder& b, NodeKind kind, Value x, Dims axes);

// Moves elements with `move`, in a dtype that MPSGraph moves well.
template <typename Move>
Value moved(Builder& b, Value x, Move move) {
  return b.dtype(x) == DType::bool_ ? b.cast(move(b.cast(x, DType::int8)), DType::bool_) : move(x);
}

}  // namespace mps::legal
