// The part of infer.cc that is about sequences: attention and alignments.
#pragma once

#include "plugin/core/infer.h"

namespace mps {

Inferred infer_attention(const Graph& graph, NodeKind kind, Span<const Value> operands, const Attention& what);
Inferred infer_alignment(const Graph& graph, NodeKind kind, Span<const Value> operands);

}  // namespace mps
