// Making tensors without values. Paddle has a kernel for this that serves every device; ours allocates from the memory
// of the stream that the op runs on (plugin/paddle/thread_context.h), so that what is then written there needs no
// waiting.
#include "paddle/phi/kernels/empty_kernel.h"
#include "paddle/phi/kernels/is_empty_kernel.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;

void empty(const CustomContext& ctx, const phi::IntArray& shape, phi::DataType, DenseTensor* out) {
  out->Resize(phi::make_ddim(shape.GetData()));
  ctx.Alloc(out, out->dtype());
}

// A question about the shape, which the host answers, on the host.
void is_empty(const CustomContext& ctx, const DenseTensor& x, DenseTensor* out) {
  *ctx.HostAlloc<bool>(out) = x.numel() == 0;
}

void give_host_bool(const phi::KernelKey&, phi::Kernel* kernel) {
  kernel->OutputAt(0).SetDataType(phi::DataType::BOOL).SetBackend(phi::Backend::CPU);
}

}  // namespace

MPS_KERNEL_WITH_DEFINE(is_empty, phi::IsEmptyKernel, is_empty, kFloatsAndInts, give_host_bool)
MPS_KERNEL(empty, phi::EmptyKernel, empty, kEveryPaddleDType)

}  // namespace mps::paddle
