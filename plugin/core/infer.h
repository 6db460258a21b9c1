// Shape and dtype rules: the only place that validates a graph.
//
// The rules that Metal has (rank at most 16, dimensions at most INT_MAX, fewer than 2^32 elements)
// hold for every device, so that what would fail on a Mac fails everywhere, with the same sentence.
#pragma once

#include "plugin/core/graph.h"

namespace mps {

struct Inferred {
  DType dtype;
  Shape shape;
};

// The result of a node of this kind, or an Error that says what does not fit. `target` is the shape
// asked for by reshape, broadcast, slice and strided_view.
Inferred infer(const Graph& graph, NodeKind kind, Span<const Value> operands, Dims attributes, Dims target);

// Throws kArgument; for the parts of infer.cc that lie in files of their own.
void check_dtype(NodeKind kind, DType dtype);
void check_same_dtype(NodeKind kind, DType x, DType y);

// Throws unless a device can hold a tensor of this shape.
void check_shape(Dims shape);

}  // namespace mps
