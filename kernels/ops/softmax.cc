// softmax, log_softmax and their gradients; softmax of masked scores.
#include "kernels/graphs/softmax.h"

#include "kernels/ops/wide.h"
#include "paddle/phi/kernels/fused_softmax_mask_grad_kernel.h"
#include "paddle/phi/kernels/fused_softmax_mask_kernel.h"
#include "paddle/phi/kernels/fused_softmax_mask_upper_triangle_kernel.h"
#include "paddle/phi/kernels/log_softmax_grad_kernel.h"
#include "paddle/phi/kernels/log_softmax_kernel.h"
#include "paddle/phi/kernels/softmax_grad_kernel.h"
#include "paddle/phi/kernels/softmax_kernel.h"
#include "plugin/core/check.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;

// A 0-D tensor is a line of one element.
struct Lines {
  Shape shape;
  Ints axes;
};

Lines lines_of(const DenseTensor& x, int axis) {
  Lines lines{Shape(dims_of(x)), {}};
  if (lines.shape.empty()) lines.shape.push_back(1);
  lines.axes.push_back(normalize_axis(axis, lines.shape.size()));
  return lines;
}

using OfValue = Value (*)(Graph&, Value, Dims);
using OfGradient = Value (*)(Graph&, Value, Value, Dims);

void along(const CustomContext& ctx, const DenseTensor& x, int axis, OfValue function, DenseTensor* out) {
  const Lines lines = lines_of(x, axis);
  Recorder record(ctx);
  write(record, out, function(record.graph, wide(record, x, lines.shape), lines.axes));
  record.launch();
}

void along_grad(const CustomContext& ctx, const DenseTensor& out, const DenseTensor& dout, int axis,
                OfGradient function, DenseTensor* dx) {
  if (dx == nullptr) return;
  const Lines lines = lines_of(out, axis);
  Recorder record(ctx);
  const Value y = wide(record, out, lines.shape), dy = wide(record, dout, lines.shape);
  write(record, dx, function(record.graph, y, dy, lines.axes));
  record.launch();
}

void softmax(const CustomContext& ctx, const DenseTensor& x, int axis, DenseTensor* out) {
  along(ctx, x, axis, graphs::softmax, out);
}
void log_softmax(const CustomContext& ctx, const DenseTensor& x, int axis, DenseTensor* out) {
  along(ctx, x, axis, graphs::log_softmax, out);
}
void softmax_grad(const CustomContext& ctx, const DenseTensor& out, const DenseTensor& dout, int axis,
                  DenseTensor* dx) {
  along_grad(ctx, out, dout, axis, graphs::softmax_gradient, dx);
}
void log_softmax_grad(const CustomContext& ctx, const DenseTensor& out, const DenseTensor& dout, int axis,
                      DenseTensor* dx) {
  along_grad(ctx, out, dout, axis, graphs::log_softmax_gradient, dx);
}

// -- masked scores: [batch, heads, queries, keys]
// ---------------------------------------------------------------------------------------

// Of x + mask along the keys; the mask is the same for all heads.
void softmax_mask(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& mask, DenseTensor* out) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value scores = g.addition(wide(record, x), wide(record, mask));
  write(record, out, graphs::softmax(g, scores, {static_cast<int64_t>(dims_of(x).size()) - 1}));
  record.launch();
}

// Of the keys that are not behind the query; the others get 0.
void softmax_upper_triangle(const CustomContext& ctx, const DenseTensor& x, DenseTensor* out) {
  const Dims shape = dims_of(x);
  MPS_CHECK(shape.size() == 4 && shape[2] == shape[3], kArgument,
            "bad scores: expected [batch, heads, length, length], got ", to_string(shape), ".");
  Recorder record(ctx);
  Graph& g = record.graph;
  const Shape square{shape[2], shape[3]};
  const Value seen = g.greater_than_or_equal_to(g.coordinate(square, 0), g.coordinate(square, 1));
  const Value scores = wide(record, x);
  const Value masked = g.select(seen, scores, graphs::number(g, scores, -std::numeric_limits<double>::infinity()));
  write(record, out, graphs::softmax(g, masked, {3}));
  record.launch();
}

void softmax_mask_grad(const CustomContext& ctx, const DenseTensor& out, const DenseTensor& dout, DenseTensor* dx) {
  along_grad(ctx, out, dout, -1, graphs::softmax_gradient, dx);
}

}  // namespace

MPS_KERNEL(softmax, phi::SoftmaxKernel, softmax, views_of(kFloats))
MPS_KERNEL(softmax_grad, phi::SoftmaxGradKernel, softmax_grad, views_of(kFloats))
MPS_KERNEL(log_softmax, phi::LogSoftmaxKernel, log_softmax, kFloats)
MPS_KERNEL(log_softmax_grad, phi::LogSoftmaxGradKernel, log_softmax_grad, kFloats)
MPS_KERNEL(fused_softmax_mask, phi::fusion::FusedSoftmaxMaskKernel, softmax_mask, kFloats)
MPS_KERNEL(fused_softmax_mask_grad, phi::fusion::FusedSoftmaxMaskGradKernel, softmax_mask_grad, kFloats)
MPS_KERNEL(fused_softmax_mask_upper_triangle, phi::FusedSoftmaxMaskFuseUpperTriangleKernel, softmax_upper_triangle,
           kFloats)
MPS_KERNEL(fused_softmax_mask_upper_triangle_grad, phi::FusedSoftmaxMaskFuseUpperTriangleGradKernel, softmax_mask_grad,
           kFloats)

}  // namespace mps::paddle
