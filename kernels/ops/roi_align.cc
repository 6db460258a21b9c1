// Regions of images as small images of one size: each of its elements is the mean of samples, read between elements, of
// its part of the region. Computed in float32.
#include <cmath>

#include "kernels/graphs/grid.h"
#include "paddle/phi/kernels/roi_align_grad_kernel.h"
#include "paddle/phi/kernels/roi_align_kernel.h"
#include "plugin/core/check.h"
#include "plugin/paddle/host_value.h"
#include "plugin/paddle/recorder.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using graphs::Corner;
using phi::CustomContext;
using phi::DenseTensor;
using Optional = ::paddle::optional<DenseTensor>;

struct Regions {
  const DenseTensor &x, &boxes, &boxes_num;
  int64_t lengths[2];  // of the results
  float scale;
  int sampling_ratio;
  bool aligned;
  int64_t samples[2] = {0, 0};  // along each axis, in each part of a region: the most that any region has

  int64_t count() const { return dims_of(boxes)[0]; }
  int64_t along(size_t axis) const { return lengths[axis] * samples[axis]; }
  int64_t places() const { return count() * along(0) * along(1); }
};

// Where regions begin along an axis (0: rows, 1: columns), and how long each of its parts is: float32 [regions, 1, 1].
struct Extent {
  Value start{}, part{};
};
Extent extent_of(Recorder& record, const Regions& regions, size_t axis) {
  Graph& g = record.graph;
  const Value boxes = g.cast(record.input(regions.boxes), DType::float32);
  const auto edge = [&](size_t column) {  // boxes are x0, y0, x1, y1
    const Value at =
        g.reshape(graphs::slice_axis(g, boxes, 1, static_cast<int64_t>(column), 1), {regions.count(), 1, 1});
    const Value scaled = graphs::times_number(g, at, regions.scale);
    return regions.aligned ? graphs::add_number(g, scaled, -0.5) : scaled;
  };
  const Value start = edge(1 - axis);
  Value length = g.subtraction(edge(3 - axis), start);
  if (!regions.aligned) length = g.maximum(length, graphs::number(g, length, 1));
  return {start, g.division(length, graphs::number(g, length, regions.lengths[axis]))};
}

// Samples in each part of each region, if their number follows from its size: float32 [regions, 1, 1].
Value samples_of(Graph& g, const Extent& extent) { return g.ceil(extent.part); }

// How many samples the largest region has. Waits for the boxes where the number follows from them.
void count_samples(const CustomContext& ctx, Regions* regions) {
  for (int64_t& samples : regions->samples) samples = regions->sampling_ratio;
  if (regions->sampling_ratio > 0 || regions->count() == 0) return;
  DenseTensor most(std::shared_ptr<phi::Allocation>(),
                   phi::DenseTensorMeta(phi::DataType::FLOAT32, phi::make_ddim({2})));
  Recorder record(ctx);
  Graph& g = record.graph;
  SmallVector<Value, 2> found;
  for (size_t axis = 0; axis < 2; ++axis) {
    const Value samples = samples_of(g, extent_of(record, *regions, axis));
    found.push_back(g.reshape(g.reduction(NodeKind::reduction_maximum, samples, {0}), {1}));
  }
  record.output(&most, g.concatenation(found, 0));
  record.launch();
  const std::vector<Scalar> counts = host_values(ctx, most);
  for (size_t axis = 0; axis < 2; ++axis) {
    const double count = counts[axis].to_double();
    MPS_CHECK(count <= 1e6, kArgument, "bad boxes for roi_align: expected lengths that are numbers, got one of ", count,
              " elements.");
    regions->samples[axis] = std::max<int64_t>(static_cast<int64_t>(count), 0);
  }
}

// Places and weights of samples along one axis: float32 [regions, parts, samples]. What a region has no sample for, and
// what lies outside of the image, weighs 0.
struct Along {
  Value at{}, weight{};
};
Along along_axis(Recorder& record, const Regions& regions, size_t axis) {
  Graph& g = record.graph;
  const Extent extent = extent_of(record, regions, axis);
  const Shape shape{regions.count(), regions.lengths[axis], regions.samples[axis]};
  const Shape one{1, shape[1], shape[2]};
  const Value part = g.cast(g.coordinate(one, 1), DType::float32);
  const Value sample = g.cast(g.coordinate(one, 2), DType::float32);
  const bool follows = regions.sampling_ratio <= 0;
  const Value count = follows ? samples_of(g, extent) : graphs::number(g, sample, regions.sampling_ratio);
  const Value inner = g.division(graphs::add_number(g, sample, 0.5), g.maximum(count, graphs::number(g, sample, 1)));
  const Value at = g.addition(extent.start, g.multiplication(g.addition(part, inner), extent.part));
  const double length = static_cast<double>(dims_of(regions.x)[2 + axis]);
  const Value bounded = graphs::clamped(g, at, -1, length);
  Value counts = g.equal(bounded, at);
  if (follows) counts = g.multiplication(counts, g.less_than(sample, count));
  const Value share = g.reciprocal(g.maximum(count, graphs::number(g, sample, 1)));
  const Value weight = g.select(counts, g.broadcast(share, shape), g.constant(0.0, DType::float32));
  return {graphs::clamped(g, at, 0, length - 1), weight};
}

// The corners around all samples in the order [regions, rows, samples, columns, samples], weighed for the mean.
std::vector<Corner> corners_of(Recorder& record, const Regions& regions) {
  Graph& g = record.graph;
  const Shape shape{regions.count(), regions.along(0), regions.along(1)};
  const auto spread = [&](Value x, size_t axis) {
    const Shape from = axis == 0 ? Shape{shape[0], shape[1], 1} : Shape{shape[0], 1, shape[2]};
    return graphs::flat(g, g.broadcast(g.reshape(x, from), shape));
  };
  SmallVector<graphs::Places, 2> places;
  Value weight{};
  for (size_t axis = 0; axis < 2; ++axis) {
    const Along along = along_axis(record, regions, axis);
    const Value at = spread(along.at, axis), share = spread(along.weight, axis);
    places.push_back({at, g.constant(1.0, DType::float32, Shape(g.shape(at))), dims_of(regions.x)[2 + axis]});
    weight = axis == 0 ? share : g.multiplication(weight, share);
  }
  const Value counts = g.cast(record.input(regions.boxes_num), DType::int32);
  const Value image = g.reshape(graphs::image_of_regions(g, counts, shape[0]), {shape[0], 1, 1});
  auto corners = graphs::corners_at(g, graphs::flat(g, g.broadcast(image, shape)), places, /*nearest=*/false);
  for (Corner& corner : corners) corner.weight = g.multiplication(corner.weight, weight);
  return corners;
}

Regions regions_of(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& boxes, const Optional& boxes_num,
                   int height, int width, float scale, int sampling_ratio, bool aligned) {
  MPS_CHECK(boxes_num, kArgument,
            "boxes_num is missing: expected how many boxes each image has, got none. Pass boxes_num.");
  Regions regions{x, boxes, *boxes_num, {height, width}, scale, sampling_ratio, aligned};
  count_samples(ctx, &regions);
  return regions;
}

// The shape of all samples of all regions.
Shape samples_shape(const Regions& regions) {
  return {regions.count(),    regions.lengths[0], regions.samples[0],
          regions.lengths[1], regions.samples[1], dims_of(regions.x)[1]};
}

void roi_align(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& boxes, const Optional& boxes_num,
               int height, int width, float scale, int sampling_ratio, bool aligned, DenseTensor* out) {
  const Regions regions = regions_of(ctx, x, boxes, boxes_num, height, width, scale, sampling_ratio, aligned);
  Recorder record(ctx);
  Graph& g = record.graph;
  if (regions.places() * out->numel() == 0) {
    record.output(out, graphs::zeros(g, dtype_of(*out), dims_of(*out)));
    return record.launch();
  }
  const Value rows = graphs::as_rows(g, g.cast(record.input(x), DType::float32));
  const Value samples = graphs::read_corners(g, corners_of(record, regions), rows);
  const Value means = g.reduction_sum(g.reshape(samples, samples_shape(regions)), {2, 4});
  const Value images = g.transpose(g.reshape(means, {regions.count(), height, width, dims_of(x)[1]}), {0, 3, 1, 2});
  record.output(out, g.cast(images, dtype_of(*out)));
  record.launch();
}

void roi_align_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& boxes, const Optional& boxes_num,
                    const DenseTensor& dout, int height, int width, float scale, int sampling_ratio, bool aligned,
                    DenseTensor* dx) {
  if (dx == nullptr) return;
  const Regions regions = regions_of(ctx, x, boxes, boxes_num, height, width, scale, sampling_ratio, aligned);
  Recorder record(ctx);
  Graph& g = record.graph;
  if (regions.places() * dx->numel() == 0) {
    record.output(dx, graphs::zeros(g, dtype_of(*dx), dims_of(*dx)));
    return record.launch();
  }
  const int64_t channels = dims_of(x)[1];
  const Value gradient = g.transpose(g.cast(record.input(dout), DType::float32), {0, 2, 3, 1});
  const Value apart = g.reshape(gradient, {regions.count(), height, 1, width, 1, channels});
  const Value of_samples = g.reshape(g.broadcast(apart, samples_shape(regions)), {1, regions.places(), channels});
  const Value sum = graphs::rows_gradient(g, corners_of(record, regions), of_samples, x.numel() / channels);
  record.output(dx, g.cast(graphs::as_images(g, sum, dims_of(x)), dtype_of(*dx)));
  record.launch();
}

}  // namespace

MPS_KERNEL(roi_align, phi::RoiAlignKernel, roi_align, kFloats)
MPS_KERNEL(roi_align_grad, phi::RoiAlignGradKernel, roi_align_grad, kFloats)

}  // namespace mps::paddle
