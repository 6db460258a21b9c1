// Numbers that a kernel must know before it can say how large its result is. Waits for the device, unless they are on
// the host already.
#pragma once

#include <vector>

#include "paddle/phi/backends/custom/custom_context.h"
#include "paddle/phi/core/dense_tensor.h"
#include "plugin/core/scalar.h"

namespace mps::paddle {

// The elements of `tensor`, wherever it lies.
std::vector<Scalar> host_values(const phi::CustomContext& ctx, const phi::DenseTensor& tensor);
// The one element.
Scalar host_value(const phi::CustomContext& ctx, const phi::DenseTensor& tensor);

}  // namespace mps::paddle
