// Poolings and their gradients, one spatial axis after the other: the windows along it are written out, by a reshape
// where they lie side by side and by a gather where they do not, and reduced. A maximum of maxima is the maximum, a sum
// of sums the sum, and the least place among those of equal maxima the first.
//
// MPSGraph's own methods are not used: with ceil_mode the results are too large, averages are wrong where padding
// counts, uneven windows are not known, and which of equal maxima gets the gradient is not documented
// (workarounds.def).
#pragma once

#include "plugin/metal/legal/builder.h"

namespace mps::legal {

// max_pooling, max_pooling_indices or average_pooling, giving `target`.
Value pooling(Builder& b, NodeKind kind, Value x, Dims target, const Sliding& sliding);

Value max_pooling_gradient(Builder& b, Value dout, Value x, const Sliding& sliding);
Value average_pooling_gradient(Builder& b, Value dout, Dims target, const Sliding& sliding);

}  // namespace mps::legal
