// grid_sample and affine_grid, in two dimensions and in three, with their gradients. Computed in float32.
#include "kernels/graphs/grid.h"

#include "kernels/graphs/matmul.h"
#include "kernels/ops/elementwise.h"
#include "paddle/phi/kernels/affine_grid_grad_kernel.h"
#include "paddle/phi/kernels/affine_grid_kernel.h"
#include "paddle/phi/kernels/grid_sample_grad_kernel.h"
#include "paddle/phi/kernels/grid_sample_kernel.h"
#include "plugin/core/check.h"
#include "plugin/paddle/recorder.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;
using phi::IntArray;

// -- grid_sample
// ---------------------------------------------------------------------------------------------------------

graphs::Sampling sampling_of(const std::string& mode, const std::string& padding, bool align_corners) {
  graphs::Sampling sampling;
  sampling.nearest = mode == "nearest";
  sampling.align_corners = align_corners;
  sampling.outside = padding == "zeros"    ? graphs::Outside::kZeros
                     : padding == "border" ? graphs::Outside::kBorder
                                           : graphs::Outside::kReflection;
  return sampling;
}

Dims spatial(const DenseTensor& image) { return {dims_of(image).data() + 2, dims_of(image).size() - 2}; }

// [N, places, axes]
Value grid_of(Recorder& record, const DenseTensor& grid) {
  const Dims shape = dims_of(grid);
  const int64_t axes = shape[shape.size() - 1];
  return record.graph.cast(record.input(grid, {shape[0], grid.numel() / std::max<int64_t>(shape[0] * axes, 1), axes}),
                           DType::float32);
}

void grid_sample(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& grid, const std::string& mode,
                 const std::string& padding, bool align_corners, DenseTensor* out) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value rows = graphs::as_rows(g, g.cast(record.input(x), DType::float32));
  const auto corners =
      graphs::corners_of(g, grid_of(record, grid), spatial(x), sampling_of(mode, padding, align_corners));
  record.output(out,
                g.cast(graphs::as_images(g, graphs::read_corners(g, corners, rows), dims_of(*out)), dtype_of(*out)));
  record.launch();
}

void grid_sample_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& grid, const DenseTensor& dout,
                      const std::string& mode, const std::string& padding, bool align_corners, DenseTensor* dx,
                      DenseTensor* dgrid) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const graphs::Sampling sampling = sampling_of(mode, padding, align_corners);
  const auto corners = graphs::corners_of(g, grid_of(record, grid), spatial(x), sampling);
  const Value gradient = graphs::as_rows(g, g.cast(record.input(dout), DType::float32));
  if (dx != nullptr) {
    const int64_t count = x.numel() / std::max<int64_t>(dims_of(x)[1], 1);
    const Value sum = graphs::rows_gradient(g, corners, gradient, count);
    record.output(dx, g.cast(graphs::as_images(g, sum, dims_of(x)), dtype_of(*dx)));
  }
  if (dgrid != nullptr) {
    const Value rows = graphs::as_rows(g, g.cast(record.input(x), DType::float32));
    SmallVector<Value, 3> slopes = graphs::places_gradient(g, corners, rows, gradient);
    for (Value& slope : slopes) slope = g.reshape(slope, {g.elements(slope), 1});
    record.output(dgrid, g.cast(g.reshape(g.concatenation(slopes, 1), dims_of(*dgrid)), dtype_of(*dgrid)));
  }
  record.launch();
}

// -- affine_grid
// ---------------------------------------------------------------------------------------------------------

// The result is [N, spatial .., axes].
Ints lengths_of(const DenseTensor& grid) { return Ints(Dims(dims_of(grid).data() + 1, dims_of(grid).size() - 2)); }

void affine_grid(const CustomContext& ctx, const DenseTensor& theta, const IntArray& shape, bool align_corners,
                 DenseTensor* out) {
  // The shape may have come as a tensor, which Paddle's shape inference does not see: [N, C, spatial ..].
  const std::vector<int64_t>& image = shape.GetData();
  MPS_CHECK(image.size() == 4 || image.size() == 5, kArgument,
            "bad shape for affine_grid: expected [N, C, H, W] or [N, C, D, H, W], got ", image.size(), " numbers.");
  std::vector<int64_t> result{image[0]};
  result.insert(result.end(), image.begin() + 2, image.end());
  result.push_back(static_cast<int64_t>(image.size()) - 2);
  out->Resize(phi::make_ddim(result));
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value base = graphs::base_grid(g, lengths_of(*out), align_corners);
  const Value matrices = g.cast(record.input(theta), DType::float32);
  const Value places = g.matrix_multiplication(base, graphs::matrix_transpose(g, matrices));
  record.output(out, g.cast(g.reshape(places, dims_of(*out)), dtype_of(*out)));
  record.launch();
}

void affine_grid_grad(const CustomContext& ctx, const DenseTensor& dout, const IntArray&, bool align_corners,
                      DenseTensor* dtheta) {
  if (dtheta == nullptr) return;
  Recorder record(ctx);
  Graph& g = record.graph;
  const Ints lengths = lengths_of(dout);
  const Value base = graphs::base_grid(g, lengths, align_corners);
  const int64_t axes = static_cast<int64_t>(lengths.size());
  const Value gradient = g.cast(record.input(dout, {dims_of(dout)[0], element_count(lengths), axes}), DType::float32);
  const Value sum = g.matrix_multiplication(graphs::matrix_transpose(g, gradient), base);
  set_dtype(dtheta, dout.dtype());  // Paddle's shape inference leaves float32
  record.output(dtheta, g.cast(g.reshape(sum, dims_of(*dtheta)), dtype_of(*dtheta)));
  record.launch();
}

}  // namespace

MPS_KERNEL(grid_sample, phi::GridSampleKernel, grid_sample, kFloats)
MPS_KERNEL(grid_sample_grad, phi::GridSampleGradKernel, grid_sample_grad, kFloats)
MPS_KERNEL(affine_grid, phi::AffineGridKernel, affine_grid, kFloats)
MPS_KERNEL(affine_grid_grad, phi::AffineGridGradKernel, affine_grid_grad, kFloats)

}  // namespace mps::paddle
