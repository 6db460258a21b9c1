// Making tensors without values. Paddle has a kernel for this that serves every device; ours allocates from the memory
// of the stream that the op runs on (plugin/paddle/thread_context.h), so that what is then written there needs no
// waiting.
#include "paddle/phi/kernels/empty_kernel.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;

void empty(const CustomContext& ctx, const phi::IntArray& shape, phi::DataType, DenseTensor* out) {
  out->Resize(phi::make_ddim(shape.GetData()));
  ctx.Alloc(out, out->dtype());
}

}  // namespace

MPS_KERNEL(empty, phi::EmptyKernel, empty, kEveryPaddleDType)

}  // namespace mps::paddle
