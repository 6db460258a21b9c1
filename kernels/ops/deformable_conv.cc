// Convolution whose windows are bent: each tap of each window is read at a place that an offset moves, between
// elements, and may be weighed by a mask. A matrix product of what is read there with the filter. Computed in float32.
#include "kernels/graphs/grid.h"
#include "kernels/graphs/matmul.h"
#include "paddle/phi/kernels/deformable_conv_grad_kernel.h"
#include "paddle/phi/kernels/deformable_conv_kernel.h"
#include "plugin/core/check.h"
#include "plugin/paddle/recorder.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using graphs::Corner;
using phi::CustomContext;
using phi::DenseTensor;
using Optional = ::paddle::optional<DenseTensor>;

// Channels in `parts` (deformable groups) are moved together: with its own places, each part is an image of its own.
struct Bent {
  const DenseTensor &x, &offset, &filter;
  const Optional& mask;
  const std::vector<int>&strides, &paddings, &dilations;
  int64_t parts, groups;

  int64_t images() const { return dims_of(x)[0]; }
  int64_t channels_of_part() const { return dims_of(x)[1] / parts; }
  int64_t taps() const { return dims_of(filter)[2] * dims_of(filter)[3]; }
  int64_t windows() const { return dims_of(offset)[2] * dims_of(offset)[3]; }
  int64_t rows() const { return images() * parts * taps() * windows(); }
  Shape image_shape() const { return {images() * parts, channels_of_part(), dims_of(x)[2], dims_of(x)[3]}; }
  // What is read, as the matrices that meet the filter.
  Shape matrix_shape() const { return {images(), groups, dims_of(x)[1] / groups * taps(), windows()}; }
  Shape filter_shape() const { return {1, groups, dims_of(filter)[0] / groups, dims_of(filter)[1] * taps()}; }
  Shape result_shape() const { return {images(), groups, dims_of(filter)[0] / groups, windows()}; }
};

// Where taps are read along one axis (0: rows, 1: columns), float32 [rows()].
graphs::Places places_along(Graph& g, const Bent& bent, Value offset, size_t axis) {
  const Shape from{dims_of(bent.filter)[2], dims_of(bent.filter)[3], dims_of(bent.offset)[2], dims_of(bent.offset)[3]};
  const Value window = g.cast(g.coordinate(from, 2 + axis), DType::float32);
  const Value tap = g.cast(g.coordinate(from, axis), DType::float32);
  const Value start = graphs::add_number(g, graphs::times_number(g, window, bent.strides[axis]), -bent.paddings[axis]);
  const Value base = g.addition(start, graphs::times_number(g, tap, bent.dilations[axis]));
  const Value moved = graphs::slice_axis(g, offset, 2, static_cast<int64_t>(axis), 1);
  const Value at = graphs::flat(g, g.addition(g.reshape(base, {1, bent.taps(), 1, bent.windows()}), moved));
  // A place a whole element outside reads 0, and its offset has no slope.
  const Value inside = g.greater_than(at, graphs::number(g, at, -1));
  const Value one = g.constant(1.0, DType::float32, Shape(g.shape(at)));
  return {at, g.select(inside, one, graphs::number(g, one, 0)), dims_of(bent.x)[2 + axis]};
}

std::vector<Corner> corners_of(Recorder& record, const Bent& bent) {
  Graph& g = record.graph;
  const Shape shape{bent.images() * bent.parts, bent.taps(), 2, bent.windows()};
  const Value offset = g.cast(record.input(bent.offset, shape), DType::float32);
  const SmallVector<graphs::Places, 2> along{places_along(g, bent, offset, 0), places_along(g, bent, offset, 1)};
  const Value image = graphs::image_of_places(g, bent.images() * bent.parts, bent.taps() * bent.windows());
  return graphs::corners_at(g, image, along, /*nearest=*/false);
}

Value image_rows(Recorder& record, const Bent& bent) {
  Graph& g = record.graph;
  return graphs::as_rows(g, g.cast(record.input(bent.x, bent.image_shape()), DType::float32));
}

Value mask_of(Recorder& record, const Bent& bent) {
  return record.graph.cast(record.input(*bent.mask, {1, bent.rows(), 1}), DType::float32);
}

// Between [1, rows(), channels of a part] and the matrices that meet the filter.
Value as_matrices(Graph& g, const Bent& bent, Value rows) {
  const Shape split{bent.images(), bent.parts, bent.taps(), bent.windows(), bent.channels_of_part()};
  return g.reshape(g.transpose(g.reshape(rows, split), {0, 1, 4, 2, 3}), bent.matrix_shape());
}
Value from_matrices(Graph& g, const Bent& bent, Value matrices) {
  const Shape split{bent.images(), bent.parts, bent.channels_of_part(), bent.taps(), bent.windows()};
  return g.reshape(g.transpose(g.reshape(matrices, split), {0, 1, 3, 4, 2}), {1, bent.rows(), bent.channels_of_part()});
}

void deformable_conv(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& offset,
                     const DenseTensor& filter, const Optional& mask, const std::vector<int>& strides,
                     const std::vector<int>& paddings, const std::vector<int>& dilations, int deformable_groups,
                     int groups, int, DenseTensor* out) {
  const Bent bent{x, offset, filter, mask, strides, paddings, dilations, deformable_groups, groups};
  Recorder record(ctx);
  Graph& g = record.graph;
  if (out->numel() == 0) return record.output(out, graphs::zeros(g, dtype_of(*out), dims_of(*out))), record.launch();
  Value rows = graphs::read_corners(g, corners_of(record, bent), image_rows(record, bent));
  if (mask) rows = g.multiplication(rows, mask_of(record, bent));
  const Value weights = g.cast(record.input(filter, bent.filter_shape()), DType::float32);
  const Value product = g.matrix_multiplication(weights, as_matrices(g, bent, rows));
  record.output(out, g.cast(g.reshape(product, dims_of(*out)), dtype_of(*out)));
  record.launch();
}

void deformable_conv_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& offset,
                          const DenseTensor& filter, const Optional& mask, const DenseTensor& dout,
                          const std::vector<int>& strides, const std::vector<int>& paddings,
                          const std::vector<int>& dilations, int deformable_groups, int groups, int, DenseTensor* dx,
                          DenseTensor* doffset, DenseTensor* dfilter, DenseTensor* dmask) {
  const Bent bent{x, offset, filter, mask, strides, paddings, dilations, deformable_groups, groups};
  Recorder record(ctx);
  Graph& g = record.graph;
  const auto give = [&](DenseTensor* to, Value value) {
    if (to != nullptr) record.output(to, g.cast(g.reshape(value, dims_of(*to)), dtype_of(*to)));
  };
  if (dout.numel() == 0) {
    for (DenseTensor* to : {dx, doffset, dfilter, dmask}) {
      if (to != nullptr) give(to, graphs::zeros(g, DType::float32, dims_of(*to)));
    }
    return record.launch();
  }
  const auto corners = corners_of(record, bent);
  const Value image = image_rows(record, bent);
  const Value plain = graphs::read_corners(g, corners, image);  // before the mask
  const Value gradient = g.cast(record.input(dout, bent.result_shape()), DType::float32);
  const Value masked = mask ? g.multiplication(plain, mask_of(record, bent)) : plain;
  if (dfilter != nullptr) {
    const Value matrices = as_matrices(g, bent, masked);
    const Value products = g.matrix_multiplication(gradient, graphs::matrix_transpose(g, matrices));
    give(dfilter, g.reduction_sum(products, {0}));
  }
  const Value weights = g.cast(record.input(filter, bent.filter_shape()), DType::float32);
  const Value by_masked =
      from_matrices(g, bent, g.matrix_multiplication(graphs::matrix_transpose(g, weights), gradient));
  const Value by_plain = mask ? g.multiplication(by_masked, mask_of(record, bent)) : by_masked;
  if (dmask != nullptr) give(dmask, g.reduction_sum(g.multiplication(by_masked, plain), {2}));
  if (doffset != nullptr) {
    const auto slopes = graphs::places_gradient(g, corners, image, by_plain);  // the last axis first
    const Shape shape{bent.images() * bent.parts, bent.taps(), 1, bent.windows()};
    give(doffset, g.concatenation({g.reshape(slopes[1], shape), g.reshape(slopes[0], shape)}, 2));
  }
  if (dx != nullptr) {
    const Value sum = graphs::rows_gradient(g, corners, by_plain, g.shape(image)[1]);
    give(dx, graphs::as_images(g, sum, bent.image_shape()));
  }
  record.launch();
}

}  // namespace

MPS_KERNEL(deformable_conv, phi::DeformableConvKernel, deformable_conv, kFloats)
MPS_KERNEL(deformable_conv_grad, phi::DeformableConvGradKernel, deformable_conv_grad, kFloats)

}  // namespace mps::paddle
