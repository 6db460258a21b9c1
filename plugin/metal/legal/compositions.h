// The nodes of compositions.def from other nodes. Operands are float32, int32 or int64 and broadcast.
#pragma once

#include "plugin/metal/legal/builder.h"

namespace mps::legal {

enum class Numbers : uint8_t { kFloats, kIntegers, kNumbers };

struct Composition {
  NodeKind kind;
  Numbers numbers;
  Value (*build)(Builder& b, Span<const Value> x);
};

// The composition for this kind computed in this dtype; null if the node is left to its method.
const Composition* find_composition(NodeKind kind, DType dtype);

}  // namespace mps::legal
