// Norms of differences and rows held below a norm: dist, renorm, l1_norm and their gradients. In float32, rounded once.
#include "kernels/graphs/norm.h"
#include "paddle/phi/kernels/dist_grad_kernel.h"
#include "paddle/phi/kernels/dist_kernel.h"
#include "paddle/phi/kernels/l1_norm_grad_kernel.h"
#include "paddle/phi/kernels/l1_norm_kernel.h"
#include "paddle/phi/kernels/renorm_grad_kernel.h"
#include "paddle/phi/kernels/renorm_kernel.h"
#include "plugin/paddle/recorder.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using graphs::number;
using phi::CustomContext;
using phi::DenseTensor;

Value wide(Recorder& record, const DenseTensor& tensor) {
  return record.graph.cast(record.input(tensor), DType::float32);
}

Ints all_axes(Dims shape) { return graphs::axes_of(std::vector<int>{}, shape.size()); }

void write(Recorder& record, DenseTensor* out, Value value) {
  Graph& g = record.graph;
  record.output(out, g.cast(g.reshape(value, dims_of(*out)), dtype_of(*out)));
}

// -- dist
// -----------------------------------------------------------------------------------------------------------------

void dist(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& y, float p, DenseTensor* out) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value difference = g.subtraction(wide(record, x), wide(record, y));
  write(record, out, graphs::p_norm(g, difference, p, all_axes(Shape(g.shape(difference)))));
  record.launch();
}

// The norm is computed again: `out` is rounded, and the greatest difference must be found by it.
void dist_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& y, const DenseTensor&,
               const DenseTensor& dout, float p, DenseTensor* dx, DenseTensor* dy) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value difference = g.subtraction(wide(record, x), wide(record, y));
  const Value norm = graphs::p_norm(g, difference, p, all_axes(Shape(g.shape(difference))));
  const Value slope = graphs::p_norm_slope(g, difference, norm, p);
  const Value gradient = g.multiplication(slope, wide(record, dout));
  if (dx != nullptr) write(record, dx, graphs::sum_to_shape(g, gradient, dims_of(*dx)));
  if (dy != nullptr) write(record, dy, g.negative(graphs::sum_to_shape(g, gradient, dims_of(*dy))));
  record.launch();
}

// -- renorm: what lies at one place of the axis is scaled down to a norm, if it has a greater one
// ----------------------------------------------------------------------------------------------------------------

constexpr double kRenormEpsilon = 1e-7;  // Paddle's

Ints other_axes(Dims shape, int axis) {
  const int along = normalize_axis(axis, shape.size());
  Ints others;
  for (int i = 0; i < static_cast<int>(shape.size()); ++i) {
    if (i != along) others.push_back(i);
  }
  return others;
}

void renorm(const CustomContext& ctx, const DenseTensor& x, float p, int axis, float max_norm, DenseTensor* out) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value values = wide(record, x);
  const Value norm = graphs::p_norm(g, values, p, other_axes(dims_of(x), axis));
  const Value limit = record.scalar(max_norm, DType::float32);
  const Value factor = g.division(limit, g.addition(norm, number(g, norm, kRenormEpsilon)));
  const Value kept = g.select(g.greater_than(norm, limit), factor, number(g, norm, 1));
  write(record, out, g.multiplication(values, kept));
  record.launch();
}

// Of the sum of sizes Paddle takes the slope at 0 from above.
Value renorm_slope(Graph& g, Value values, Value norm, float p) {
  if (p != 1) return graphs::p_norm_slope(g, values, norm, p);
  const Value is_negative = g.less_than(values, number(g, values, 0));
  return g.select(is_negative, number(g, values, -1), number(g, values, 1));
}

// Of x max / (|x| + epsilon): the factor is a function of x too.
void renorm_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& dout, float p, int axis,
                 float max_norm, DenseTensor* dx) {
  if (dx == nullptr) return;
  const Ints axes = other_axes(dims_of(x), axis);
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value values = wide(record, x), gradient = wide(record, dout);
  const Value norm = graphs::p_norm(g, values, p, axes);
  const Value limit = record.scalar(max_norm, DType::float32);
  const Value above = g.addition(norm, number(g, norm, kRenormEpsilon));
  const Value factor = g.division(limit, above);
  const Value along = g.reduction_sum(g.multiplication(gradient, values), axes);
  const Value turned = g.multiplication(renorm_slope(g, values, norm, p), g.division(along, above));
  const Value scaled = g.multiplication(factor, g.subtraction(gradient, turned));
  write(record, dx, g.select(g.greater_than(norm, limit), scaled, gradient));
  record.launch();
}

// -- l1_norm
// --------------------------------------------------------------------------------------------------------------

void l1_norm(const CustomContext& ctx, const DenseTensor& x, DenseTensor* out) {
  Recorder record(ctx);
  Graph& g = record.graph;
  write(record, out, g.reduction_sum(g.absolute(wide(record, x)), all_axes(dims_of(x))));
  record.launch();
}

void l1_norm_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& dout, DenseTensor* dx) {
  if (dx == nullptr) return;
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value gradient = g.reshape(wide(record, dout), {});
  write(record, dx, g.multiplication(g.sign(wide(record, x)), gradient));
  record.launch();
}

}  // namespace

MPS_KERNEL(dist, phi::DistKernel, dist, kFloats)
MPS_KERNEL(dist_grad, phi::DistGradKernel, dist_grad, kFloats)
MPS_KERNEL(renorm, phi::RenormKernel, renorm, kFloats)
MPS_KERNEL(renorm_grad, phi::RenormGradKernel, renorm_grad, kFloats)
MPS_KERNEL(l1_norm, phi::L1NormKernel, l1_norm, kFloat32)
MPS_KERNEL(l1_norm_grad, phi::L1NormGradKernel, l1_norm_grad, kFloat32)

}  // namespace mps::paddle
