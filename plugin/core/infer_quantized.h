// The part of infer.cc that is about numbers of few bits.
#pragma once

#include "plugin/core/infer.h"

namespace mps {

// What blocks a number of elements have.
constexpr int64_t block_count(int64_t elements, int64_t blocksize) { return (elements + blocksize - 1) / blocksize; }

// Bytes that so many places in a code book of this many entries fill.
constexpr int64_t code_bytes(int64_t elements, int64_t book) { return book == 16 ? (elements + 1) / 2 : elements; }

Inferred infer_quantized(const Graph& graph, NodeKind kind, Span<const Value> operands, Dims attributes, Dims target);

}  // namespace mps
