// The part of infer.cc that is about images: convolutions and poolings.
#pragma once

#include "plugin/core/infer.h"

namespace mps {

Inferred infer_convolution(const Graph& graph, NodeKind kind, Value x, Value weights, Dims attributes);
// `target`: the shape of what the gradient is of.
Inferred infer_convolution_gradient(const Graph& graph, NodeKind kind, Value dout, Value other, Dims attributes,
                                    Dims target);
Inferred infer_pooling(const Graph& graph, NodeKind kind, Value x, Dims attributes, Dims target);
Inferred infer_pooling_gradient(const Graph& graph, NodeKind kind, Span<const Value> operands, Dims attributes,
                                Dims target);

}  // namespace mps
