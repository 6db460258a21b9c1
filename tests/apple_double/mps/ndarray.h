// MPSNDArray: a way of looking at a buffer. Shapes stand here in the order of MPSShape, slowest axis first; MPS counts
// dimensions from the fastest one.
#pragma once

#include <MetalPerformanceShaders/MetalPerformanceShaders.h>

#include "plugin/core/dtype.h"
#include "plugin/core/shape.h"
#include "tests/apple_double/base/object.h"

namespace apple_double {

struct NDArrayDescriptorState {
  mps::DType dtype = mps::DType::float32;
  mps::Shape shape;
  BOOL preferPackedRows = NO;
};

struct NDArrayState {
  Kept<NSString*> label;
  Kept<id<MTLBuffer>> buffer;
  mps::DType dtype = mps::DType::float32;
  mps::Shape shape;
  mps::Ints strides;  // in elements
  size_t offset = 0;  // in bytes
};

// Rows without packing are a multiple of this long.
constexpr size_t kRowBytes = 16;

// A dense array over a buffer.
MPSNDArray* new_ndarray(id<MTLBuffer> buffer, const mps::Shape& shape, mps::DType dtype, size_t row_bytes);

}  // namespace apple_double
