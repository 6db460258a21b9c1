// Tensors of complex64 as a graph sees them: pairs of float32.
#pragma once

#include "kernels/graphs/complex.h"
#include "plugin/core/check.h"
#include "plugin/paddle/recorder.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {

inline graphs::Complex read_pairs(Recorder& record, const phi::DenseTensor& tensor) {
  MPS_CHECK(tensor.dtype() == phi::DataType::COMPLEX64, kArgument, "wrong dtype: expected complex64, got ",
            phi::DataTypeToString(tensor.dtype()), ". Cast it.");
  Shape shape(dims_of(tensor));
  shape.push_back(2);
  const void* const address = tensor.numel() == 0 ? nullptr : tensor.data();
  const Value pairs = record.input(address, DType::float32, 2 * tensor.numel());
  return graphs::from_pairs(record.graph, record.graph.reshape(pairs, shape));
}

// Allocates `tensor`, whose dimensions are set.
inline void write_pairs(const phi::CustomContext& ctx, Recorder& record, phi::DenseTensor* tensor,
                        graphs::Complex value) {
  void* const address = ctx.Alloc(tensor, phi::DataType::COMPLEX64);
  if (tensor->numel() != 0) record.output(address, graphs::to_pairs(record.graph, value));
}

// Of the first operand or result, or the third operand, where it is not of the dtype that the kernel is for.
inline constexpr DTypes kComplex = {phi::DataType::COMPLEX64};
inline void take_real(const phi::KernelKey&, phi::Kernel* kernel) {
  kernel->InputAt(0).SetDataType(phi::DataType::FLOAT32);
}
inline void take_complex_third(const phi::KernelKey&, phi::Kernel* kernel) {
  kernel->InputAt(2).SetDataType(phi::DataType::COMPLEX64);
}
inline void give_real(const phi::KernelKey&, phi::Kernel* kernel) {
  kernel->OutputAt(0).SetDataType(phi::DataType::FLOAT32);
}
inline void give_complex(const phi::KernelKey&, phi::Kernel* kernel) {
  kernel->OutputAt(0).SetDataType(phi::DataType::COMPLEX64);
}

}  // namespace mps::paddle
