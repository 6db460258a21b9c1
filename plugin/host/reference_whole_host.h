// The meaning of reductions, scans and of everything that has to do with positions, in plain loops: the part of
// reference_host.cc that is about whole lines.
#pragma once

#include "plugin/core/graph.h"

namespace mps {

// `value` is a node of the reduce or coordinate family, or is_whole(), but not of images; operands and result are
// dense.
void reference_whole(const Graph& graph, Value value, Span<const void* const> operands, void* out);

// Element `index` of random_bits() of the six words of a counter, two of the key first.
uint32_t reference_random_word(Span<const uint32_t> counter, uint64_t index);

}  // namespace mps
