// Results with as many rows as the device counts: they are computed with as many as there can be, so that no graph
// depends on how many there are, and those that count are copied.
#pragma once

#include "paddle/phi/backends/custom/custom_context.h"
#include "paddle/phi/core/dense_tensor.h"

namespace mps::paddle {

// Rows begin .. begin + count - 1 of `rows`, in the order of the stream. A null tensor is a result that nobody wants.
void give_rows(const phi::CustomContext& ctx, const phi::DenseTensor& rows, int64_t begin, int64_t count,
               phi::DenseTensor* out);

// The sum of counts, int32. Waits for the device.
int64_t sum_of(const phi::CustomContext& ctx, const phi::DenseTensor& counts);

}  // namespace mps::paddle
