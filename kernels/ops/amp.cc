// Loss scaling, and averages of parameters: check_finite_and_unscale, update_loss_scaling, average_accumulates.
#include "kernels/graphs/function.h"
#include "kernels/ops/optimizer.h"
#include "paddle/phi/kernels/amp_kernel.h"
#include "paddle/phi/kernels/average_accumulates_kernel.h"
#include "plugin/core/check.h"

namespace mps::paddle {
namespace {

using graphs::like;
using phi::CustomContext;
using phi::DenseTensor;

// x / scale, and whether any x is infinite or NaN.
void check_finite_and_unscale(const CustomContext& ctx, const Tensors& xs, const DenseTensor& scale, Outputs outs,
                              DenseTensor* found_infinite) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value factor = g.reciprocal(one(record, scale));
  Value found = g.constant(false, DType::bool_, {1});
  for (size_t i = 0; i < xs.size(); ++i) {
    if (xs[i]->numel() == 0) continue;
    const Value x = flat(record, *xs[i]);
    const Value wrong = g.logical_not(graphs::is_finite(g, x));
    found = g.addition(found, g.reduction(NodeKind::reduction_maximum, wrong, {0}));
    write(record, outs[i], g.multiplication(x, factor));
  }
  write(record, found_infinite, found);
  record.launch();
}

// After so many steps without overflow the scale grows, after so many with one it shrinks, and gradients that had one
// become 0.
void update_loss_scaling(const CustomContext& ctx, const Tensors& xs, const DenseTensor& found_infinite,
                         const DenseTensor& scaling, const DenseTensor& good_steps, const DenseTensor& bad_steps,
                         int grow_every, int shrink_every, float grow_ratio, float shrink_ratio,
                         const phi::Scalar& stop_update, Outputs outs, DenseTensor* scaling_out,
                         DenseTensor* good_steps_out, DenseTensor* bad_steps_out) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value found = record.input(found_infinite, {});
  for (size_t i = 0; i < xs.size(); ++i) {
    const Value x = record.input(*xs[i]);
    record.output(outs[i], g.select(found, like(g, x, 0), x));
  }
  if (!stop_update.to<bool>()) {
    const Value scale = one(record, scaling);
    const Value zero = g.constant(0, DType::int32), step = g.constant(1, DType::int32);
    const auto counted = [&](const DenseTensor& steps) {
      return g.addition(g.cast(record.input(steps, {}), DType::int32), step);
    };
    const auto is = [&](Value steps, int every) { return g.equal(steps, record.scalar(every, DType::int32)); };
    const Value good = g.select(found, zero, counted(good_steps)), bad = g.select(found, counted(bad_steps), zero);
    const Value grows = g.multiplication(g.logical_not(found), is(good, grow_every));
    const Value shrinks = g.multiplication(found, is(bad, shrink_every));
    const Value grown = g.multiplication(scale, number(record, grow_ratio));
    const Value shrunk = g.maximum(g.multiplication(scale, number(record, shrink_ratio)), like(g, scale, 1));
    const Value larger = g.select(graphs::is_finite(g, grown), grown, scale);
    write(record, scaling_out, g.select(grows, larger, g.select(shrinks, shrunk, scale)));
    write(record, good_steps_out, g.select(grows, zero, good));
    write(record, bad_steps_out, g.select(shrinks, zero, bad));
  }
  record.launch();
}

// Sums of a parameter over a window of steps: of late ones in sum 1, of early ones in sum 2, of the window before in
// sum 3. In place, as Paddle's own: the parameter of this step is part of what moves on.
void average_accumulates(const CustomContext& ctx, const DenseTensor& param, const DenseTensor& in_sum_1,
                         const DenseTensor& in_sum_2, const DenseTensor& in_sum_3, const DenseTensor& in_accumulates,
                         const DenseTensor& in_old_accumulates, const DenseTensor& in_updates, float window,
                         int64_t longest, int64_t shortest, DenseTensor* out_sum_1, DenseTensor* out_sum_2,
                         DenseTensor* out_sum_3, DenseTensor* out_accumulates, DenseTensor* out_old_accumulates,
                         DenseTensor* out_updates) {
  constexpr int64_t kMostInOneSum = 16384;  // more would lose digits
  MPS_CHECK(shortest <= longest, kArgument, "bad windows: expected the shortest, ", shortest,
            ", not to be longer than the longest, ", longest, ".");
  Recorder record(ctx);
  Graph& g = record.graph;
  const auto count = [&](const DenseTensor& tensor) { return g.cast(record.input(tensor, {}), DType::int64); };
  const auto whole = [&](int64_t value) { return record.scalar(value, DType::int64); };
  const Value sum_1 = flat(record, in_sum_1), sum_2 = flat(record, in_sum_2), zero = like(g, sum_1, 0);
  const Value updates = g.addition(count(in_updates), whole(1));
  const Value accumulates = g.addition(count(in_accumulates), whole(1));
  const Value part = g.multiplication(g.cast(updates, DType::float32), number(record, window));
  const Value limit = g.minimum(whole(longest), g.cast(part, DType::int64));
  const Value ends = g.multiplication(g.greater_than_or_equal_to(accumulates, whole(shortest)),
                                      g.greater_than_or_equal_to(accumulates, limit));
  const Value spills = g.equal(g.modulo(updates, whole(kMostInOneSum)), whole(0));
  const Value late = g.addition(sum_1, flat(record, param)), both = g.addition(late, sum_2);
  write(record, out_sum_1, g.select(g.addition(ends, spills), zero, late));
  write(record, out_sum_2, g.select(ends, zero, g.select(spills, both, sum_2)));
  write(record, out_sum_3, g.select(ends, both, flat(record, in_sum_3)));
  write(record, out_accumulates, g.select(ends, whole(0), accumulates));
  write(record, out_old_accumulates, g.select(ends, accumulates, count(in_old_accumulates)));
  write(record, out_updates, updates);
  record.launch();
}

void give_found(const phi::KernelKey&, phi::Kernel* kernel) { kernel->OutputAt(1).SetDataType(phi::DataType::BOOL); }

}  // namespace

MPS_KERNEL_WITH_DEFINE(check_finite_and_unscale, phi::CheckFiniteAndUnscaleKernel, check_finite_and_unscale, kFloats,
                       give_found)
MPS_KERNEL_WITH_DEFINE(update_loss_scaling, phi::UpdateLossScalingKernel, update_loss_scaling, kFloats, give_own_dtypes)
MPS_KERNEL_WITH_DEFINE(average_accumulates, phi::AverageAccumulatesKernel, average_accumulates, kFloats,
                       give_own_dtypes)

}  // namespace mps::paddle
