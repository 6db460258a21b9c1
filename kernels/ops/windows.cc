// Windows over an image laid out as columns, and columns added up into an image: unfold, fold and their gradients, each
// of which is the gradient of the other.
#include "kernels/graphs/windows.h"

#include "paddle/phi/kernels/fold_grad_kernel.h"
#include "paddle/phi/kernels/fold_kernel.h"
#include "paddle/phi/kernels/unfold_grad_kernel.h"
#include "paddle/phi/kernels/unfold_kernel.h"
#include "plugin/paddle/recorder.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;
using Sizes = std::vector<int>;

// Images of any number of channels, [.., height, width].
Dims image_of(Dims shape) { return {shape.data() + shape.size() - 2, 2}; }

void read_windows(const CustomContext& ctx, const DenseTensor& image, const graphs::Windows& windows,
                  DenseTensor* columns) {
  if (columns == nullptr) return;
  Recorder record(ctx);
  Graph& g = record.graph;
  if (columns->numel() == 0 || image.numel() == 0) {
    record.output(columns, graphs::zeros(g, dtype_of(*columns), dims_of(*columns)));
  } else {
    const int64_t pixels = windows.image[0] * windows.image[1];
    const Value rows = record.input(image, {image.numel() / pixels, pixels, 1});
    record.output(columns, g.reshape(g.gather(graphs::window_positions(g, windows), rows), dims_of(*columns)));
  }
  record.launch();
}

void add_windows(const CustomContext& ctx, const DenseTensor& columns, const graphs::Windows& windows,
                 DenseTensor* image) {
  if (image == nullptr) return;
  const DType to = dtype_of(*image), compute = graphs::compute_dtype(to);
  Recorder record(ctx);
  Graph& g = record.graph;
  if (columns.numel() == 0 || image->numel() == 0) {
    record.output(image, graphs::zeros(g, to, dims_of(*image)));
  } else {
    const int64_t pixels = windows.image[0] * windows.image[1], images = image->numel() / pixels;
    const Value added = g.cast(record.input(columns, {images, windows.elements(), 1}), compute);
    const Value nothing = graphs::zeros(g, compute, {images, pixels, 1});
    record.output(image,
                  g.cast(g.scatter(ScatterMode::kAdd, nothing, graphs::window_positions(g, windows), added), to));
  }
  record.launch();
}

void unfold(const CustomContext& ctx, const DenseTensor& x, const Sizes& sizes, const Sizes& strides,
            const Sizes& paddings, const Sizes& dilations, DenseTensor* out) {
  read_windows(ctx, x, {image_of(dims_of(x)), sizes, strides, paddings, dilations}, out);
}
void unfold_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& dout, const Sizes& sizes,
                 const Sizes& strides, const Sizes& paddings, const Sizes& dilations, DenseTensor* dx) {
  add_windows(ctx, dout, {image_of(dims_of(x)), sizes, strides, paddings, dilations}, dx);
}

void fold(const CustomContext& ctx, const DenseTensor& x, const Sizes&, const Sizes& sizes, const Sizes& strides,
          const Sizes& paddings, const Sizes& dilations, DenseTensor* out) {
  add_windows(ctx, x, {image_of(dims_of(*out)), sizes, strides, paddings, dilations}, out);
}
void fold_grad(const CustomContext& ctx, const DenseTensor&, const DenseTensor& dout, const Sizes&, const Sizes& sizes,
               const Sizes& strides, const Sizes& paddings, const Sizes& dilations, DenseTensor* dx) {
  read_windows(ctx, dout, {image_of(dims_of(dout)), sizes, strides, paddings, dilations}, dx);
}

}  // namespace

MPS_KERNEL(unfold, phi::UnfoldKernel, unfold, kFloats)
MPS_KERNEL(unfold_grad, phi::UnfoldGradKernel, unfold_grad, kFloats)
MPS_KERNEL(fold, phi::FoldKernel, fold, kFloats)
MPS_KERNEL(fold_grad, phi::FoldGradKernel, fold_grad, kFloats)

}  // namespace mps::paddle
