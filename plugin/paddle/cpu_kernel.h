// Running Paddle's own CPU kernel from inside an mps kernel.
//
// Paddle falls back to the CPU by itself when an op has no mps kernel for its key. A few ops are
// keyed by their input while their output is a type that Metal does not have (cast to float64, sum
// with dtype="float64"); those are sent to the CPU from here, and counted and logged the same way.
// Waits for the device.
#pragma once

#include "paddle/phi/backends/context_pool.h"
#include "paddle/phi/backends/custom/custom_context.h"
#include "paddle/phi/core/kernel_factory.h"
#include "paddle/phi/core/tensor_utils.h"
#include "plugin/paddle/op_counts.h"

namespace mps::paddle {

// The CPU kernel `name` for x's dtype, of the form (x, attributes..., out).
template <typename... Attributes>
void run_cpu_kernel(const char* name, const phi::CustomContext& ctx, const phi::DenseTensor& x, phi::DenseTensor* out,
                    Attributes... attributes) {
  using Function = void (*)(const phi::DeviceContext&, const phi::DenseTensor&, Attributes..., phi::DenseTensor*);
  count_cpu_fallback(name, phi::DataTypeToString(out->dtype()).c_str());
  const phi::CPUPlace cpu;
  const auto& kernel =
      phi::KernelFactory::Instance().SelectKernel(name, {phi::Backend::CPU, phi::DataLayout::ALL_LAYOUT, x.dtype()});
  phi::DenseTensor x_cpu, out_cpu;
  phi::Copy(ctx, x, cpu, /*blocking=*/true, &x_cpu);
  out_cpu.set_meta(out->meta());
  const Function function = kernel.GetVariadicKernelFn<Function>();
  function(*phi::DeviceContextPool::Instance().Get(cpu), x_cpu, attributes..., &out_cpu);
  phi::Copy(ctx, out_cpu, ctx.GetPlace(), /*blocking=*/true, out);
}

}  // namespace mps::paddle
