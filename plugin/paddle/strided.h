// Tensors with strides, as flat storage that strided_view and strided_update work on.
//
// Only kernels that move elements see strides. They serve every Paddle dtype: an element that no
// device computes with (float64, complex, float8 ...) moves as one or two integers of its size.
#pragma once

#include "paddle/phi/common/scalar.h"
#include "paddle/phi/core/dense_tensor.h"
#include "plugin/core/dtype.h"
#include "plugin/core/shape.h"

namespace mps::paddle {

// How elements of a Paddle dtype are moved: as `words` values of `dtype` each.
struct Elements {
  DType dtype;
  size_t words;
};
Elements elements_of(phi::DataType dtype);

// A scalar's bits in those words.
struct Words {
  int64_t bits[2];
};
Words words_of(const phi::Scalar& value, phi::DataType dtype);

// The memory between the lowest and the highest element that a tensor of these dimensions and
// strides touches. `shape`, `strides` and `offset` (in words, from `address`) find its elements; a
// two-word element adds a last dimension of 2.
struct StridedStorage {
  char* address;
  DType dtype;
  int64_t count;
  Shape shape;
  Ints strides;
  int64_t offset;
};
StridedStorage storage_of(const phi::DenseTensor& tensor, Dims dims, Dims strides);

}  // namespace mps::paddle
