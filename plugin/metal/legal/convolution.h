// Convolutions and their gradients, as MPSGraph does them right (workarounds.def):
//
//   float16, bfloat16   as float32 between casts
//   channels last       between transposes
//   large windows       in pieces, each over the part of the image that it reads
//   three dimensions    as two: what the window sees along the first axis is written out as channels
//   many channels, long axes   are refused
#pragma once

#include "plugin/metal/legal/builder.h"

namespace mps::legal {

// `first` and `second` are the operands of a node of this kind, `target` is its shape.
Value convolution(Builder& b, NodeKind kind, Value first, Value second, Dims target, const Sliding& sliding);

}  // namespace mps::legal
