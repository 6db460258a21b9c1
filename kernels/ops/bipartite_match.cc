// Rows and columns matched to each other: the greatest distance of all first, then the greatest among rows and columns
// that are left. Found in rounds: a pair that is the greatest of its row and of its column will be matched whatever
// comes of the others. The device is asked after some rounds whether anything changed.
#include <limits>
#include <string>

#include "kernels/graphs/lines.h"
#include "kernels/ops/temporary.h"
#include "plugin/core/check.h"
#include "plugin/paddle/host_value.h"
#include "plugin/paddle/recorder.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;

constexpr int kRounds = 8;
constexpr float kLeast = 1e-6F;     // what is less is no distance
constexpr int64_t kManyRows = 130;  // with so many Paddle takes any distance above 0

// Which of all pairs [R, C] each is, the greatest first: int32. Of equal ones the first column comes first, then the
// first row.
Value ranks_of(Graph& g, Value distances) {
  const Shape shape(g.shape(distances));
  const int64_t count = shape[0] * shape[1];
  const Value columns_first = graphs::flat(g, g.transpose(distances, {1, 0}));
  const Value order = g.arg_sort(columns_first, 0, /*descending=*/true, count);
  const Value ranks =
      graphs::put_at(g, ScatterMode::kSet, graphs::zeros(g, DType::int32, {count}), order, g.coordinate({count}, 0));
  return g.transpose(g.reshape(ranks, {shape[1], shape[0]}), {1, 0});
}

// `matched`, bool [R, C], with the pairs of one more round.
Value round(Graph& g, Value ranks, Value matched) {
  const auto any = [&](int64_t axis) { return g.reduction(NodeKind::reduction_maximum, matched, {axis}); };
  const Value none = graphs::number(g, ranks, INT_MAX);
  const Value left = g.select(g.addition(any(0), any(1)), none, ranks);
  const auto is_first = [&](int64_t axis) {
    return g.equal(left, g.reduction(NodeKind::reduction_minimum, left, {axis}));
  };
  const Value now = g.multiplication(g.multiplication(is_first(0), is_first(1)), g.not_equal(left, none));
  return g.addition(matched, now);
}

// The row of each column, or -1, and the distance, or 0: [1, C] each.
void give_matches(Recorder& record, const DenseTensor& distances, const DenseTensor& matched, bool per_prediction,
                  float threshold, DenseTensor* indices, DenseTensor* matched_distances) {
  Graph& g = record.graph;
  const Value all = record.input(distances), pairs = record.input(matched);
  const Shape shape(g.shape(all));
  const Value none = g.constant(-1, DType::int32), row = g.coordinate({shape[0], 1}, 0);
  const Value infinity = graphs::number(g, all, -std::numeric_limits<double>::infinity());
  Value index = g.reduction(NodeKind::reduction_maximum, g.select(pairs, row, none), {0});
  Value distance = g.reduction(NodeKind::reduction_maximum, g.select(pairs, all, infinity), {0});
  Value is_matched = g.not_equal(index, none);
  if (per_prediction) {
    const Value counts = g.multiplication(g.greater_than_or_equal_to(all, graphs::number(g, all, kLeast)),
                                          g.greater_than_or_equal_to(all, graphs::number(g, all, threshold)));
    const Value usable = g.select(counts, all, infinity);
    const Value greatest = g.reduction(NodeKind::reduction_maximum, usable, {0});
    const Value found = g.not_equal(greatest, infinity);
    const Value first = g.arg_reduction(NodeKind::reduction_arg_maximum, usable, 0);
    index = g.select(is_matched, index, g.select(found, first, none));
    distance = g.select(is_matched, distance, greatest);
    is_matched = g.addition(is_matched, found);
  }
  record.output(indices, index);
  record.output(matched_distances, g.select(is_matched, distance, graphs::number(g, distance, 0)));
}

void bipartite_match(const CustomContext& ctx, const DenseTensor& distances, const std::string& match_type,
                     float dist_threshold, DenseTensor* indices, DenseTensor* matched_distances) {
  MPS_CHECK(distances.dims().size() == 2 && distances.lod().empty(), kUnsupported,
            "distances of one image are matched here: expected a matrix without levels of detail (LoD), got rank ",
            distances.dims().size(), " and ", distances.lod().size(), " levels. Match each image by itself.");
  const int64_t rows = dims_of(distances)[0], columns = dims_of(distances)[1];
  for (DenseTensor* x : {indices, matched_distances}) x->Resize(phi::make_ddim({1, columns}));
  Recorder first(ctx);
  Graph& begun = first.graph;
  if (distances.numel() == 0) {
    first.output(indices, begun.constant(-1, DType::int32, {1, columns}));
    first.output(matched_distances, graphs::zeros(begun, DType::float32, {1, columns}));
    return first.launch();
  }
  DenseTensor ranks = temporary(DType::int32, {rows, columns}), matched = temporary(DType::bool_, {rows, columns});
  const Value all = first.input(distances);
  const Value counts = rows < kManyRows ? begun.greater_than_or_equal_to(all, graphs::number(begun, all, kLeast))
                                        : begun.greater_than(all, graphs::number(begun, all, 0));
  const Value rank = ranks_of(begun, all);
  first.output(&ranks, begun.select(counts, rank, graphs::number(begun, rank, INT_MAX)));
  first.output(&matched, begun.constant(false, DType::bool_, {rows, columns}));
  first.launch();
  for (bool changed = true; changed;) {
    DenseTensor next = temporary(DType::bool_, {rows, columns}), differ = temporary(DType::bool_, {1});
    Recorder record(ctx);
    Graph& g = record.graph;
    const Value order = record.input(ranks);
    Value now = record.input(matched), before = now;
    for (int i = 0; i < kRounds; ++i) {
      before = now;
      now = round(g, order, before);
    }
    record.output(&next, now);
    record.output(&differ, g.reduction(NodeKind::reduction_maximum, graphs::flat(g, g.not_equal(before, now)), {0}));
    record.launch();
    changed = host_value(ctx, differ).to_int64() != 0;
    matched = next;
  }
  Recorder record(ctx);
  give_matches(record, distances, matched, match_type == "per_prediction", dist_threshold, indices, matched_distances);
  record.launch();
}

void give_int32_indices(const phi::KernelKey&, phi::Kernel* kernel) {
  kernel->OutputAt(0).SetDataType(phi::DataType::INT32);
}

}  // namespace

// Paddle has no header for its kernel.
MPS_KERNEL_UNCHECKED(bipartite_match, bipartite_match, kFloat32, give_int32_indices)

}  // namespace mps::paddle
