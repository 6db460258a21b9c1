// Nodes that move elements, and the folding of axes.
//
// MPSGraph takes kMostAxes axes. Those that a node treats alike are therefore merged before it and taken apart after
// it, which costs nothing: both are reshapes of dense tensors. What is left with more is done in steps.
#pragma once

#include <vector>

#include "plugin/metal/legal/builder.h"

namespace mps::legal {

// Shapes that broadcast to `to`, with axes merged where all of them allow it. No axis of `to` is 1, unless it is the
// only one. All have the same rank.
struct Folded {
  Shape to;
  std::vector<Shape> from;
};
Folded fold_broadcast(const std::vector<Shape>& from, Dims to);

// [everything before the axis, the axis, everything behind it]
Shape around(Dims shape, size_t axis);

Value broadcast(Builder& b, Value x, Dims to);
Value transpose(Builder& b, Value x, Dims permutation);
Value slice(Builder& b, Value x, Dims starts, Dims steps, Dims sizes);
Value concatenation(Builder& b, Span<const Value> values, size_t axis);
// The elements of `x` backwards along the axes that are marked.
Value reverse(Builder& b, Value x, Span<const bool> axes);

// The axes of a strided view that reverses dense storage; nothing if it is not one. It becomes
// reverseTensor:axes:name:; any other strided view that is left becomes a gather.
bool is_reverse(Dims shape, Dims strides, int64_t offset, Ints* axes);

}  // namespace mps::legal
