// Regions of images as small images of one size, by whole pixels: roi_pool takes the greatest of each part of a region
// (Girshick, "Fast R-CNN", 2015), psroi_pool the mean of channels that are the part's own (Dai et al., "R-FCN", 2016).
#include <limits>

#include "kernels/graphs/grid.h"
#include "kernels/graphs/rectangles.h"
#include "kernels/ops/temporary.h"
#include "kernels/ops/wide.h"
#include "paddle/phi/kernels/psroi_pool_grad_kernel.h"
#include "paddle/phi/kernels/psroi_pool_kernel.h"
#include "paddle/phi/kernels/roi_pool_grad_kernel.h"
#include "paddle/phi/kernels/roi_pool_kernel.h"
#include "plugin/core/check.h"
#include "plugin/paddle/host_value.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;
using Optional = ::paddle::optional<DenseTensor>;

constexpr int64_t kKeptElements = int64_t{1} << 25;  // 128 MiB of float32

struct Regions {
  Regions(const char* name, const DenseTensor& images, const DenseTensor& corners, const Optional& boxes_num,
          int height, int width, float by)
      : x(images), boxes(corners), counts(boxes_num.get_ptr()), lengths{height, width}, scale(by) {
    MPS_CHECK(counts != nullptr, kArgument, "boxes_num is missing for ", name,
              ": expected how many boxes each image has, got none. Pass boxes_num.");
    MPS_CHECK(counts->numel() == dims_of(x)[0], kArgument, "bad boxes_num for ", name,
              ": expected a number for each of ", dims_of(x)[0], " images, got ", counts->numel(),
              ". Pass one for every image, 0 too.");
  }
  int64_t count() const { return dims_of(boxes)[0]; }

  const DenseTensor &x, &boxes;
  const DenseTensor* counts;
  int64_t lengths[2];  // of the results
  float scale;
};

// To the nearest whole number, halves away from 0.
Value rounded(Graph& g, Value x) {
  const Value whole = g.truncate(x);
  const Value goes_on = g.greater_than_or_equal_to(g.absolute(g.subtraction(x, whole)), graphs::number(g, x, 0.5));
  return g.addition(whole, g.select(goes_on, g.sign(x), graphs::number(g, x, 0)));
}

// The number of each part along an axis of the results: float32, of `rank` axes.
Value part_numbers(Graph& g, const Regions& regions, size_t rank, size_t axis) {
  Shape line;
  line.resize(rank, 1);
  line[rank - 2 + axis] = regions.lengths[axis];
  return g.cast(g.coordinate(line, static_cast<int>(rank - 2 + axis)), DType::float32);
}

// One edge of each box, float32 [boxes, 1 ..]: x0, y0, x1 or y1.
Value edge_of(Graph& g, Value boxes, size_t rank, size_t column) {
  Shape shape;
  shape.resize(rank, 1);
  shape[0] = g.shape(boxes)[0];
  return g.reshape(graphs::slice_axis(g, boxes, 1, static_cast<int64_t>(column), 1), shape);
}

Value images_of(Recorder& record, const Regions& regions, size_t rank) {
  Graph& g = record.graph;
  const Value counts = g.cast(record.input(*regions.counts), DType::int32);
  Shape shape;
  shape.resize(rank, 1);
  shape[0] = regions.count();
  return g.reshape(graphs::image_of_regions(g, counts, regions.count()), shape);
}

// How long ranges are that only the device knows, as powers of two: rows, columns. Waits for the boxes.
using RangeOf = graphs::Range (*)(Graph&, const Regions&, Value, size_t);
void count_lengths(const CustomContext& ctx, const Regions& regions, RangeOf range_of, int64_t (&lengths)[2]) {
  DenseTensor most = temporary(DType::int32, {2});
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value corners = wide(record, regions.boxes);
  SmallVector<Value, 2> found;
  for (size_t axis = 0; axis < 2; ++axis) {
    const Value longest = graphs::flat(g, range_of(g, regions, corners, axis).length);
    found.push_back(g.reduction(NodeKind::reduction_maximum, longest, {0}));
  }
  record.output(&most, g.concatenation(found, 0));
  record.launch();
  const std::vector<Scalar> counts = host_values(ctx, most);
  for (size_t axis = 0; axis < 2; ++axis) {
    lengths[axis] = std::max<int64_t>(1, graphs::lengths_up_to(counts[axis].to_int64()));
  }
}

// -- roi_pool
// ------------------------------------------------------------------------------------------------------------

// Boxes end at the pixel that they name, and have one at least.
graphs::Range pooled_range(Graph& g, const Regions& regions, Value boxes, size_t axis) {
  const auto edge = [&](size_t column) {
    return rounded(g, graphs::times_number(g, edge_of(g, boxes, 3, column), regions.scale));
  };
  const Value begin = edge(1 - axis);
  const Value size = graphs::add_number(g, g.subtraction(edge(3 - axis), begin), 1);
  const Value length = g.maximum(size, graphs::number(g, size, 1));
  const Value each = g.division(length, graphs::number(g, length, regions.lengths[axis]));
  const Value part = part_numbers(g, regions, 3, axis);
  const Value from = g.floor(g.multiplication(part, each));
  const Value to = g.ceil(g.multiplication(graphs::add_number(g, part, 1), each));
  return graphs::range_within(g, g.addition(begin, from), g.addition(begin, to), dims_of(regions.x)[2 + axis]);
}

void roi_pool(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& boxes, const Optional& boxes_num,
              int height, int width, float scale, DenseTensor* out, DenseTensor* arg_max) {
  const Regions regions("roi_pool", x, boxes, boxes_num, height, width, scale);
  Recorder record(ctx);
  Graph& g = record.graph;
  if (out->numel() == 0 || x.numel() == 0) {
    record.output(out, graphs::zeros(g, dtype_of(*out), dims_of(*out)));
    record.output(arg_max, g.constant(-1, DType::int64, dims_of(*arg_max)));
    return record.launch();
  }
  const DType dtype = graphs::compute_dtype(dtype_of(x));
  int64_t lengths[2];
  count_lengths(ctx, regions, pooled_range, lengths);
  const Value corners = wide(record, boxes);
  const graphs::Rectangles parts{images_of(record, regions, 3),
                                 pooled_range(g, regions, corners, 0),
                                 pooled_range(g, regions, corners, 1),
                                 {regions.count(), height, width},
                                 lengths[0],
                                 lengths[1]};
  const Scalar lowest = is_float(dtype) ? Scalar(-std::numeric_limits<float>::max())
                                        : Scalar(int64_t{-std::numeric_limits<int32_t>::max()});
  const Value images = g.transpose(g.cast(record.input(x), dtype), {0, 2, 3, 1});
  const graphs::Maxima maxima = graphs::maxima_of(g, parts, images, lowest, kKeptElements);
  const auto give = [&](DenseTensor* to, Value found) {
    const Value apart = g.reshape(found, {regions.count(), height, width, dims_of(x)[1]});
    record.output(to, g.cast(g.transpose(apart, {0, 3, 1, 2}), dtype_of(*to)));
  };
  give(out, maxima.value);
  give(arg_max, maxima.place);
  record.launch();
}

void roi_pool_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& boxes, const Optional& boxes_num,
                   const DenseTensor& arg_max, const DenseTensor& dout, int height, int width, float scale,
                   DenseTensor* dx) {
  if (dx == nullptr) return;
  const Regions regions("roi_pool_grad", x, boxes, boxes_num, height, width, scale);
  Recorder record(ctx);
  Graph& g = record.graph;
  const Shape shape(dims_of(x));
  const Value none = graphs::zeros(g, DType::float32, shape);
  if (dout.numel() == 0 || x.numel() == 0) {
    write(record, dx, none);
    return record.launch();
  }
  const DType dtype = graphs::position_dtype(x.numel());
  const Value channel = g.cast(g.coordinate({1, shape[1], 1, 1}, 1), dtype);
  const Value plane = graphs::within(g, g.cast(images_of(record, regions, 4), dtype), shape[1], channel);
  const Value place = g.cast(record.input(arg_max), dtype);
  const Value at = graphs::within(g, plane, shape[2] * shape[3], place);
  const Value has = g.greater_than_or_equal_to(place, graphs::number(g, place, 0));
  const Value to = g.select(has, at, graphs::number(g, at, -1));
  write(record, dx, graphs::put_at(g, ScatterMode::kAdd, none, to, wide(record, dout)));
  record.launch();
}

// -- psroi_pool
// ----------------------------------------------------------------------------------------------------------

// Edges lie between pixels: boxes are rounded to them before they are scaled, and end behind their last one.
graphs::Range mean_range(Graph& g, const Regions& regions, Value boxes, size_t axis) {
  const Value low = rounded(g, edge_of(g, boxes, 4, 1 - axis));
  const Value high = graphs::add_number(g, rounded(g, edge_of(g, boxes, 4, 3 - axis)), 1);
  const Value begin = graphs::times_number(g, low, regions.scale);
  const Value size = g.subtraction(graphs::times_number(g, high, regions.scale), begin);
  const Value length = g.maximum(size, graphs::number(g, size, 0.1));
  const Value each = g.division(length, graphs::number(g, length, regions.lengths[axis]));
  const Value part = part_numbers(g, regions, 4, axis);
  const auto edge = [&](Value number) { return g.addition(g.multiplication(number, each), begin); };
  return graphs::range_within(g, g.floor(edge(part)), g.ceil(edge(graphs::add_number(g, part, 1))),
                              dims_of(regions.x)[2 + axis]);
}

// The parts of each region in the channels that are theirs, all images and channels taken as one line.
graphs::Rectangles mean_parts(const CustomContext& ctx, Recorder& record, const Regions& regions) {
  Graph& g = record.graph;
  int64_t lengths[2];
  count_lengths(ctx, regions, mean_range, lengths);
  const int64_t channels = dims_of(regions.x)[1], height = regions.lengths[0], width = regions.lengths[1];
  const Shape own{1, channels / (height * width), height, width};
  const Value channel = g.reshape(g.coordinate({channels}, 0), own);
  const Value image = images_of(record, regions, 4);
  const Value corners = wide(record, regions.boxes);
  return {g.addition(g.multiplication(image, graphs::number(g, image, channels)), channel),
          mean_range(g, regions, corners, 0),
          mean_range(g, regions, corners, 1),
          {regions.count(), own[1], height, width},
          lengths[0],
          lengths[1]};
}

// How many elements each part has; 1 for those without.
Value areas_of(Graph& g, const graphs::Rectangles& parts) {
  const Value area = g.multiplication(parts.rows.length, parts.columns.length);
  return g.cast(g.maximum(area, graphs::number(g, area, 1)), DType::float32);
}

Shape planes_of(Dims shape) { return {shape[0] * shape[1], shape[2], shape[3]}; }

Regions mean_regions(const char* name, const DenseTensor& x, const DenseTensor& boxes, const Optional& boxes_num,
                     int height, int width, int channels, float scale) {
  MPS_CHECK(dims_of(x)[1] == int64_t{channels} * height * width, kArgument, "bad channels for ", name, ": expected ",
            channels, " x ", height, " x ", width, ", got ", dims_of(x)[1], ". Give each part channels of its own.");
  return {name, x, boxes, boxes_num, height, width, scale};
}

void psroi_pool(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& boxes, const Optional& boxes_num,
                int height, int width, int channels, float scale, DenseTensor* out) {
  const Regions regions = mean_regions("psroi_pool", x, boxes, boxes_num, height, width, channels, scale);
  Recorder record(ctx);
  Graph& g = record.graph;
  if (out->numel() == 0 || x.numel() == 0) {
    record.output(out, graphs::zeros(g, dtype_of(*out), dims_of(*out)));
    return record.launch();
  }
  const graphs::Rectangles parts = mean_parts(ctx, record, regions);
  const Value sums = graphs::sums_of(g, parts, wide(record, x, planes_of(dims_of(x))));
  write(record, out, g.division(sums, areas_of(g, parts)));
  record.launch();
}

void psroi_pool_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& boxes,
                     const Optional& boxes_num, const DenseTensor& dout, int height, int width, int channels,
                     float scale, DenseTensor* dx) {
  if (dx == nullptr) return;
  const Regions regions = mean_regions("psroi_pool_grad", x, boxes, boxes_num, height, width, channels, scale);
  Recorder record(ctx);
  Graph& g = record.graph;
  if (dout.numel() == 0 || x.numel() == 0) {
    record.output(dx, graphs::zeros(g, dtype_of(*dx), dims_of(*dx)));
    return record.launch();
  }
  const graphs::Rectangles parts = mean_parts(ctx, record, regions);
  const Value each = g.division(wide(record, dout), areas_of(g, parts));
  write(record, dx, graphs::sums_gradient(g, parts, each, planes_of(dims_of(x))));
  record.launch();
}

constexpr DTypes kPooled = {phi::DataType::FLOAT32, phi::DataType::FLOAT16, phi::DataType::BFLOAT16,
                            phi::DataType::INT32};

void give_places(const phi::KernelKey&, phi::Kernel* kernel) { kernel->OutputAt(1).SetDataType(phi::DataType::INT64); }

}  // namespace

MPS_KERNEL_WITH_DEFINE(roi_pool, phi::RoiPoolKernel, roi_pool, kPooled, give_places)
MPS_KERNEL(roi_pool_grad, phi::RoiPoolGradKernel, roi_pool_grad, kFloats)
MPS_KERNEL(psroi_pool, phi::PsroiPoolKernel, psroi_pool, kFloats)
MPS_KERNEL(psroi_pool_grad, phi::PsroiPoolGradKernel, psroi_pool_grad, kFloats)

}  // namespace mps::paddle
