// The part of infer.cc that is about Fourier transforms.
#pragma once

#include "plugin/core/infer.h"

namespace mps {

Inferred infer_fourier(const Graph& graph, NodeKind kind, Value x, const Fourier& what);

}  // namespace mps
