// Of boxes that overlap, the best, class by class. Waits for the device: for the number of candidates, for suppression,
// and for the number of results.
#include <algorithm>
#include <limits>

#include "kernels/graphs/lines.h"
#include "kernels/ops/candidates.h"
#include "kernels/ops/suppression.h"
#include "kernels/ops/temporary.h"
#include "paddle/phi/kernels/multiclass_nms3_kernel.h"
#include "plugin/core/check.h"
#include "plugin/paddle/cpu_kernel.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;
using Optional = ::paddle::optional<DenseTensor>;

// Boxes of four corners and more are polygons, which Paddle clips against each other edge by edge: on the CPU.
void suppress_polygons(const CustomContext& ctx, const Found& found, float score_threshold, int nms_top_k,
                       int keep_top_k, float nms_threshold, bool normalized, float nms_eta, int background_label,
                       const Detections& to) {
  constexpr const char* kName = "multiclass_nms3";
  using Function = void (*)(const phi::DeviceContext&, const DenseTensor&, const DenseTensor&, const Optional&, float,
                            int, int, float, bool, float, int, DenseTensor*, DenseTensor*, DenseTensor*);
  count_cpu_fallback(kName, phi::DataTypeToString(found.boxes.dtype()).c_str());
  const phi::CPUPlace cpu;
  const auto& kernel = phi::KernelFactory::Instance().SelectKernel(
      kName, {phi::Backend::CPU, phi::DataLayout::ALL_LAYOUT, found.boxes.dtype()});
  const auto here = [&](const DenseTensor& x) {
    DenseTensor copy;
    phi::Copy(ctx, x, cpu, /*blocking=*/true, &copy);
    return copy;
  };
  Optional numbers;
  if (found.numbers) numbers = here(*found.numbers);
  DenseTensor rows, index, counts;
  kernel.GetVariadicKernelFn<Function>()(*phi::DeviceContextPool::Instance().Get(cpu), here(found.boxes),
                                         here(found.scores), numbers, score_threshold, nms_top_k, keep_top_k,
                                         nms_threshold, normalized, nms_eta, background_label, &rows, &index, &counts);
  phi::Copy(ctx, rows, ctx.GetPlace(), /*blocking=*/true, to.rows);
  if (to.index != nullptr) phi::Copy(ctx, index, ctx.GetPlace(), /*blocking=*/true, to.index);
  if (to.numbers != nullptr) phi::Copy(ctx, counts, ctx.GetPlace(), /*blocking=*/true, to.numbers);
}

// For each image, the best `most` of those that stay: bool like `stays`, [images, N]. Of equal scores, the first.
Value best_of(Graph& g, Value stays, Value scores, int64_t most) {
  const Shape shape(g.shape(stays));
  const Value key = g.select(stays, scores, graphs::number(g, scores, -std::numeric_limits<double>::infinity()));
  const Value at = graphs::positions_along(g, g.arg_sort(key, 1, /*descending=*/true, most), 1, shape);
  const Value none = graphs::zeros(g, DType::int32, shape);
  const Value is_best = graphs::put_at(g, ScatterMode::kSet, none, at, g.constant(1, DType::int32, {shape[0], most}));
  return g.multiplication(stays, g.not_equal(is_best, graphs::number(g, is_best, 0)));
}

void multiclass_nms(const CustomContext& ctx, const DenseTensor& boxes, const DenseTensor& scores,
                    const Optional& numbers, float score_threshold, int nms_top_k, int keep_top_k, float nms_threshold,
                    bool normalized, float nms_eta, int background_label, DenseTensor* out, DenseTensor* index,
                    DenseTensor* out_numbers) {
  const Detections to{out, index, out_numbers};
  const Found found{boxes, scores, numbers};
  MPS_CHECK(found.shares_boxes() || numbers, kUnsupported,
            "boxes of each class are told from each other by rois_num here: expected it, got None. Pass the number of "
            "boxes of each image.");
  if (found.width() != 4) {
    return suppress_polygons(ctx, found, score_threshold, nms_top_k, keep_top_k, nms_threshold, normalized, nms_eta,
                             background_label, to);
  }
  const Candidates all = candidates_of(ctx, found, score_threshold, nms_top_k, background_label);
  if (all.most == 0 || keep_top_k == 0) return give_none(ctx, found, to);
  DenseTensor candidates = temporary(DType::bool_, dims_of(all.scores));
  Recorder first(ctx);
  first.output(&candidates, first.graph.broadcast(is_candidate(first, all), dims_of(all.scores)));
  first.launch();
  const DenseTensor stay = suppress(ctx, all.boxes, candidates, {nms_threshold, nms_eta, normalized});

  Recorder record(ctx);
  Graph& g = record.graph;
  const Shape by_image{all.images, all.of_image()};
  const Value own = record.input(all.scores, by_image);
  Value chosen = record.input(stay, by_image);
  if (keep_top_k > 0 && keep_top_k < by_image[1]) chosen = best_of(g, chosen, own, keep_top_k);
  Value at = g.broadcast(g.coordinate({1, by_image[1]}, 1), by_image);
  if (!found.shares_boxes()) {
    // Then Paddle gives the boxes of each class in their own order.
    const Shape by_class{all.images, all.classes, all.most};
    const Value order = g.arg_sort(record.input(all.rows, by_class), 2, /*descending=*/false, all.most);
    const Value own_class = g.coordinate({1, all.classes, 1}, 1);
    at = g.reshape(g.addition(g.multiplication(own_class, graphs::number(g, own_class, all.most)), order), by_image);
    chosen = graphs::take_at(g, chosen, graphs::positions_along(g, at, 1, by_image));
  }
  give_chosen(ctx, record, all, own, at, chosen, to);
}

void give_int32_index_and_numbers(const phi::KernelKey&, phi::Kernel* kernel) {
  for (size_t i = 1; i < 3; ++i) kernel->OutputAt(i).SetDataType(phi::DataType::INT32);
}

}  // namespace

MPS_KERNEL_WITH_DEFINE(multiclass_nms3, phi::MultiClassNMSKernel, multiclass_nms, kFloat32,
                       give_int32_index_and_numbers)

}  // namespace mps::paddle
