// Results whose size is data: they wait for the device to count.
#pragma once

#include "paddle/phi/backends/custom/custom_context.h"
#include "paddle/phi/core/dense_tensor.h"
#include "plugin/core/shape.h"

namespace mps::paddle {

// How many elements are not 0 in `tensor`, broadcast to this shape.
int64_t count_of(const phi::CustomContext& ctx, const phi::DenseTensor& tensor, Dims shape);

// The coordinates of what is not 0, as rows of int64: [count, rank].
void nonzero(const phi::CustomContext& ctx, const phi::DenseTensor& condition, phi::DenseTensor* out);

}  // namespace mps::paddle
