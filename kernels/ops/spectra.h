// Tensors as transforms see them: planes of real and of imaginary parts, [1, shape..] or [2, shape..].
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

// From [.., parts] to [parts, ..] and back.
inline Value parts_first(Graph& g, Value x) {
  const int64_t rank = static_cast<int64_t>(g.shape(x).size());
  Shape order{rank - 1};
  for (int64_t i = 0; i < rank - 1; ++i) order.push_back(i);
  return g.transpose(x, order);
}
inline Value parts_last(Graph& g, Value x) {
  const int64_t rank = static_cast<int64_t>(g.shape(x).size());
  Shape order;
  for (int64_t i = 1; i < rank; ++i) order.push_back(i);
  order.push_back(0);
  return g.transpose(x, order);
}

inline Value read_planes(Recorder& record, const phi::DenseTensor& tensor) {
  return parts_first(record.graph, read_parts(record, tensor));
}
// As complex64 where there are two planes, else as float32.
inline void write_planes(const phi::CustomContext& ctx, Recorder& record, phi::DenseTensor* tensor, Value planes) {
  const bool pairs = record.graph.shape(planes)[0] == 2;
  write_parts(ctx, record, tensor, pairs ? phi::DataType::COMPLEX64 : phi::DataType::FLOAT32,
              parts_last(record.graph, planes));
}

}  // namespace mps::paddle
