// Tensors as signals: so many parts, real and imaginary, of each element.
#pragma once

#include "kernels/ops/pairs.h"

namespace mps::paddle {

inline bool is_complex(const phi::DenseTensor& tensor) { return tensor.dtype() == phi::DataType::COMPLEX64; }

// Complex numbers as pairs of real ones, [shape.., 2], real ones as [shape.., 1].
inline Value read_parts(Recorder& record, const phi::DenseTensor& tensor) {
  Shape shape(dims_of(tensor));
  shape.push_back(is_complex(tensor) ? 2 : 1);
  const void* const address = tensor.numel() == 0 ? nullptr : tensor.data();
  const DType dtype = is_complex(tensor) ? DType::float32 : dtype_of(tensor);
  return record.graph.reshape(record.input(address, dtype, element_count(shape)), shape);
}

// Allocates `tensor`, whose dimensions are set, in a dtype of so many parts.
inline void write_parts(const phi::CustomContext& ctx, Recorder& record, phi::DenseTensor* tensor, phi::DataType dtype,
                        Value parts) {
  void* const address = ctx.Alloc(tensor, dtype);
  if (tensor->numel() != 0) record.output(address, parts);
}

}  // namespace mps::paddle
