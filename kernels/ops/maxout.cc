// maxout and its gradient.
#include "kernels/graphs/lines.h"
#include "paddle/phi/kernels/maxout_grad_kernel.h"
#include "paddle/phi/kernels/maxout_kernel.h"
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

}  // namespace

MPS_KERNEL(maxout, phi::MaxOutKernel, maxout, kFloats)
MPS_KERNEL(maxout_grad, phi::MaxOutGradKernel, maxout_grad, kFloats)

}  // namespace mps::paddle
