// Compositions of the functions that MPSGraph lacks: rows of compositions.def. Operands are float32.
#pragma once

#include "plugin/metal/legal/builder.h"

namespace mps::legal {

Value expm1(Builder& b, Span<const Value> x);
Value log1p(Builder& b, Span<const Value> x);
Value erfinv(Builder& b, Span<const Value> x);
Value lgamma(Builder& b, Span<const Value> x);
Value digamma(Builder& b, Span<const Value> x);

}  // namespace mps::legal
