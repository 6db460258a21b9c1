// The meaning of reductions, scans and of everything that has to do with positions, in plain loops: the part of
// reference_host.cc that is about whole lines.
#pragma once

#include "plugin/core/graph.h"

namespace mps {

// `value` is a node of the reduce or coordinate family, or is_whole(), but not of images; operands and result are
// dense.
void reference_whole(const Graph& graph, Value value, Span<const void* const> operands, void* out);

}  // namespace mps
