// Suppression of boxes that overlap better ones, by lower scores and all at once (Wang et al., "SOLOv2: dynamic and
// fast instance segmentation", 2020). Waits for the device twice: for the number of candidates, and for that of
// results.
#include <algorithm>
#include <limits>

#include "kernels/graphs/function.h"
#include "kernels/graphs/overlaps.h"
#include "kernels/ops/candidates.h"
#include "kernels/ops/counted_rows.h"
#include "kernels/ops/temporary.h"
#include "paddle/phi/kernels/matrix_nms_kernel.h"
#include "plugin/core/check.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;

constexpr int64_t kPairs = int64_t{1} << 24;  // of boxes that are compared at once

struct Decay {
  bool gaussian;
  float sigma;
  bool normalized;
};

// What scores of boxes [P, N, width], best first, are multiplied by: float32 [P, N]. It is the least of what any better
// box asks for, which a box asks for less the more it is itself overlapped. Overlaps that are no numbers are passed
// over.
Value decay_of(Graph& g, Value boxes, const Decay& decay) {
  const int64_t rows = g.shape(boxes)[0], count = g.shape(boxes)[1];
  const Value shared = graphs::overlaps(g, boxes, boxes, decay.normalized);
  const Value counts = g.multiplication(graphs::comes_before(g, count), g.logical_not(graphs::is_nan(g, shared)));
  const Value known = g.select(counts, shared, graphs::number(g, shared, 0));
  const Value most = g.reshape(g.reduction(NodeKind::reduction_maximum, known, {2}), {rows, 1, count});
  const Value one = graphs::number(g, shared, 1);
  Value asked{};
  if (decay.gaussian) {
    const Value difference = g.subtraction(g.square(most), g.square(shared));
    asked = g.exponent(g.multiplication(difference, graphs::number(g, difference, decay.sigma)));
  } else {
    asked = g.division(g.subtraction(one, shared), g.subtraction(one, most));
  }
  const Value lower = g.select(g.multiplication(counts, g.less_than(asked, one)), asked, one);
  return g.reshape(g.reduction(NodeKind::reduction_minimum, lower, {2}), {rows, count});
}

// The scores of all candidates times their decay: float32 [images * classes, most].
DenseTensor decayed(const CustomContext& ctx, const Candidates& all, const Decay& decay) {
  const int64_t rows = dims_of(all.scores)[0], step = std::max<int64_t>(1, kPairs / (all.most * all.most));
  DenseTensor result = temporary(DType::float32, dims_of(all.scores));
  float* const to = static_cast<float*>(ctx.Alloc(&result, result.dtype()));
  for (int64_t begin = 0; begin < rows; begin += step) {
    const int64_t end = std::min(begin + step, rows);
    DenseTensor scores, boxes;
    give_rows(ctx, all.scores, begin, end - begin, &scores);
    give_rows(ctx, all.boxes, begin, end - begin, &boxes);
    Recorder record(ctx);
    Graph& g = record.graph;
    record.output(to + begin * all.most,
                  g.multiplication(decay_of(g, record.input(boxes), decay), record.input(scores)));
    record.launch();
  }
  return result;
}

void matrix_nms(const CustomContext& ctx, const DenseTensor& boxes, const DenseTensor& scores, float score_threshold,
                int nms_top_k, int keep_top_k, float post_threshold, bool use_gaussian, float gaussian_sigma,
                int background_label, bool normalized, DenseTensor* out, DenseTensor* index, DenseTensor* numbers) {
  const Detections to{out, index, numbers};
  const ::paddle::optional<DenseTensor> no_numbers;
  const Found found{boxes, scores, no_numbers};
  const Candidates all = candidates_of(ctx, found, score_threshold, nms_top_k, background_label);
  const int64_t most = keep_top_k < 0 ? all.of_image() : std::min<int64_t>(keep_top_k, all.of_image());
  if (most == 0) return give_none(ctx, found, to);
  const DenseTensor scored = decayed(ctx, all, {use_gaussian, gaussian_sigma, normalized});
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value own = record.input(scored);
  const Value is_low = g.less_than_or_equal_to(own, graphs::number(g, own, post_threshold));
  const Value stays = g.multiplication(is_candidate(record, all), g.logical_not(is_low));
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const Shape by_image{all.images, all.of_image()};
  const Value key = g.reshape(g.select(stays, own, graphs::number(g, own, -kInfinity)), by_image);
  const Value order = g.arg_sort(key, 1, /*descending=*/true, most);
  const Value count = g.reduction_sum(g.cast(g.reshape(stays, by_image), DType::int32), {1});
  const Value chosen = g.less_than(g.coordinate({1, most}, 1), count);
  give_chosen(ctx, record, all, own, order, chosen, to);
}

void give_int32_index_and_numbers(const phi::KernelKey&, phi::Kernel* kernel) {
  for (size_t i = 1; i < 3; ++i) kernel->OutputAt(i).SetDataType(phi::DataType::INT32);
}

}  // namespace

MPS_KERNEL_WITH_DEFINE(matrix_nms, phi::MatrixNMSKernel, matrix_nms, kFloat32, give_int32_index_and_numbers)

}  // namespace mps::paddle
