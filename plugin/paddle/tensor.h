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

}  // namespace mps::paddle
