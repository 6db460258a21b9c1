// The meaning of Fourier transforms, in plain loops: the part of reference_host.cc that is about spectra.
#pragma once

#include "plugin/core/graph.h"

namespace mps {

// `value` is a node of their family; operands and result are dense.
void reference_spectra(const Graph& graph, Value value, Span<const void* const> operands, void* out);

}  // namespace mps
