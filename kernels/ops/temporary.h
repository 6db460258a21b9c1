// A tensor between two launches of one kernel.
#pragma once

#include <memory>
#include <vector>

#include "paddle/phi/core/dense_tensor.h"
#include "plugin/paddle/tensor.h"

namespace mps::paddle {

// Without memory, which Recorder::output() allocates.
inline phi::DenseTensor temporary(DType dtype, Dims shape) {
  return phi::DenseTensor(
      std::shared_ptr<phi::Allocation>(),
      phi::DenseTensorMeta(to_phi(dtype), phi::make_ddim(std::vector<int64_t>(shape.begin(), shape.end()))));
}

}  // namespace mps::paddle
