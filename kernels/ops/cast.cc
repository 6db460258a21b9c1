// cast, scale and div_scale.
#include "kernels/graphs/broadcast.h"
#include "kernels/ops/pairs.h"
#include "paddle/phi/kernels/cast_kernel.h"
#include "paddle/phi/kernels/scale_kernel.h"
#include "plugin/paddle/cpu_kernel.h"
#include "plugin/paddle/recorder.h"
#include "plugin/paddle/register.h"
#include "plugin/paddle/scalar.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;

void cast(const CustomContext& ctx, const DenseTensor& x, phi::DataType dtype, DenseTensor* out) {
  if (dtype == phi::DataType::COMPLEX64) {
    Recorder record(ctx);
    const Value real = record.graph.cast(record.input(x), DType::float32);
    write_pairs(ctx, record, out, {real, graphs::zeros_like(record.graph, real)});
    record.launch();
    return;
  }
  DType to;
  if (!to_dtype(dtype, &to)) {
    run_cpu_kernel("cast", ctx, x, out, dtype);
    return;
  }
  // Where Paddle casts an argument by itself, the result has the dtype of x until the kernel says otherwise.
  if (out->dtype() != dtype) {
    phi::DenseTensorMeta meta = out->meta();
    meta.dtype = dtype;
    out->set_meta(meta);
  }
  Recorder record(ctx);
  record.output(out, record.graph.cast(record.input(x), to));
  record.launch();
}

// out = scale * x + bias, or scale * (x + bias). The numbers are feeds, so each new pair runs the
// same graph. In integers, scale and bias are truncated first, as on Paddle's CPU device.
void scale(const CustomContext& ctx, const DenseTensor& x, const phi::Scalar& scale, const phi::Scalar& bias,
           bool bias_after_scale, DenseTensor* out) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const DType to = dtype_of(*out);
  const DType compute = graphs::compute_dtype(to);
  const Value operand = g.cast(record.input(x), compute);
  const Value factor = record.scalar(to_scalar(scale), compute);
  const Value term = record.scalar(to_scalar(bias), compute);
  const Value result = bias_after_scale ? g.addition(g.multiplication(operand, factor), term)
                                        : g.multiplication(g.addition(operand, term), factor);
  record.output(out, g.cast(result, to));
  record.launch();
}

// out = x / scale: what `x / 4.0` calls.
void div_scale(const CustomContext& ctx, const DenseTensor& x, const phi::Scalar& scale, DenseTensor* out) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const DType to = dtype_of(*out);
  const DType compute = graphs::compute_dtype(to);
  const Value divisor = record.scalar(to_scalar(scale), compute);
  record.output(out, g.cast(g.division(g.cast(record.input(x), compute), divisor), to));
  record.launch();
}

}  // namespace

MPS_KERNEL(cast, phi::CastKernel, cast, kAllDTypes)
MPS_KERNEL(scale, phi::ScaleKernel, scale, views_of(kAllDTypes))
MPS_KERNEL(div_scale, phi::DivScaleKernel, div_scale, kAllDTypes)

}  // namespace mps::paddle
