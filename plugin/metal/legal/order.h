// Sorting positions, and searching in what is sorted, from comparisons and choices: MPSGraph's own sorts are not
// stable, say nothing of NaN, have been wrong for int64, and are as new as macOS 13.
//
// An element is a pair: a key, and a number that is different for each, by which equal keys are ordered. So there is
// one order only, and the results are those of a stable sort.
#pragma once

#include "plugin/metal/legal/builder.h"

namespace mps::legal {

Value arg_sort(Builder& b, Value x, size_t axis, bool descending, int64_t count);
Value search_sorted(Builder& b, Value sequence, Value values, bool right);

}  // namespace mps::legal
