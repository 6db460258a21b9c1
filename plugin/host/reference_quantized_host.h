// The meaning of numbers of few bits, in plain loops: the part of reference_host.cc that is about them.
#pragma once

#include "plugin/core/graph.h"

namespace mps {

// `value` is a node of that family; operands and result are dense.
void reference_quantized(const Graph& graph, Value value, Span<const void* const> operands, void* out);

}  // namespace mps
