// Tensor.set_(): from now on the tensor is another one's memory, seen with dimensions and strides of its own. Nothing
// moves. Its count of changes in place begins anew, for plugins have no way to hand it on: what autograd saved of it
// keeps the old memory, and the count that belongs to that.
#include "paddle/phi/kernels/set_kernel.h"
#include "plugin/core/check.h"
#include "plugin/paddle/register.h"
#include "plugin/paddle/tensor.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;

void set(const CustomContext&, const DenseTensor& x, const DenseTensor& source, const std::vector<int64_t>& dims,
         const std::vector<int64_t>& strides, int64_t offset, DenseTensor* out) {
  MPS_CHECK(dims.size() == strides.size(), kArgument, "shape and strides do not fit: expected as many of each, got ",
            dims.size(), " and ", strides.size(), ".");
  phi::DenseTensorMeta meta = out->meta();
  meta.dims = phi::make_ddim(dims);
  meta.strides = phi::make_ddim(strides);
  meta.offset = static_cast<size_t>(offset);
  if (x.IsSharedWith(source)) {
    out->set_meta(meta);
  } else {
    out->clear();
    *out = DenseTensor(source.Holder(), meta);
  }
}

}  // namespace

MPS_KERNEL(set, phi::SetKernel, set, kMovedDTypes)

}  // namespace mps::paddle
