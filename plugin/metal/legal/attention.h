// Attention and its gradient as products of matrices with a softmax between them.
//
// MPSGraph's own method is not used: it gives no logarithm of the sum, knows neither dropout nor shared heads of keys,
// makes NaN of queries that see nothing, and has been wrong for operands that are transposed (workarounds.def is for
// methods that are used; see nodes.def). Scores beyond kMostScores are made for some queries at a time, so that memory
// stays bounded; with dropout, whose random words are one tensor, it grows with the scores all the same.
#pragma once

#include "plugin/metal/legal/builder.h"

namespace mps::legal {

inline constexpr int64_t kMostScores = int64_t{1} << 26;

Value attention(Builder& b, NodeKind kind, Span<const Value> operands, const Attention& what);

}  // namespace mps::legal
