// What stays is found as a fixed point, from the front: after n rounds it is right wherever a chain of boxes that
// suppress each other has at most n links. There are few long ones, and the device is asked after some rounds whether
// anything changed.
#include "kernels/ops/suppression.h"

#include <algorithm>
#include <limits>

#include "kernels/graphs/function.h"
#include "kernels/graphs/overlaps.h"
#include "kernels/ops/counted_rows.h"
#include "kernels/ops/temporary.h"
#include "plugin/paddle/host_value.h"
#include "plugin/paddle/recorder.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;

constexpr int kRounds = 8;
constexpr int64_t kPairs = int64_t{1} << 24;  // of boxes that are compared at once

// How many thresholds `count` boxes can meet.
int64_t threshold_count(const Suppression& how, int64_t count) {
  int64_t thresholds = 1;
  if (how.eta >= 1) return thresholds;
  for (float now = how.threshold; now > 0.5F && thresholds <= count; now *= how.eta) ++thresholds;
  return thresholds;
}

// The thresholds in turn: float32 [count]. The product is that of Paddle, one eta after the other.
Value thresholds_of(Graph& g, const Suppression& how, int64_t count) {
  const Value first = g.constant(how.threshold, DType::float32, {1});
  if (count == 1) return first;
  const Value factors = g.concatenation({first, g.constant(how.eta, DType::float32, {count - 1})}, 0);
  return g.scan(NodeKind::cumulative_product, factors, 0);
}

// One round: which of the candidates stay if those of `now` do. `thresholds`: of overlaps that are numbers.
Value round(Graph& g, Value over, Value candidates, Value now, const Value* thresholds) {
  const Shape shape(g.shape(candidates));
  Value pairs = over;
  if (thresholds != nullptr) {
    const Value kept = g.scan(NodeKind::cumulative_sum, g.cast(now, DType::int32), 1, /*exclusive=*/true);
    const Value at = g.minimum(kept, graphs::number(g, kept, g.elements(*thresholds) - 1));
    pairs = g.greater_than(over, g.reshape(graphs::take_at(g, *thresholds, at), {shape[0], shape[1], 1}));
  }
  const Value by = g.multiplication(pairs, g.reshape(now, {shape[0], 1, shape[1]}));
  const Value suppressed = g.reshape(g.reduction(NodeKind::reduction_maximum, by, {2}), shape);
  return g.multiplication(candidates, g.logical_not(suppressed));
}

// `over` holds truths, or with `how` overlaps.
DenseTensor fixed_point(const CustomContext& ctx, const DenseTensor& over, const DenseTensor& candidates,
                        const Suppression* how) {
  if (candidates.numel() == 0) return candidates;
  const Dims shape = dims_of(candidates);
  DenseTensor stays = candidates;
  for (bool changed = true; changed;) {
    DenseTensor next = temporary(DType::bool_, shape), differ = temporary(DType::bool_, {1});
    Recorder record(ctx);
    Graph& g = record.graph;
    const Value pairs = record.input(over), all = record.input(candidates);
    Value thresholds{};
    if (how != nullptr) thresholds = thresholds_of(g, *how, threshold_count(*how, shape[1]));
    Value now = record.input(stays), before = now;
    for (int i = 0; i < kRounds; ++i) {
      before = now;
      now = round(g, pairs, all, before, how == nullptr ? nullptr : &thresholds);
    }
    record.output(&next, now);
    const Value different = graphs::flat(g, g.not_equal(before, now));
    record.output(&differ, g.reduction(NodeKind::reduction_maximum, different, {0}));
    record.launch();
    changed = host_value(ctx, differ).to_int64() != 0;
    stays = next;
  }
  return stays;
}

DenseTensor suppress_at_once(const CustomContext& ctx, const DenseTensor& boxes, const DenseTensor& candidates,
                             const Suppression& how) {
  const Dims shape = dims_of(candidates);
  const bool adapts = threshold_count(how, shape[1]) > 1;
  DenseTensor over = temporary(adapts ? DType::float32 : DType::bool_, {shape[0], shape[1], shape[1]});
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value all = record.input(boxes), shared = graphs::overlaps(g, all, all, how.normalized);
  const Value before = graphs::comes_before(g, shape[1]);
  // Paddle lets a box stay whose overlaps are not more than the threshold: one that is NaN is more.
  if (adapts) {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    const Value known = g.select(graphs::is_nan(g, shared), graphs::number(g, shared, kInfinity), shared);
    record.output(&over, g.select(before, known, graphs::number(g, shared, -kInfinity)));
  } else {
    const Value fits = g.less_than_or_equal_to(shared, graphs::number(g, shared, how.threshold));
    record.output(&over, g.multiplication(g.logical_not(fits), before));
  }
  record.launch();
  return fixed_point(ctx, over, candidates, adapts ? &how : nullptr);
}

}  // namespace

DenseTensor keep_greedily(const CustomContext& ctx, const DenseTensor& over, const DenseTensor& candidates) {
  return fixed_point(ctx, over, candidates, nullptr);
}

DenseTensor suppress(const CustomContext& ctx, const DenseTensor& boxes, const DenseTensor& candidates,
                     const Suppression& how) {
  if (candidates.numel() == 0) return candidates;
  const int64_t rows = dims_of(candidates)[0], count = dims_of(candidates)[1];
  const int64_t step = std::max<int64_t>(1, kPairs / (count * count));
  if (step >= rows) return suppress_at_once(ctx, boxes, candidates, how);
  DenseTensor stays = temporary(DType::bool_, {rows, count});
  char* const to = static_cast<char*>(ctx.Alloc(&stays, stays.dtype()));
  for (int64_t begin = 0; begin < rows; begin += step) {
    const int64_t end = std::min(begin + step, rows);
    DenseTensor some_boxes, some;
    give_rows(ctx, boxes, begin, end - begin, &some_boxes);
    give_rows(ctx, candidates, begin, end - begin, &some);
    some = suppress_at_once(ctx, some_boxes, some, how);
    Recorder(ctx).copy(to + begin * count, some.data(), static_cast<size_t>((end - begin) * count));
  }
  return stays;
}

}  // namespace mps::paddle
