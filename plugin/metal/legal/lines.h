// What is computed along one axis: reductions, the places of extremes, scans. And places themselves.
//
// Which of several equal extremes MPSGraph's arg-reductions find, what its scans make of NaN, and what an exclusive
// scan of extremes begins with is not documented; so only sums and products are left to its scans (from macOS 13 on),
// and the rest is made of reductions, comparisons and choices, whose results depend on no order.
#pragma once

#include "plugin/metal/legal/builder.h"

namespace mps::legal {

Value reduction(Builder& b, NodeKind kind, Value x, Dims axes);
Value arg_reduction(Builder& b, NodeKind kind, Value x, size_t axis);
Value scan(Builder& b, NodeKind kind, Value x, size_t axis, bool exclusive, bool reverse);
// int32. What is recorded has one axis.
Value coordinate(Builder& b, Dims shape, size_t axis);

}  // namespace mps::legal
