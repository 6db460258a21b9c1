// A graph rewritten for the host device: only what its results need, and only what the host computes directly.
//
// - Products of matrices in a dtype without a kernel become float32 products between casts, which fuse with their
//   neighbours and round once.
// - Convolutions, attention and alignments are float32 between casts, likewise.
// - identity is its operand; movements and casts of a constant are constants.
//
// Feeds and results keep their numbers.
#pragma once

#include "plugin/core/graph.h"

namespace mps {

Graph lower(const Graph& graph);

}  // namespace mps
