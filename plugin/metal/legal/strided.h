// Strided views and updates of flat storage, from slices, reshapes, transposes and reversals.
//
// Sorted by stride, the axes of nearly every view that programs make are nested: a step along one axis passes over all
// that the axes behind it reach. Such a view is taken apart axis by axis: the part of the storage that the outermost
// axis walks through is cut out and reshaped to rows of its stride, and what the other axes see lies within each row.
// An update goes the same way and puts the pieces together again. Axes of stride 0 repeat (a broadcast), negative
// strides reverse.
//
// A view whose axes are not nested (windows that overlap) stays a strided_view and becomes a gather by computed
// indices; an update that is not is done index by index along one of its axes, if that axis is short.
#pragma once

#include "plugin/metal/legal/builder.h"

namespace mps::legal {

inline constexpr int64_t kMostUpdates = 64;

Value strided_view(Builder& b, Value storage, Dims shape, Dims strides, int64_t offset);
Value strided_update(Builder& b, Value storage, Value update, Dims strides, int64_t offset);

}  // namespace mps::legal
