// Boxes of a pyramid of features: given to its levels by their size (distribute_fpn_proposals), and the best of all
// levels (collect_fpn_proposals). Both wait for the device once, to learn how many boxes a result has.
#include <algorithm>
#include <numeric>

#include "kernels/graphs/chosen.h"
#include "kernels/graphs/owners.h"
#include "kernels/graphs/resize.h"
#include "kernels/ops/counted_rows.h"
#include "kernels/ops/temporary.h"
#include "paddle/phi/kernels/distribute_fpn_proposals_kernel.h"
#include "paddle/phi/kernels/gpu/collect_fpn_proposals_kernel.h"
#include "plugin/core/check.h"
#include "plugin/paddle/host_value.h"
#include "plugin/paddle/recorder.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;

// -- distribute_fpn_proposals
// -------------------------------------------------------------------------------------------

struct Levels {
  int min, max, refer_level, refer_scale;
  bool pixel_offset;

  int64_t count() const { return max - min + 1; }
};

// Which of the levels, counted from 0, boxes [N, 4] go to: int32 [N].
Value level_of(Graph& g, Value boxes, const Levels& levels) {
  Value area{}, reversed{};
  for (int64_t axis = 0; axis < 2; ++axis) {
    const Value low = graphs::slice_axis(g, boxes, 1, axis, 1), high = graphs::slice_axis(g, boxes, 1, axis + 2, 1);
    const Value size = graphs::add_number(g, g.subtraction(high, low), levels.pixel_offset ? 1 : 0);
    const Value below = g.less_than(high, low);
    area = axis == 0 ? size : g.multiplication(area, size);
    reversed = axis == 0 ? below : g.addition(reversed, below);
  }
  const Value scale = g.square_root(g.select(reversed, graphs::number(g, area, 0), area));
  const Value ratio = graphs::add_number(g, g.division(scale, graphs::number(g, scale, levels.refer_scale)), 1e-6);
  const Value at = graphs::flat(g, graphs::add_number(g, g.logarithm_base_2(ratio), levels.refer_level));
  // Counted, not rounded and cast: what is beyond the levels goes to the last one, and NaN to the first.
  const Value reached = g.greater_than_or_equal_to(
      g.reshape(at, {1, g.elements(at)}),
      graphs::add_number(g, g.cast(g.coordinate({levels.count() - 1, 1}, 0), DType::float32), levels.min + 1));
  return graphs::flat(g, g.reduction_sum(g.cast(reached, DType::int32), {0}));
}

void distribute_fpn_proposals(const CustomContext& ctx, const DenseTensor& boxes,
                              const ::paddle::optional<DenseTensor>& numbers, int min_level, int max_level,
                              int refer_level, int refer_scale, bool pixel_offset,
                              std::vector<DenseTensor*> boxes_of_levels, std::vector<DenseTensor*> numbers_of_levels,
                              DenseTensor* restore_index) {
  MPS_CHECK(numbers.is_initialized(), kUnsupported,
            "boxes are told from each other by rois_num here: expected it, got None. Pass the number of boxes of each "
            "image.");
  const Levels levels{min_level, max_level, refer_level, refer_scale, pixel_offset};
  const int64_t count = dims_of(boxes)[0], images = numbers->numel();
  DenseTensor sorted = temporary(DType::float32, {count, 4}), places = temporary(DType::int32, {count, 1});
  DenseTensor counts = temporary(DType::int32, {levels.count(), images});
  const bool is_empty = count == 0 || images == 0;
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value none = graphs::zeros(g, DType::int32, {levels.count() * images});
  if (is_empty) {
    record.output(&counts, none);
  } else {
    const Value all = record.input(boxes), counts_of_images = g.cast(record.input(*numbers), DType::int32);
    const Value image = graphs::image_of_rows(g, counts_of_images, count);
    const Value is_there = g.less_than(image, graphs::number(g, image, images));
    const Value level = g.select(is_there, level_of(g, all, levels), graphs::number(g, image, levels.count()));
    const Value order = g.arg_sort(level, 0, /*descending=*/false, count);
    record.output(&sorted, graphs::take(g, all, 0, order));
    record.output(&places, graphs::put_at(g, ScatterMode::kSet, graphs::zeros(g, DType::int32, {count}), order,
                                          g.coordinate({count}, 0)));
    const Value cell = g.addition(g.multiplication(level, graphs::number(g, level, images)), image);
    const Value ones = g.constant(1, DType::int32, {count});
    record.output(&counts, graphs::put_at(g, ScatterMode::kAdd, none,
                                          g.select(is_there, cell, graphs::number(g, cell, -1)), ones));
  }
  record.launch();
  std::vector<int64_t> of_levels(boxes_of_levels.size(), 0);
  if (counts.numel() != 0) {
    int64_t cell = 0;
    for (const Scalar& own : host_values(ctx, counts)) {
      of_levels[static_cast<size_t>(cell++ / images)] += own.to_int64();
    }
  }
  int64_t begin = 0;
  for (size_t i = 0; i < boxes_of_levels.size(); ++i) {
    give_rows(ctx, sorted, begin, of_levels[i], boxes_of_levels[i]);
    begin += of_levels[i];
  }
  give_rows(ctx, places, 0, begin, restore_index);
  for (size_t i = 0; i < numbers_of_levels.size(); ++i) {
    give_rows(ctx, counts, static_cast<int64_t>(i), 1, numbers_of_levels[i]);
    numbers_of_levels[i]->Resize(phi::make_ddim({images}));
  }
}

// -- collect_fpn_proposals
// ----------------------------------------------------------------------------------------------

void collect_fpn_proposals(const CustomContext& ctx, const std::vector<const DenseTensor*>& boxes,
                           const std::vector<const DenseTensor*>& scores,
                           const ::paddle::optional<std::vector<const DenseTensor*>>& numbers, int post_nms_topn,
                           DenseTensor* out, DenseTensor* out_numbers) {
  MPS_CHECK(!boxes.empty() && numbers && numbers->size() == boxes.size() && scores.size() == boxes.size(), kArgument,
            "bad number of levels: expected some, and scores and rois_num of each of ", boxes.size(), ", got ",
            scores.size(), " and ", numbers ? numbers->size() : 0,
            ". Pass the number of boxes of each image at each level.");
  MPS_CHECK(post_nms_topn >= 0, kArgument, "bad post_nms_topn: expected no number below 0, got ", post_nms_topn, ".");
  const int64_t images = (*numbers)[0]->numel();
  int64_t count = 0;
  for (const DenseTensor* level : boxes) count += dims_of(*level)[0];
  const int64_t most = std::min<int64_t>(post_nms_topn, count);
  DenseTensor best = temporary(DType::float32, {most, 4}), own = temporary(DType::int32, {images});
  Recorder record(ctx);
  Graph& g = record.graph;
  if (most == 0 || images == 0) {
    record.output(&own, graphs::zeros(g, DType::int32, {images}));
  } else {
    std::vector<Value> all, keys, of_images;
    for (size_t i = 0; i < boxes.size(); ++i) {
      const int64_t here = dims_of(*boxes[i])[0];
      if (here == 0) continue;
      all.push_back(record.input(*boxes[i]));
      keys.push_back(record.input(*scores[i], {here}));
      const Value counts = g.cast(record.input(*(*numbers)[i]), DType::int32);
      of_images.push_back(graphs::image_of_rows(g, counts, here));
    }
    // Of equal scores Paddle's CPU device takes the last first.
    const Value reversed = graphs::reverse(g, g.concatenation(keys, 0), {0});
    const Value from_the_end = g.arg_sort(reversed, 0, /*descending=*/true, count);
    const Value order = g.subtraction(graphs::number(g, from_the_end, count - 1), from_the_end);
    const Value image = graphs::take(g, g.concatenation(of_images, 0), 0, order);
    const Value place = graphs::places_of_chosen(g, g.less_than(image, graphs::number(g, image, images)));
    const Value is_best = g.multiplication(g.greater_than_or_equal_to(place, graphs::number(g, place, 0)),
                                           g.less_than(place, graphs::number(g, place, most)));
    const Value key = g.select(is_best, image, graphs::number(g, image, images));
    const Value by_image = graphs::take(g, order, 0, g.arg_sort(key, 0, /*descending=*/false, most));
    record.output(&best, graphs::take(g, g.concatenation(all, 0), 0, by_image));
    record.output(&own, graphs::put_at(g, ScatterMode::kAdd, graphs::zeros(g, DType::int32, {images}), key,
                                       g.constant(1, DType::int32, {count})));
  }
  record.launch();
  give_rows(ctx, best, 0, sum_of(ctx, own), out);
  if (out_numbers == nullptr) return;
  give_rows(ctx, own, 0, images, out_numbers);
}

void give_int32_numbers(const phi::KernelKey&, phi::Kernel* kernel) {
  kernel->OutputAt(1).SetDataType(phi::DataType::INT32);
}
void give_int32_numbers_and_places(const phi::KernelKey&, phi::Kernel* kernel) {
  for (size_t i = 1; i < 3; ++i) kernel->OutputAt(i).SetDataType(phi::DataType::INT32);
}

}  // namespace

MPS_KERNEL_WITH_DEFINE(distribute_fpn_proposals, phi::DistributeFpnProposalsKernel, distribute_fpn_proposals, kFloat32,
                       give_int32_numbers_and_places)
MPS_KERNEL_WITH_DEFINE(collect_fpn_proposals, phi::GPUCollectFpnProposalsOpKernel, collect_fpn_proposals, kFloat32,
                       give_int32_numbers)

}  // namespace mps::paddle
