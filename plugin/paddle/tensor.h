// Paddle's tensors in the core's terms: dtype, shape, address.
#pragma once

#include "paddle/phi/core/dense_tensor.h"
#include "plugin/core/dtype.h"
#include "plugin/core/shape.h"

namespace mps::paddle {

// True if a device can hold this type, with the core's name for it in `*dtype`.
bool to_dtype(phi::DataType from, DType* dtype);
phi::DataType to_phi(DType dtype);

// Throws kUnsupported for a type without a row in dtype.def. complex64 is an integer of its size here: kernels that
// only move elements take it so, and those that compute with it read pairs (kernels/ops/pairs.h).
DType dtype_of(const phi::DenseTensor& tensor);

// A view of the tensor's own dimensions; valid as long as the tensor's metadata.
inline Dims dims_of(const phi::DDim& dims) { return {dims.Get(), static_cast<size_t>(dims.size())}; }
inline Dims dims_of(const phi::DenseTensor& tensor) { return dims_of(tensor.dims()); }
inline Dims strides_of(const phi::DenseTensor& tensor) { return dims_of(tensor.strides()); }

// Whether its elements, if there are any, lie one after the other, as those of a tensor without strides do. Paddle's
// is_contiguous() is stricter: it asks for the strides of dimensions of size one, too.
inline bool is_dense(const phi::DenseTensor& tensor) {
  const Dims dims = dims_of(tensor), strides = strides_of(tensor);
  if (strides.size() != dims.size()) return true;
  int64_t step = 1;
  for (size_t i = dims.size(); i-- > 0; step *= dims[i]) {
    if (dims[i] != 1 && strides[i] != step) return tensor.numel() == 0;
  }
  return true;
}

}  // namespace mps::paddle
