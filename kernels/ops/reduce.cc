// sum, nansum, mean, identity_loss and their gradients. A sum accumulates in float32 for every float dtype and rounds
// once.
#include "kernels/graphs/broadcast.h"
#include "paddle/phi/kernels/identity_loss_grad_kernel.h"
#include "paddle/phi/kernels/identity_loss_kernel.h"
#include "paddle/phi/kernels/mean_all_grad_kernel.h"
#include "paddle/phi/kernels/mean_all_kernel.h"
#include "paddle/phi/kernels/reduce_mean_grad_kernel.h"
#include "paddle/phi/kernels/reduce_mean_kernel.h"
#include "paddle/phi/kernels/reduce_nansum_grad_kernel.h"
#include "paddle/phi/kernels/reduce_nansum_kernel.h"
#include "paddle/phi/kernels/reduce_sum_grad_kernel.h"
#include "paddle/phi/kernels/reduce_sum_kernel.h"
#include "plugin/core/check.h"
#include "plugin/paddle/cpu_kernel.h"
#include "plugin/paddle/recorder.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;

// Paddle's axes, which may count from the end; none means all.
Ints axes_of(const std::vector<int64_t>& dims, size_t rank, bool reduce_all = false) {
  Ints axes;
  if (reduce_all || dims.empty()) {
    for (size_t i = 0; i < rank; ++i) axes.push_back(static_cast<int64_t>(i));
    return axes;
  }
  for (int64_t dim : dims) {
    if (rank == 0) continue;  // axis 0 or -1 of a 0-D tensor
    axes.push_back(normalize_axis(dim, rank));
  }
  return axes;
}

int64_t reduced_count(Dims shape, Dims axes) {
  int64_t count = 1;
  for (int64_t axis : axes) count *= shape[static_cast<size_t>(axis)];
  return count;
}

// `result` in the shape (with or without kept dimensions) and dtype of `out`.
void output_reduced(Recorder& record, DenseTensor* out, Value result) {
  const Value flat = record.graph.reshape(result, dims_of(*out));
  record.output(out, record.graph.cast(flat, dtype_of(*out)));
}

// x, with 0 where it is NaN.
Value without_nan(Graph& g, Value x) {
  if (!is_float(g.dtype(x))) return x;
  return g.select(g.equal(x, x), x, g.constant(0, g.dtype(x)));
}

void sum_of(const char* kernel, const CustomContext& ctx, const DenseTensor& x, const phi::IntArray& dims,
            phi::DataType out_dtype, bool keep_dim, bool skips_nan, DenseTensor* out) {
  DType to;
  if (!to_dtype(out->dtype(), &to)) {
    run_cpu_kernel<const phi::IntArray&>(kernel, ctx, x, out, dims, out_dtype, keep_dim);
    return;
  }
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value values = skips_nan ? without_nan(g, record.input(x)) : record.input(x);
  const Value operand = g.cast(values, graphs::compute_dtype(to));
  output_reduced(record, out, g.reduction_sum(operand, axes_of(dims.GetData(), dims_of(x).size())));
  record.launch();
}

void sum(const CustomContext& ctx, const DenseTensor& x, const phi::IntArray& dims, phi::DataType out_dtype,
         bool keep_dim, DenseTensor* out) {
  sum_of("sum", ctx, x, dims, out_dtype, keep_dim, /*skips_nan=*/false, out);
}

void nansum(const CustomContext& ctx, const DenseTensor& x, const phi::IntArray& dims, phi::DataType out_dtype,
            bool keep_dim, DenseTensor* out) {
  sum_of("nansum", ctx, x, dims, out_dtype, keep_dim, /*skips_nan=*/true, out);
}

void mean_over(const CustomContext& ctx, const DenseTensor& x, Dims axes, DenseTensor* out) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const DType compute = graphs::compute_dtype(dtype_of(*out));
  const Value total = g.reduction_sum(g.cast(record.input(x), compute), axes);
  // The mean of nothing is 0 / 0: NaN, as on Paddle's CPU device.
  const Value count = g.constant(reduced_count(dims_of(x), axes), compute);
  output_reduced(record, out, g.division(total, count));
  record.launch();
}

void mean(const CustomContext& ctx, const DenseTensor& x, const phi::IntArray& dims, bool, DenseTensor* out) {
  mean_over(ctx, x, axes_of(dims.GetData(), dims_of(x).size()), out);
}

void mean_all(const CustomContext& ctx, const DenseTensor& x, DenseTensor* out) {
  mean_over(ctx, x, axes_of({}, dims_of(x).size()), out);
}

// dx = dout / divisor, broadcast over the reduced axes. `x` is asked for its shape only: Paddle may
// have released its memory.
void spread(const CustomContext& ctx, const DenseTensor& dout, Dims axes, bool divide, DenseTensor* dx) {
  if (dx == nullptr) return;
  Recorder record(ctx);
  Graph& g = record.graph;
  const DType to = dtype_of(*dx);
  const DType compute = graphs::compute_dtype(to);
  const Shape shape(dims_of(*dx));
  Value gradient = g.cast(record.input(dout, graphs::keep_dims_shape(shape, axes)), compute);
  if (divide) gradient = g.division(gradient, g.constant(reduced_count(shape, axes), compute));
  record.output(dx, g.broadcast(g.cast(gradient, to), shape));
  record.launch();
}

void sum_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& dout, const phi::IntArray& dims, bool,
              bool reduce_all, DenseTensor* dx) {
  spread(ctx, dout, axes_of(dims.GetData(), dims_of(x).size(), reduce_all), /*divide=*/false, dx);
}

// That of sum, and 0 where x is NaN.
void nansum_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& dout, const phi::IntArray& dims,
                 bool, bool reduce_all, DenseTensor* dx) {
  if (dx == nullptr) return;
  Recorder record(ctx);
  Graph& g = record.graph;
  const DType to = dtype_of(*dx);
  const Shape shape(dims_of(x));
  const Ints axes = axes_of(dims.GetData(), shape.size(), reduce_all);
  const Value values = record.input(x);
  const Value gradient = g.cast(record.input(dout, graphs::keep_dims_shape(shape, axes)), to);
  record.output(dx, g.select(g.equal(values, values), g.broadcast(gradient, shape), g.constant(0, to)));
  record.launch();
}

void mean_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& dout, const phi::IntArray& dims, bool,
               bool reduce_all, DenseTensor* dx) {
  spread(ctx, dout, axes_of(dims.GetData(), dims_of(x).size(), reduce_all), /*divide=*/true, dx);
}

void mean_all_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& dout, DenseTensor* dx) {
  spread(ctx, dout, axes_of({}, dims_of(x).size()), /*divide=*/true, dx);
}

// identity_loss: a sum, a mean, or the tensor itself.
enum IdentityLoss { kLossSum = 0, kLossMean = 1 };

void identity_loss(const CustomContext& ctx, const DenseTensor& x, int reduction, DenseTensor* out) {
  if (reduction == kLossSum) return sum_of("sum", ctx, x, phi::IntArray(), out->dtype(), false, false, out);
  if (reduction == kLossMean) return mean_all(ctx, x, out);
  Recorder record(ctx);
  record.output(out, record.input(x));
  record.launch();
}

void identity_loss_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& dout, int reduction,
                        DenseTensor* dx) {
  if (dx == nullptr) return;
  if (reduction == kLossSum || reduction == kLossMean) {
    return spread(ctx, dout, axes_of({}, dims_of(x).size()), /*divide=*/reduction == kLossMean, dx);
  }
  Recorder record(ctx);
  record.output(dx, record.input(dout));
  record.launch();
}

void define_by_metadata(const phi::KernelKey&, phi::Kernel* kernel) {
  kernel->OutputAt(0).SetDataType(phi::DataType::UNDEFINED);
}

}  // namespace

MPS_KERNEL_WITH_DEFINE(sum, phi::SumKernel, sum, kAllDTypes, define_by_metadata)
MPS_KERNEL_WITH_DEFINE(sum_grad, phi::ReduceSumGradKernel, sum_grad, views_of(kNumbers), define_by_metadata)
MPS_KERNEL_WITH_DEFINE(nansum, phi::NansumKernel, nansum, kAllDTypes, define_by_metadata)
MPS_KERNEL_WITH_DEFINE(nansum_grad, phi::NansumGradKernel, nansum_grad, kFloats, define_by_metadata)
MPS_KERNEL(mean, phi::MeanKernel, mean, views_of(kFloatsAndInts))
MPS_KERNEL(mean_grad, phi::ReduceMeanGradKernel, mean_grad, views_of(kFloatsAndInts))
MPS_KERNEL(mean_all, phi::MeanAllKernel, mean_all, kFloats)
MPS_KERNEL(mean_all_grad, phi::MeanAllGradKernel, mean_all_grad, kFloats)
MPS_KERNEL(identity_loss, phi::IdentityLossKernel, identity_loss, kFloats)
MPS_KERNEL(identity_loss_grad, phi::IdentityLossGradKernel, identity_loss_grad, kFloats)

}  // namespace mps::paddle
