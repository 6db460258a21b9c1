// The meaning of attention and of alignments, in plain loops: the part of reference_host.cc that is about sequences.
#pragma once

#include "plugin/core/graph.h"

namespace mps {

// `value` is a node of one of their families; operands and result are dense.
void reference_sequences(const Graph& graph, Value value, Span<const void* const> operands, void* out);

}  // namespace mps
