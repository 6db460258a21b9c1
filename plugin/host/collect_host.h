// Collecting: a block of elements that lie apart in memory becomes one that block functions can read.
#pragma once

#include <cstddef>
#include <cstdint>

#include "plugin/core/shape.h"

namespace mps {

// Elements [begin, begin + count) of an array of this shape, counted in row-major order, of which element (i, j, ...)
// lies at memory + (i * strides[0] + j * strides[1] + ...) * element_bytes. The shape has at least one dimension, none
// is empty; element_bytes is 1, 2, 4 or 8.
void collect(size_t element_bytes, const void* memory, Dims shape, Dims strides, int64_t begin, int64_t count,
             void* out);

// One element, `count` times.
void repeat(size_t element_bytes, const void* element, int64_t count, void* out);

}  // namespace mps
