// A node of mps::Graph from a row of numbers: the kind, then what the kind wants to know.
#pragma once

#include <vector>

#include "plugin/core/graph.h"

namespace apple_double {

// numbers: the NodeKind; then for
//   transpose        the permutation
//   slice            starts, ends, steps
//   concatenation    the axis
//   reduction_sum    the axes
//   transforms       whether they are inverse
//   convolution_2d   and its gradients: the attributes of a Sliding
// `dtype` and `shape` are wanted by cast, reshape, broadcast and gradients. Throws mps::Error if the operands do not
// fit.
mps::Value host_node(mps::Graph& graph, const std::vector<int64_t>& numbers, const std::vector<mps::Value>& operands,
                     mps::DType dtype, mps::Dims shape);

}  // namespace apple_double
