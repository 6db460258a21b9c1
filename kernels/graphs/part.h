// The part of a dense tensor that a slice names: a strided view of its elements.
#pragma once

#include "plugin/core/check.h"
#include "plugin/core/graph.h"

namespace mps::graphs {

struct Part {
  Shape shape;
  Ints strides;
  int64_t offset = 0;
};

inline Part whole_part(Dims shape) { return {Shape(shape), contiguous_strides(shape), 0}; }

inline int64_t clamp(int64_t value, int64_t low, int64_t high) {
  return value < low ? low : (value > high ? high : value);
}

// Cuts axis `axis` of the part, as Python's start:end:step does: negative positions count from the
// end, and what lies outside is left out.
inline void cut_axis(Part* part, size_t axis, int64_t start, int64_t end, int64_t step) {
  MPS_CHECK(step != 0, kArgument, "bad slice step: expected a number that is not 0, got 0.");
  const int64_t size = part->shape[axis];
  if (start < 0) start += size;
  if (end < 0) end += size;
  // Backwards, the position before the first element is -1.
  const int64_t low = step > 0 ? 0 : -1;
  const int64_t high = step > 0 ? size : size - 1;
  start = clamp(start, low, high);
  end = clamp(end, low, high);
  const int64_t distance = step > 0 ? end - start : start - end;
  const int64_t stride = step > 0 ? step : -step;
  part->shape[axis] = distance <= 0 ? 0 : (distance + stride - 1) / stride;
  part->offset += start * part->strides[axis];
  part->strides[axis] *= step;
}

}  // namespace mps::graphs
