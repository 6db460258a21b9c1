// maxout and rrelu, and their gradients. The random slopes of rrelu in training come from Paddle's CPU kernel.
#include "kernels/graphs/lines.h"
#include "paddle/phi/kernels/maxout_grad_kernel.h"
#include "paddle/phi/kernels/maxout_kernel.h"
#include "paddle/phi/kernels/rrelu_grad_kernel.h"
#include "paddle/phi/kernels/rrelu_kernel.h"
#include "plugin/core/check.h"
#include "plugin/paddle/cpu_kernel.h"
#include "plugin/paddle/recorder.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using graphs::number;
using phi::CustomContext;
using phi::DenseTensor;

// Channels as [before, groups of one result, members of a group, behind].
Shape in_groups(Dims shape, int groups, int axis) {
  const size_t along = static_cast<size_t>(normalize_axis(axis, shape.size()));
  const Shape around = graphs::around(shape, along);
  return {around[0], around[1] / groups, groups, around[2]};
}

void maxout(const CustomContext& ctx, const DenseTensor& x, int groups, int axis, DenseTensor* out) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value members = record.input(x, in_groups(dims_of(x), groups, axis));
  const Value greatest = x.numel() == 0 ? record.input(x) : g.reduction(NodeKind::reduction_maximum, members, {2});
  record.output(out, g.reshape(greatest, dims_of(*out)));
  record.launch();
}

// The first of the greatest members gets it all.
void maxout_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor&, const DenseTensor& dout,
                 int groups, int axis, DenseTensor* dx) {
  if (dx == nullptr) return;
  Recorder record(ctx);
  Graph& g = record.graph;
  if (x.numel() == 0) {
    record.output(dx, record.input(x));
    record.launch();
    return;
  }
  const Shape shape = in_groups(dims_of(x), groups, axis);
  const Value chosen = g.arg_reduction(NodeKind::reduction_arg_maximum, record.input(x, shape), 2);
  const Value gradient = record.input(dout, graphs::with_axis(shape, 2, 1));
  const Value is_chosen = g.equal(g.coordinate(shape, 2), chosen);
  record.output(dx, g.reshape(g.select(is_chosen, gradient, number(g, gradient, 0)), dims_of(*dx)));
  record.launch();
}

void rrelu_on_the_cpu(const CustomContext& ctx, const DenseTensor& x, float lower, float upper, DenseTensor* out,
                      DenseTensor* noise) {
  using Function =
      void (*)(const phi::DeviceContext&, const DenseTensor&, float, float, bool, DenseTensor*, DenseTensor*);
  count_cpu_fallback("rrelu", phi::DataTypeToString(x.dtype()).c_str());
  const phi::CPUPlace cpu;
  const auto& kernel =
      phi::KernelFactory::Instance().SelectKernel("rrelu", {phi::Backend::CPU, phi::DataLayout::ALL_LAYOUT, x.dtype()});
  DenseTensor x_cpu, out_cpu, noise_cpu;
  phi::Copy(ctx, x, cpu, /*blocking=*/true, &x_cpu);
  out_cpu.set_meta(x.meta());
  noise_cpu.set_meta(x.meta());
  const Function function = kernel.GetVariadicKernelFn<Function>();
  function(*phi::DeviceContextPool::Instance().Get(cpu), x_cpu, lower, upper, /*is_test=*/false, &out_cpu, &noise_cpu);
  if (out != nullptr) phi::Copy(ctx, out_cpu, ctx.GetPlace(), /*blocking=*/true, out);
  if (noise != nullptr) phi::Copy(ctx, noise_cpu, ctx.GetPlace(), /*blocking=*/true, noise);
}

// Below 0 a slope between lower and upper: in a test the one in the middle.
void rrelu(const CustomContext& ctx, const DenseTensor& x, float lower, float upper, bool is_test, DenseTensor* out,
           DenseTensor* noise) {
  if (!is_test) return rrelu_on_the_cpu(ctx, x, lower, upper, out, noise);
  const DType to = dtype_of(x);
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value values = g.cast(record.input(x), graphs::compute_dtype(to));
  const Value middle = record.scalar((lower + upper) / 2.0f, g.dtype(values));
  const Value below = g.less_than(values, number(g, values, 0));
  const Value slope = g.select(below, middle, number(g, values, 1));
  record.output(out, g.cast(g.multiplication(values, slope), to));
  record.output(noise, g.cast(slope, to));
  record.launch();
}

void rrelu_grad(const CustomContext& ctx, const DenseTensor&, const DenseTensor& noise, const DenseTensor& dout,
                DenseTensor* dx) {
  if (dx == nullptr) return;
  Recorder record(ctx);
  Graph& g = record.graph;
  record.output(dx, g.multiplication(record.input(noise), record.input(dout)));
  record.launch();
}

// What the CPU kernel takes.
constexpr DTypes kRandom = {phi::DataType::FLOAT32, phi::DataType::FLOAT16};

}  // namespace

MPS_KERNEL(maxout, phi::MaxOutKernel, maxout, kFloats)
MPS_KERNEL(maxout_grad, phi::MaxOutGradKernel, maxout_grad, kFloats)
MPS_KERNEL(rrelu, phi::RReluKernel, rrelu, kRandom)
MPS_KERNEL(rrelu_grad, phi::RReluGradKernel, rrelu_grad, kRandom)

}  // namespace mps::paddle
