// Boxes that may hold an object: the best of many anchors, moved, clipped to the image and suppressed where they
// overlap (Ren et al., "Faster R-CNN: towards real-time object detection with region proposal networks", 2015). Waits
// for the device: for suppression, and for the number of results.
#include <algorithm>
#include <cmath>

#include "kernels/graphs/chosen.h"
#include "kernels/graphs/resize.h"
#include "kernels/ops/counted_rows.h"
#include "kernels/ops/suppression.h"
#include "kernels/ops/temporary.h"
#include "paddle/phi/kernels/generate_proposals_kernel.h"
#include "plugin/core/check.h"
#include "plugin/paddle/recorder.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using graphs::add_number;
using graphs::part;
using graphs::times_number;
using phi::CustomContext;
using phi::DenseTensor;

// What is proposed for each image before boxes are suppressed, best first.
struct Proposals {
  DenseTensor boxes;   // float32 [images, count, 4]
  DenseTensor scores;  // float32 [images, count]
  DenseTensor fits;    // bool [images, count]: large enough
};

// Positions of the `count` best scores of [images, N], best first: int32. Of equal ones the first are taken, and, where
// boxes are suppressed, the last of these comes first.
Value best_first(Graph& g, Value scores, int64_t count, bool last_of_equal) {
  const Shape shape(g.shape(scores));
  const Value best = g.arg_sort(scores, 1, /*descending=*/true, count);
  if (!last_of_equal) return best;
  const Value sorted = graphs::take_at(g, scores, graphs::positions_along(g, best, 1, shape));
  const Value from_the_end = g.arg_sort(graphs::reverse(g, sorted, {1}), 1, /*descending=*/true, count);
  const Value order = g.subtraction(graphs::number(g, from_the_end, count - 1), from_the_end);
  return graphs::take_at(g, best, graphs::positions_along(g, order, 1, {shape[0], count}));
}

// Anchors moved by deltas, [images, count, 4], inside of images of the given heights and widths, [images, 1, 2].
Value moved(Graph& g, Value anchors, Value variances, Value deltas, Value sizes, double extra) {
  static const double kMostGrowth = std::log(1000.0 / 16.0);
  SmallVector<Value, 4> edges;
  edges.resize(4, anchors);
  for (int64_t axis = 0; axis < 2; ++axis) {
    const Value low = part(g, anchors, axis);
    const Value length = add_number(g, g.subtraction(part(g, anchors, axis + 2), low), extra);
    const Value middle = g.addition(low, times_number(g, length, 0.5));
    const auto delta = [&](int64_t at) { return g.multiplication(part(g, variances, at), part(g, deltas, at)); };
    const Value centre = g.addition(g.multiplication(delta(axis), length), middle);
    const Value growth = g.minimum(delta(axis + 2), graphs::number(g, length, kMostGrowth));
    const Value half = times_number(g, g.multiplication(g.exponent(growth), length), 0.5);
    const Value last = add_number(g, part(g, sizes, 1 - axis), -extra);
    const auto inside = [&](Value x) { return g.maximum(g.minimum(x, last), graphs::number(g, x, 0)); };
    edges[static_cast<size_t>(axis)] = inside(g.subtraction(centre, half));
    edges[static_cast<size_t>(axis) + 2] = inside(add_number(g, g.addition(centre, half), -extra));
  }
  return g.concatenation(edges, 2);
}

// Which boxes are large enough, and where pixels are counted have their centre in the image.
Value fits(Graph& g, Value boxes, Value sizes, float min_size, bool pixel_offset) {
  Value all{};
  for (int64_t axis = 0; axis < 2; ++axis) {
    const Value low = part(g, boxes, axis);
    const Value length = add_number(g, g.subtraction(part(g, boxes, axis + 2), low), pixel_offset ? 1 : 0);
    Value fit = g.greater_than_or_equal_to(length, graphs::number(g, length, std::max(min_size, 1.0F)));
    if (pixel_offset) {
      const Value centre = g.addition(low, times_number(g, length, 0.5));
      fit = g.multiplication(fit, g.less_than_or_equal_to(centre, part(g, sizes, 1 - axis)));
    }
    all = axis == 0 ? fit : g.multiplication(all, fit);
  }
  return all;
}

// The first `most` of each image that stay; where an image has none, one box of zeros.
void give_proposals(const CustomContext& ctx, const Proposals& from, const DenseTensor& stay, int64_t most,
                    DenseTensor* boxes, DenseTensor* scores, DenseTensor* numbers) {
  const Dims shape = dims_of(from.scores);
  const int64_t rows = shape[0] * most;
  DenseTensor packed = temporary(DType::float32, {rows, 4}), packed_scores = temporary(DType::float32, {rows, 1});
  DenseTensor counts = temporary(DType::int32, {shape[0]});
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value stays = record.input(stay);
  const Value place = g.scan(NodeKind::cumulative_sum, g.cast(stays, DType::int32), 1, /*exclusive=*/true);
  const Value some = g.reduction(NodeKind::reduction_maximum, stays, {1});  // [images, 1]
  const Value column = g.coordinate({1, shape[1]}, 1);
  const Value stands_for_none = g.multiplication(g.logical_not(some), g.equal(column, graphs::number(g, column, 0)));
  const Value chosen =
      g.addition(g.multiplication(stays, g.less_than(place, graphs::number(g, place, most))), stands_for_none);
  const Value places = graphs::places_of_chosen(g, chosen);
  const auto give = [&](const DenseTensor& x, int64_t width, DenseTensor* to) {
    const Value all = record.input(x, {shape[0], shape[1], width});
    const Value known = g.select(g.reshape(some, {shape[0], 1, 1}), all, graphs::number(g, all, 0));
    record.output(to, graphs::pack_chosen(g, places, g.reshape(known, {shape[0] * shape[1], width}), rows));
  };
  give(from.boxes, 4, &packed);
  give(from.scores, 1, &packed_scores);
  record.output(&counts, g.reduction_sum(g.cast(chosen, DType::int32), {1}));
  record.launch();
  const int64_t count = sum_of(ctx, counts);
  give_rows(ctx, packed, 0, count, boxes);
  give_rows(ctx, packed_scores, 0, count, scores);
  give_rows(ctx, counts, 0, shape[0], numbers);
}

// One box of zeros for each of some images.
void give_zeros(const CustomContext& ctx, int64_t images, DenseTensor* boxes, DenseTensor* scores,
                DenseTensor* numbers) {
  DenseTensor no_boxes = temporary(DType::float32, {images, 4}), no_scores = temporary(DType::float32, {images, 1});
  DenseTensor ones = temporary(DType::int32, {images});
  Recorder record(ctx);
  record.output(&no_boxes, graphs::zeros(record.graph, DType::float32, {images, 4}));
  record.output(&no_scores, graphs::zeros(record.graph, DType::float32, {images, 1}));
  record.output(&ones, record.graph.constant(1, DType::int32, {images}));
  record.launch();
  give_rows(ctx, no_boxes, 0, images, boxes);
  give_rows(ctx, no_scores, 0, images, scores);
  give_rows(ctx, ones, 0, images, numbers);
}

void generate_proposals(const CustomContext& ctx, const DenseTensor& scores, const DenseTensor& deltas,
                        const DenseTensor& im_shape, const DenseTensor& anchors, const DenseTensor& variances,
                        int pre_nms_top_n, int post_nms_top_n, float nms_thresh, float min_size, float eta,
                        bool pixel_offset, DenseTensor* boxes, DenseTensor* probabilities, DenseTensor* numbers) {
  const int64_t images = dims_of(scores)[0], all = images == 0 ? 0 : scores.numel() / images;
  MPS_CHECK(deltas.numel() == 4 * scores.numel(), kArgument, "wrong number of bbox_deltas: expected ",
            4 * scores.numel(), ", four for each score, got ", deltas.numel(), ".");
  for (const DenseTensor* x : {&anchors, &variances}) {
    MPS_CHECK(x->numel() >= 4 * all, kArgument, "too few anchors or variances: expected ", 4 * all,
              " numbers, four for each score of an image, got ", x->numel(), ". Pass [height, width, anchors, 4].");
  }
  if (scores.numel() == 0) return give_zeros(ctx, images, boxes, probabilities, numbers);
  const int64_t count = pre_nms_top_n <= 0 ? all : std::min<int64_t>(pre_nms_top_n, all);
  Proposals found{temporary(DType::float32, {images, count, 4}), temporary(DType::float32, {images, count}),
                  temporary(DType::bool_, {images, count})};
  const bool suppresses = !(nms_thresh <= 0);
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value own = g.reshape(g.transpose(record.input(scores), {0, 2, 3, 1}), {images, all});
  const Value order = best_first(g, own, count, suppresses);
  const Value at = graphs::positions_along(g, order, 1, {images, all});
  const auto rows = [&](Value x, Value places) {
    const Value table = g.reshape(x, {g.elements(x) / 4, 4});
    return g.reshape(graphs::take(g, table, 0, places), {images, count, 4});
  };
  const Value sizes = g.reshape(g.cast(record.input(im_shape), DType::float32), {images, 1, dims_of(im_shape)[1]});
  const Value proposed = moved(g, rows(record.input(anchors), order), rows(record.input(variances), order),
                               rows(g.transpose(record.input(deltas), {0, 2, 3, 1}), at), sizes, pixel_offset ? 1 : 0);
  record.output(&found.boxes, proposed);
  record.output(&found.scores, graphs::take_at(g, own, at));
  record.output(&found.fits, fits(g, proposed, sizes, min_size, pixel_offset));
  record.launch();
  if (!suppresses) return give_proposals(ctx, found, found.fits, count, boxes, probabilities, numbers);
  const DenseTensor stay = suppress(ctx, found.boxes, found.fits, {nms_thresh, eta, !pixel_offset});
  const int64_t most = post_nms_top_n <= 0 ? count : std::min<int64_t>(post_nms_top_n, count);
  give_proposals(ctx, found, stay, most, boxes, probabilities, numbers);
}

void give_int32_numbers(const phi::KernelKey&, phi::Kernel* kernel) {
  kernel->OutputAt(2).SetDataType(phi::DataType::INT32);
}

}  // namespace

MPS_KERNEL_WITH_DEFINE(generate_proposals, phi::GenerateProposalsKernel, generate_proposals, kFloat32,
                       give_int32_numbers)

}  // namespace mps::paddle
