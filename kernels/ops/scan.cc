// Scans: cumsum, cumprod, cummax, cummin, logcumsumexp, and their gradients.
#include "kernels/graphs/lines.h"
#include "paddle/phi/kernels/cum_grad_kernel.h"
#include "paddle/phi/kernels/cum_kernel.h"
#include "paddle/phi/kernels/cum_maxmin_grad_kernel.h"
#include "paddle/phi/kernels/cum_maxmin_kernel.h"
#include "paddle/phi/kernels/cumprod_grad_kernel.h"
#include "paddle/phi/kernels/cumprod_kernel.h"
#include "paddle/phi/kernels/logcumsumexp_grad_kernel.h"
#include "plugin/core/check.h"
#include "plugin/paddle/recorder.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using graphs::number;
using phi::CustomContext;
using phi::DenseTensor;

// A tensor and the axis of a scan: a 0-D one, and one that is flattened, is a line.
struct Line {
  Shape shape;
  int axis;
};

Line line_of(const DenseTensor& x, int64_t axis, bool flatten) {
  if (flatten || dims_of(x).empty()) return {{x.numel()}, 0};
  return {Shape(dims_of(x)), normalize_axis(axis, dims_of(x).size())};
}

// Computed in float32 for short floats.
Value wide(Recorder& record, const DenseTensor& x, const Line& line) {
  return record.graph.cast(record.input(x, line.shape), graphs::compute_dtype(dtype_of(x)));
}

void write(Recorder& record, DenseTensor* out, Value value) {
  record.output(out, record.graph.cast(record.graph.reshape(value, dims_of(*out)), dtype_of(*out)));
}

void scan(const CustomContext& ctx, NodeKind kind, const DenseTensor& x, const Line& line, bool exclusive, bool reverse,
          DenseTensor* out) {
  if (out == nullptr) return;
  Recorder record(ctx);
  write(record, out, record.graph.scan(kind, wide(record, x, line), line.axis, exclusive, reverse));
  record.launch();
}

void cumsum(const CustomContext& ctx, const DenseTensor& x, const phi::Scalar& axis, bool flatten, bool exclusive,
            bool reverse, DenseTensor* out) {
  scan(ctx, NodeKind::cumulative_sum, x, line_of(x, axis.to<int64_t>(), flatten), exclusive, reverse, out);
}

void cumsum_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& dout, const phi::Scalar& axis,
                 bool flatten, bool exclusive, bool reverse, DenseTensor* dx) {
  scan(ctx, NodeKind::cumulative_sum, dout, line_of(x, axis.to<int64_t>(), flatten), exclusive, !reverse, dx);
}

void cumprod(const CustomContext& ctx, const DenseTensor& x, int dim, bool exclusive, bool reverse, DenseTensor* out) {
  scan(ctx, NodeKind::cumulative_product, x, line_of(x, dim, false), exclusive, reverse, out);
}

// Of the elements before the first 0 of a line, dx is sum(dout * out behind them) / x. The first 0 itself gets the sum
// of the products without it; those behind it get 0.
void cumprod_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& out, const DenseTensor& dout,
                  int dim, bool exclusive, bool reverse, DenseTensor* dx) {
  if (dx == nullptr) return;
  const Line line = line_of(x, dim, false);
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value values = wide(record, x, line), gradient = wide(record, dout, line);
  const auto back = [&](Value value) {
    return g.scan(NodeKind::cumulative_sum, value, line.axis, exclusive, !reverse);
  };
  const Value is_zero = g.equal(values, number(g, values, 0));
  const Value zeros = g.scan(NodeKind::cumulative_sum, g.cast(is_zero, DType::int32), line.axis, false, reverse);
  const Value is_first = g.multiplication(is_zero, g.equal(zeros, number(g, zeros, 1)));
  const Value others = g.select(is_first, number(g, values, 1), values);
  const Value without = g.scan(NodeKind::cumulative_product, others, line.axis, exclusive, reverse);
  const Value at_first = back(g.multiplication(gradient, without));
  const Value before = g.division(back(g.multiplication(gradient, wide(record, out, line))), others);
  const Value nothing = number(g, values, 0);
  const Value has_none = g.equal(zeros, number(g, zeros, 0));
  write(record, dx, g.select(has_none, before, g.select(is_first, at_first, nothing)));
  record.launch();
}

// -- extremes, with where they are from
// -------------------------------------------------------------------------------------

// Of equal ones the last counts, and of those behind a NaN the last NaN.
void scan_extreme(const CustomContext& ctx, NodeKind kind, const DenseTensor& x, int axis, DenseTensor* out,
                  DenseTensor* indices) {
  const Line line = line_of(x, axis, false);
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value values = record.input(x, line.shape);
  const Value extreme = g.scan(kind, values, line.axis);
  const Value is_nan = g.not_equal(values, values);
  const Value here = g.addition(g.equal(values, extreme), is_nan);
  const Value place = g.coordinate(line.shape, line.axis);
  const Value last = g.scan(NodeKind::cumulative_maximum, g.select(here, place, number(g, place, 0)), line.axis);
  write(record, out, extreme);
  write(record, indices, last);
  record.launch();
}

void cummax(const CustomContext& ctx, const DenseTensor& x, int axis, phi::DataType, DenseTensor* out,
            DenseTensor* indices) {
  scan_extreme(ctx, NodeKind::cumulative_maximum, x, axis, out, indices);
}
void cummin(const CustomContext& ctx, const DenseTensor& x, int axis, phi::DataType, DenseTensor* out,
            DenseTensor* indices) {
  scan_extreme(ctx, NodeKind::cumulative_minimum, x, axis, out, indices);
}

void scan_extreme_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& indices,
                       const DenseTensor& dout, int axis, phi::DataType, DenseTensor* dx) {
  if (dx == nullptr) return;
  const Line line = line_of(x, axis, false);
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value gradient = wide(record, dout, line);
  const Value nothing = graphs::zeros(g, g.dtype(gradient), line.shape);
  const Value at =
      graphs::positions_along(g, record.input(indices, line.shape), static_cast<size_t>(line.axis), line.shape);
  write(record, dx, graphs::put_at(g, ScatterMode::kAdd, nothing, at, gradient));
  record.launch();
}

// -- logcumsumexp
// ---------------------------------------------------------------------------------------------------------

void logcumsumexp(const CustomContext& ctx, const DenseTensor& x, int axis, bool flatten, bool exclusive, bool reverse,
                  DenseTensor* out) {
  scan(ctx, NodeKind::cumulative_log_sum_exp, x, line_of(x, axis, flatten), exclusive, reverse, out);
}

// dx = exp(x) * sum(dout * exp(-out)) over what x is part of, in logarithms, for what is positive in dout and what is
// negative.
void logcumsumexp_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& out, const DenseTensor& dout,
                       int axis, bool flatten, bool exclusive, bool reverse, DenseTensor* dx) {
  if (dx == nullptr) return;
  const Line line = line_of(x, axis, flatten);
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value values = wide(record, x, line), total = wide(record, out, line), gradient = wide(record, dout, line);
  const Value zero = number(g, gradient, 0);
  const auto part = [&](Value magnitude) {
    const Value terms = g.subtraction(g.logarithm(g.maximum(magnitude, zero)), total);
    const Value sum = g.scan(NodeKind::cumulative_log_sum_exp, terms, line.axis, exclusive, !reverse);
    return g.exponent(g.addition(sum, values));
  };
  write(record, dx, g.subtraction(part(gradient), part(g.negative(gradient))));
  record.launch();
}

void give_indices(const phi::KernelKey&, phi::Kernel* kernel) {
  kernel->OutputAt(1).SetDataType(phi::DataType::UNDEFINED);
}

}  // namespace

MPS_KERNEL(cumsum, phi::CumsumKernel, cumsum, kNumbers)
MPS_KERNEL(cumsum_grad, phi::CumsumGradKernel, cumsum_grad, kNumbers)
MPS_KERNEL(cumprod, phi::CumprodKernel, cumprod, kFloatsAndInts)
MPS_KERNEL(cumprod_grad, phi::CumprodGradKernel, cumprod_grad, kFloats)
MPS_KERNEL_WITH_DEFINE(cummax, phi::CummaxKernel, cummax, kFloatsAndInts, give_indices)
MPS_KERNEL_WITH_DEFINE(cummin, phi::CumminKernel, cummin, kFloatsAndInts, give_indices)
MPS_KERNEL(cummax_grad, phi::CummaxGradKernel, scan_extreme_grad, kFloatsAndInts)
MPS_KERNEL(cummin_grad, phi::CumminGradKernel, scan_extreme_grad, kFloatsAndInts)
MPS_KERNEL(logcumsumexp, phi::LogcumsumexpKernel, logcumsumexp, kFloats)
MPS_KERNEL(logcumsumexp_grad, phi::LogcumsumexpGradKernel, logcumsumexp_grad, kFloats)

}  // namespace mps::paddle
