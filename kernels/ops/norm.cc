// Norms and sums of many: p_norm, norm, squared_l2_norm, frobenius_norm, logsumexp, add_n, and their gradients;
// clip_by_norm.
// Everything is computed in float32 and rounded once.
#include "kernels/graphs/norm.h"

#include <cmath>

#include "kernels/ops/selected_rows.h"
#include "paddle/phi/kernels/add_n_kernel.h"
#include "paddle/phi/kernels/clip_by_norm_kernel.h"
#include "paddle/phi/kernels/frobenius_norm_grad_kernel.h"
#include "paddle/phi/kernels/frobenius_norm_kernel.h"
#include "paddle/phi/kernels/logsumexp_grad_kernel.h"
#include "paddle/phi/kernels/logsumexp_kernel.h"
#include "paddle/phi/kernels/norm_grad_kernel.h"
#include "paddle/phi/kernels/norm_kernel.h"
#include "paddle/phi/kernels/p_norm_grad_kernel.h"
#include "paddle/phi/kernels/p_norm_kernel.h"
#include "paddle/phi/kernels/selected_rows/clip_by_norm_kernel.h"
#include "paddle/phi/kernels/squared_l2_norm_grad_kernel.h"
#include "paddle/phi/kernels/squared_l2_norm_kernel.h"
#include "plugin/core/check.h"
#include "plugin/paddle/recorder.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using graphs::axes_of;
using graphs::number;
using phi::CustomContext;
using phi::DenseTensor;
using phi::IntArray;

Value wide(Recorder& record, const DenseTensor& tensor, Dims shape) {
  return record.graph.cast(record.input(tensor, shape), DType::float32);
}
Value wide(Recorder& record, const DenseTensor& tensor) { return wide(record, tensor, dims_of(tensor)); }

void write(Recorder& record, DenseTensor* out, Value value) {
  if (out == nullptr) return;
  record.output(out, record.graph.cast(record.graph.reshape(value, dims_of(*out)), dtype_of(*out)));
}

// -- logsumexp
// ------------------------------------------------------------------------------------------------------------

void logsumexp(const CustomContext& ctx, const DenseTensor& x, const std::vector<int>& dims, bool, bool reduce_all,
               DenseTensor* out) {
  const Ints axes = axes_of(dims, dims_of(x).size(), reduce_all);
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value values = wide(record, x);
  // An infinite maximum would make NaN of what equals it.
  const Value greatest = g.reduction(NodeKind::reduction_maximum, values, axes);
  const Value is_finite = g.less_than(g.absolute(greatest), number(g, greatest, HUGE_VAL));
  const Value shift = g.select(is_finite, greatest, number(g, greatest, 0));
  const Value total = g.reduction_sum(g.exponent(g.subtraction(values, shift)), axes);
  write(record, out, g.addition(g.logarithm(total), shift));
  record.launch();
}

void logsumexp_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& out, const DenseTensor& dout,
                    const std::vector<int>& dims, bool, bool reduce_all, DenseTensor* dx) {
  const Shape kept = graphs::keep_dims_shape(dims_of(x), axes_of(dims, dims_of(x).size(), reduce_all));
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value share = g.exponent(g.subtraction(wide(record, x), wide(record, out, kept)));
  write(record, dx, g.multiplication(wide(record, dout, kept), share));
  record.launch();
}

// -- p_norm
// ---------------------------------------------------------------------------------------------------------------

Ints norm_axes(const DenseTensor& x, int axis, bool asvector) {
  const size_t rank = dims_of(x).size();
  if (asvector || rank == 0) return axes_of(std::vector<int>{}, rank);
  return {normalize_axis(axis, rank)};
}

void p_norm(const CustomContext& ctx, const DenseTensor& x, float p, int axis, float, bool, bool asvector,
            DenseTensor* out) {
  const Ints axes = norm_axes(x, axis, asvector);
  Recorder record(ctx);
  Graph& g = record.graph;
  write(record, out, graphs::p_norm(g, wide(record, x), p, axes));
  record.launch();
}

void p_norm_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& out, const DenseTensor& dout,
                 float p, int axis, float, bool, bool asvector, DenseTensor* dx) {
  if (dx == nullptr) return;
  const Shape kept = graphs::keep_dims_shape(dims_of(x), norm_axes(x, axis, asvector));
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value slope = graphs::p_norm_slope(g, wide(record, x), wide(record, out, kept), p);
  write(record, dx, g.multiplication(slope, wide(record, dout, kept)));
  record.launch();
}

// -- norms of squares
// -------------------------------------------------------------------------------------------------------

// x / sqrt(sum x^2 + epsilon)
void norm(const CustomContext& ctx, const DenseTensor& x, int axis, float epsilon, bool, DenseTensor* out,
          DenseTensor* norm) {
  const Ints axes{normalize_axis(axis, dims_of(x).size())};
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value values = wide(record, x);
  const Value sum = g.reduction_sum(g.square(values), axes);
  const Value length = g.square_root(g.addition(sum, number(g, sum, epsilon)));
  write(record, out, g.division(values, length));
  write(record, norm, length);
  record.launch();
}

// (dout - x * sum(x * dout) / norm^2) / norm
void norm_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& norm, const DenseTensor& dout,
               int axis, float, bool, DenseTensor* dx) {
  const Ints axes{normalize_axis(axis, dims_of(x).size())};
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value values = wide(record, x), gradient = wide(record, dout);
  const Value length = wide(record, norm, graphs::keep_dims_shape(dims_of(x), axes));
  const Value along = g.division(g.reduction_sum(g.multiplication(values, gradient), axes), g.square(length));
  write(record, dx, g.division(g.subtraction(gradient, g.multiplication(values, along)), length));
  record.launch();
}

void squared_l2_norm(const CustomContext& ctx, const DenseTensor& x, DenseTensor* out) {
  Recorder record(ctx);
  Graph& g = record.graph;
  write(record, out, g.reduction_sum(g.square(wide(record, x, {x.numel()})), {0}));
  record.launch();
}

void squared_l2_norm_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& dout, DenseTensor* dx) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value values = wide(record, x);
  write(record, dx, g.multiplication(g.addition(values, values), wide(record, dout, {})));
  record.launch();
}

void frobenius_norm(const CustomContext& ctx, const DenseTensor& x, const IntArray& dims, bool, bool reduce_all,
                    DenseTensor* out) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const Ints axes = axes_of(dims.GetData(), dims_of(x).size(), reduce_all);
  write(record, out, g.square_root(g.reduction_sum(g.square(wide(record, x)), axes)));
  record.launch();
}

void frobenius_norm_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& out,
                         const DenseTensor& dout, const IntArray& dims, bool, bool reduce_all, DenseTensor* dx) {
  const Shape kept = graphs::keep_dims_shape(dims_of(x), axes_of(dims.GetData(), dims_of(x).size(), reduce_all));
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value values = wide(record, x), zero = number(g, values, 0);
  const Value share = g.division(values, wide(record, out, kept));  // 0 / 0 where all of a line is 0
  write(record, dx, g.multiplication(g.select(g.equal(values, zero), zero, share), wide(record, dout, kept)));
  record.launch();
}

// -- add_n
// ----------------------------------------------------------------------------------------------------------------

void add_n(const CustomContext& ctx, const std::vector<const phi::TensorBase*>& x, DenseTensor* out) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const DType to = dtype_of(*out), compute = graphs::compute_dtype(to);
  Value total;
  for (const phi::TensorBase* base : x) {
    MPS_CHECK(DenseTensor::classof(base), kUnsupported, "wrong kind of tensor: expected dense ones. Convert them.");
    const DenseTensor& tensor = *static_cast<const DenseTensor*>(base);
    if (!tensor.initialized() || (tensor.numel() == 0 && out->numel() != 0)) continue;
    const Value value = g.cast(record.input(tensor), compute);
    total = total.node == UINT32_MAX ? value : g.addition(total, value);
  }
  if (total.node == UINT32_MAX) total = graphs::zeros(g, compute, dims_of(*out));
  record.output(out, g.cast(total, to));
  record.launch();
}

// -- clip_by_norm
// ---------------------------------------------------------------------------------------------------------

// x, or where its norm is more than that x max_norm / norm.
void clip_by_norm(const CustomContext& ctx, const DenseTensor& x, float max_norm, DenseTensor* out) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value values = wide(record, x, {x.numel()});
  const Value norm = graphs::p_norm(g, values, 2, {0}), most = record.scalar(max_norm, DType::float32);
  const Value factor = g.select(g.greater_than(norm, most), g.division(most, norm), number(g, norm, 1));
  write(record, out, g.multiplication(values, factor));
  record.launch();
}

void clip_by_norm_of_rows(const CustomContext& ctx, const phi::SelectedRows& x, float max_norm,
                          phi::SelectedRows* out) {
  phi::SelectedRows sums;  // whose norm it is
  merge_rows(ctx, x, phi::DataType::FLOAT32, &sums);
  out->set_rows(sums.rows());
  out->set_height(sums.height());
  const phi::DenseTensorMeta meta(x.value().dtype(), sums.value().dims());
  out->mutable_value()->set_meta(meta);
  clip_by_norm(ctx, sums.value(), max_norm, out->mutable_value());
}

}  // namespace

MPS_KERNEL(clip_by_norm, phi::ClipByNormKernel, clip_by_norm, kFloats)
MPS_KERNEL(clip_by_norm_sr, phi::sr::ClipByNormKernel, clip_by_norm_of_rows, kFloats)
MPS_KERNEL(logsumexp, phi::LogsumexpKernel, logsumexp, kFloats)
MPS_KERNEL(logsumexp_grad, phi::LogsumexpGradKernel, logsumexp_grad, kFloats)
MPS_KERNEL(p_norm, phi::PNormKernel, p_norm, kFloats)
MPS_KERNEL(p_norm_grad, phi::PNormGradKernel, p_norm_grad, kFloats)
MPS_KERNEL(norm, phi::NormKernel, norm, kFloats)
MPS_KERNEL(norm_grad, phi::NormGradKernel, norm_grad, kFloats)
MPS_KERNEL(squared_l2_norm, phi::SquaredL2NormKernel, squared_l2_norm, kFloats)
MPS_KERNEL(squared_l2_norm_grad, phi::SquaredL2NormGradKernel, squared_l2_norm_grad, kFloats)
MPS_KERNEL(frobenius_norm, phi::FrobeniusNormKernel, frobenius_norm, kFloats)
MPS_KERNEL(frobenius_norm_grad, phi::FrobeniusNormGradKernel, frobenius_norm_grad, kFloats)
MPS_KERNEL(add_n, phi::AddNKernel, add_n, kFloatsAndInts)

}  // namespace mps::paddle
