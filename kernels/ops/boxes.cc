// Boxes around things: priors, boxes told by how they differ from priors, and what YOLO's convolutions mean. Computed
// in float32; a box is x0, y0, x1, y1.
#include <cmath>

#include "kernels/graphs/lines.h"
#include "kernels/graphs/resize.h"
#include "kernels/ops/elementwise.h"
#include "paddle/phi/kernels/box_coder_kernel.h"
#include "paddle/phi/kernels/prior_box_kernel.h"
#include "paddle/phi/kernels/yolo_box_kernel.h"
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
using Optional = ::paddle::optional<DenseTensor>;

// Centres and sizes of boxes along an axis (0: x, 1: y). Boxes of pixels that are not scaled hold their last one too.
struct Extent {
  Value centre{}, size{};
};
Extent extent_of(Graph& g, Value boxes, int64_t axis, double extra) {
  const Value low = part(g, boxes, axis), high = part(g, boxes, axis + 2);
  const Value size = add_number(g, g.subtraction(high, low), extra);
  return {g.addition(low, times_number(g, size, 0.5)), size};
}

// -- box_coder
// -----------------------------------------------------------------------------------------------------------

// What differences are divided by, [.., 1] of each of four; or none.
struct Variances {
  Value all{};
  const std::vector<float>* numbers = nullptr;

  Value times(Graph& g, Value x, int64_t at) const {
    if (numbers != nullptr) return times_number(g, x, (*numbers)[static_cast<size_t>(at)]);
    return all.node == UINT32_MAX ? x : g.multiplication(x, part(g, all, at));
  }
  Value divided(Graph& g, Value x, int64_t at) const {
    if (numbers != nullptr) return g.division(x, graphs::number(g, x, (*numbers)[static_cast<size_t>(at)]));
    return all.node == UINT32_MAX ? x : g.division(x, part(g, all, at));
  }
};

// Each target [N, 1, 4] against each prior [1, M, 4].
Value encode(Graph& g, Value target, Value prior, const Variances& variances, double extra) {
  SmallVector<Value, 4> parts;
  parts.resize(4, target);
  for (int64_t axis = 0; axis < 2; ++axis) {
    const Extent from = extent_of(g, prior, axis, extra), to = extent_of(g, target, axis, extra);
    // The middle of a target is that of its outer edges.
    const Value middle = times_number(g, g.addition(part(g, target, axis), part(g, target, axis + 2)), 0.5);
    const Value moved = g.division(g.subtraction(middle, from.centre), from.size);
    const Value grown = g.logarithm(g.absolute(g.division(to.size, from.size)));
    parts[static_cast<size_t>(axis)] = variances.divided(g, moved, axis);
    parts[static_cast<size_t>(axis) + 2] = variances.divided(g, grown, axis + 2);
  }
  return g.concatenation(parts, 2);
}

// Differences [N, M, 4] from priors that are broadcast to them.
Value decode(Graph& g, Value target, Value prior, const Variances& variances, double extra) {
  SmallVector<Value, 4> parts;
  parts.resize(4, target);
  for (int64_t axis = 0; axis < 2; ++axis) {
    const Extent from = extent_of(g, prior, axis, extra);
    const Value moved = g.multiplication(variances.times(g, part(g, target, axis), axis), from.size);
    const Value centre = g.addition(moved, from.centre);
    const Value grown = g.exponent(variances.times(g, part(g, target, axis + 2), axis + 2));
    const Value half = times_number(g, g.multiplication(grown, from.size), 0.5);
    parts[static_cast<size_t>(axis)] = g.subtraction(centre, half);
    parts[static_cast<size_t>(axis) + 2] = add_number(g, g.addition(centre, half), -extra);
  }
  return g.concatenation(parts, 2);
}

void box_coder(const CustomContext& ctx, const DenseTensor& prior_box, const Optional& prior_box_var,
               const DenseTensor& target_box, const std::string& code_type, bool normalized, int axis,
               const std::vector<float>& variance, DenseTensor* out) {
  const bool encodes = code_type == "encode_center_size";
  Recorder record(ctx);
  Graph& g = record.graph;
  const auto input = [&](const DenseTensor& x, Dims shape) { return g.cast(record.input(x, shape), DType::float32); };
  const int64_t priors = dims_of(prior_box)[0];
  const bool by_rows = !encodes && axis == 1;
  const Shape prior_shape = by_rows ? Shape{priors, 1, 4} : Shape{1, priors, 4};
  const int64_t targets = dims_of(target_box)[0];
  const Value target = input(target_box, encodes ? Shape{targets, 1, 4} : Shape(dims_of(target_box)));
  const Value prior = input(prior_box, prior_shape);
  Variances variances;
  if (prior_box_var) {
    variances.all = input(*prior_box_var, prior_shape);
  } else if (!variance.empty()) {
    variances.numbers = &variance;
  }
  const double extra = normalized ? 0 : 1;
  const Value result =
      encodes ? encode(g, target, prior, variances, extra) : decode(g, target, prior, variances, extra);
  record.output(out, g.cast(result, dtype_of(*out)));
  record.launch();
}

// -- prior_box
// -----------------------------------------------------------------------------------------------------------

// Half the widths and heights of the boxes at each place, in Paddle's order.
std::vector<std::pair<float, float>> halves_of(const std::vector<float>& min_sizes, const std::vector<float>& max_sizes,
                                               const std::vector<float>& ratios, bool min_max_first) {
  std::vector<std::pair<float, float>> halves;
  const auto square = [&](float size) { halves.emplace_back(size / 2, size / 2); };
  for (size_t i = 0; i < min_sizes.size(); ++i) {
    const float size = min_sizes[i];
    const auto between = [&] {
      if (!max_sizes.empty()) square(std::sqrt(size * max_sizes[i]));
    };
    if (min_max_first) {
      square(size);
      between();
    }
    for (float ratio : ratios) {
      if (min_max_first && std::fabs(ratio - 1) < 1e-6F) continue;
      halves.emplace_back(size * std::sqrt(ratio) / 2, size / std::sqrt(ratio) / 2);
    }
    if (!min_max_first) between();
  }
  return halves;
}

void prior_box(const CustomContext& ctx, const DenseTensor& input, const DenseTensor& image,
               const std::vector<float>& min_sizes, const std::vector<float>& max_sizes,
               const std::vector<float>& aspect_ratios, const std::vector<float>& variances, bool flip, bool clip,
               float step_w, float step_h, float offset, bool min_max_first, DenseTensor* out, DenseTensor* var) {
  std::vector<float> ratios;
  phi::ExpandAspectRatios(aspect_ratios, flip, &ratios);
  const auto halves = halves_of(min_sizes, max_sizes, ratios, min_max_first);
  const int64_t height = dims_of(input)[2], width = dims_of(input)[3];
  const float image_sizes[2] = {static_cast<float>(dims_of(image)[3]), static_cast<float>(dims_of(image)[2])};
  const float steps[2] = {step_w == 0 || step_h == 0 ? image_sizes[0] / static_cast<float>(width) : step_w,
                          step_w == 0 || step_h == 0 ? image_sizes[1] / static_cast<float>(height) : step_h};
  Recorder record(ctx);
  Graph& g = record.graph;
  if (input.numel() == 0 || image.numel() == 0) {
    record.output(out, graphs::zeros(g, dtype_of(*out), dims_of(*out)));
    record.output(var, graphs::zeros(g, dtype_of(*var), dims_of(*var)));
    record.launch();
    return;
  }
  const Shape place{height, width, 1};
  const auto centre = [&](size_t axis) {
    const Value at = g.cast(g.coordinate(place, 1 - axis), DType::float32);
    return times_number(g, add_number(g, at, offset), steps[axis]);
  };
  const Value centres[2] = {centre(0), centre(1)};
  std::vector<Value> columns;
  for (const auto& [half_width, half_height] : halves) {
    const float half[2] = {half_width, half_height};
    for (const float sign : {-1.0F, 1.0F}) {
      for (size_t axis = 0; axis < 2; ++axis) {
        const Value edge = add_number(g, centres[axis], sign * half[axis]);
        columns.push_back(g.division(edge, graphs::number(g, edge, image_sizes[axis])));
      }
    }
  }
  Value boxes = g.concatenation(columns, 2);
  if (clip) boxes = graphs::clamped(g, boxes, 0, 1);
  record.output(out, g.cast(g.reshape(boxes, dims_of(*out)), dtype_of(*out)));
  SmallVector<Value, 4> numbers;
  for (float one : variances) numbers.push_back(g.constant(one, DType::float32, {1}));
  const Value each = g.broadcast(g.concatenation(numbers, 0), dims_of(*var));
  record.output(var, g.cast(each, dtype_of(*var)));
  record.launch();
}

// -- yolo_box
// ------------------------------------------------------------------------------------------------------------

void yolo_box(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& img_size,
              const std::vector<int>& anchors, int class_num, float conf_thresh, int downsample_ratio, bool clip_bbox,
              float scale_x_y, bool iou_aware, float iou_aware_factor, DenseTensor* boxes, DenseTensor* scores) {
  const int64_t images = dims_of(x)[0], height = dims_of(x)[2], width = dims_of(x)[3];
  const auto count = static_cast<int64_t>(anchors.size() / 2);
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value all = g.cast(record.input(x), DType::float32);
  // Channels: where asked for, one of each anchor that says how good its box is; then 5 + classes of each anchor.
  const int64_t before = iou_aware ? count : 0, each = 5 + class_num;
  const Shape split{images, count, each, height * width};
  const Value maps = g.reshape(graphs::slice_axis(g, all, 1, before, count * each), split);
  const auto map = [&](int64_t at) { return graphs::slice_axis(g, maps, 2, at, 1); };
  Value confidence = g.sigmoid(map(4));
  if (iou_aware) {
    const Value iou = g.reshape(g.sigmoid(graphs::slice_axis(g, all, 1, 0, count)), {images, count, 1, height * width});
    confidence = g.multiplication(g.power(confidence, graphs::number(g, confidence, 1 - iou_aware_factor)),
                                  g.power(iou, graphs::number(g, iou, iou_aware_factor)));
  }
  const Value sure = g.greater_than_or_equal_to(confidence, graphs::number(g, confidence, conf_thresh));
  const Value sizes = g.cast(record.input(img_size), DType::float32);  // height, width
  const Shape grid{1, 1, height, width};
  const int64_t lengths[2] = {width, height};
  const double bias = -0.5 * (scale_x_y - 1);
  SmallVector<Value, 4> parts;
  parts.resize(4, confidence);
  for (int64_t axis = 0; axis < 2; ++axis) {
    const auto length = static_cast<double>(lengths[axis]);
    const Value size = g.reshape(part(g, sizes, 1 - axis), {images, 1, 1, 1});
    const Value at =
        g.reshape(g.cast(g.coordinate(grid, static_cast<size_t>(3 - axis)), DType::float32), {1, 1, 1, height * width});
    const Value inner = add_number(g, times_number(g, g.sigmoid(map(axis)), scale_x_y), bias);
    const Value place = g.multiplication(g.addition(at, inner), size);
    const Value centre = g.division(place, graphs::number(g, place, length));
    SmallVector<Value, 4> own;
    for (int64_t i = 0; i < count; ++i) {
      own.push_back(g.constant(anchors[static_cast<size_t>(2 * i + axis)], DType::float32, {1, 1, 1, 1}));
    }
    const Value grown = g.multiplication(g.exponent(map(axis + 2)), g.concatenation(own, 1));
    const Value whole = g.multiplication(grown, size);
    const Value half = g.division(whole, graphs::number(g, whole, 2 * length * downsample_ratio));
    Value low = g.subtraction(centre, half), high = g.addition(centre, half);
    if (clip_bbox) {
      low = g.maximum(low, graphs::number(g, low, 0));
      high = g.minimum(high, add_number(g, size, -1));
    }
    parts[static_cast<size_t>(axis)] = low;
    parts[static_cast<size_t>(axis) + 2] = high;
  }
  set_dtype(scores, x.dtype());                                   // Paddle's shape inference leaves float32
  const auto give = [&](DenseTensor* to, Value maps_of_anchor) {  // [images, anchors, numbers, places]
    const Value chosen = g.select(sure, maps_of_anchor, g.constant(0.0, DType::float32));
    record.output(to, g.cast(g.reshape(g.transpose(chosen, {0, 1, 3, 2}), dims_of(*to)), dtype_of(*to)));
  };
  give(boxes, g.concatenation(parts, 2));
  give(scores, g.multiplication(confidence, g.sigmoid(graphs::slice_axis(g, maps, 2, 5, class_num))));
  record.launch();
}

}  // namespace

MPS_KERNEL(box_coder, phi::BoxCoderKernel, box_coder, kFloats)
MPS_KERNEL(prior_box, phi::PriorBoxKernel, prior_box, kFloat32)
MPS_KERNEL(yolo_box, phi::YoloBoxKernel, yolo_box, kFloats)

}  // namespace mps::paddle
