// Resizing of images: nearest, linear, bilinear, trilinear and bicubic, axis by axis, with or without antialiasing, and
// the gradients.
#include "kernels/graphs/resize.h"
#include "kernels/ops/sliding.h"
#include "paddle/phi/kernels/interpolate_grad_kernel.h"
#include "paddle/phi/kernels/interpolate_kernel.h"
#include "plugin/paddle/host_value.h"
#include "plugin/paddle/recorder.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using graphs::Interpolation;
using graphs::Resizing;
using phi::CustomContext;
using phi::DenseTensor;
using OptionalTensor = ::paddle::optional<DenseTensor>;
using OptionalTensors = ::paddle::optional<std::vector<const DenseTensor*>>;

// What Paddle says of the size of the result; tensors win over attributes, and a size wins over a scale.
struct Wanted {
  const OptionalTensor& out_size;
  const OptionalTensors& size_tensor;
  const OptionalTensor& scale_tensor;
  std::vector<int> sizes;  // of the last spatial axes
  const std::vector<double>& scale;
  bool align_corners;
  int align_mode;
  bool antialias = false;
};

// One for each spatial axis; none if the result is the operand.
using Axes = SmallVector<Resizing, 3>;

// As Paddle's CPU device computes it, in float.
float ratio_of(int64_t from, int64_t to, const Wanted& wanted, double scale) {
  if (to <= 1 && (wanted.align_corners || !wanted.antialias)) return 0;
  if (wanted.align_corners) return static_cast<float>(from - 1) / static_cast<float>(to - 1);
  return scale > 0 ? static_cast<float>(1.0 / scale) : static_cast<float>(from) / static_cast<float>(to);
}

Axes axes_of(const CustomContext& ctx, const DenseTensor& x, Interpolation interpolation, const Wanted& wanted,
             bool channels_last) {
  const size_t count = dims_of(x).size() - 2;
  std::vector<double> scales;
  std::vector<int64_t> sizes;
  if (wanted.scale_tensor) {
    for (const Scalar& one : host_values(ctx, *wanted.scale_tensor)) scales.push_back(one.to_double());
  } else {
    scales = wanted.scale;
  }
  if (scales.size() == 1) scales.resize(count, scales[0]);
  if (scales.size() != count) scales.assign(count, -1.0);
  for (size_t i = 0; i < count; ++i) {
    const int64_t from = dims_of(x)[channels_last ? 1 + i : 2 + i];
    const bool is_scaled = scales[i] > 0;
    sizes.push_back(is_scaled ? static_cast<int64_t>(static_cast<double>(from) * scales[i])
                              : wanted.sizes[wanted.sizes.size() - count + i]);
  }
  if (wanted.size_tensor && !wanted.size_tensor->empty()) {
    scales.assign(count, -1.0);
    for (size_t i = 0; i < count; ++i) sizes[i] = host_value(ctx, *(*wanted.size_tensor)[i]).to_int64();
  } else if (wanted.out_size) {
    const std::vector<Scalar> given = host_values(ctx, *wanted.out_size);
    for (size_t i = 0; i < count; ++i) sizes[i] = given[i].to_int64();
  }
  Axes axes;
  bool same = true;
  for (size_t i = 0; i < count; ++i) {
    Resizing resizing;
    resizing.interpolation = interpolation;
    resizing.align_corners = wanted.align_corners;
    resizing.antialias = wanted.antialias;
    const bool by_mode = interpolation == Interpolation::kCubic || wanted.align_mode == 0;
    resizing.areas = !wanted.align_corners && by_mode;
    resizing.from = dims_of(x)[channels_last ? 1 + i : 2 + i];
    resizing.to = sizes[i];
    resizing.ratio = ratio_of(resizing.from, resizing.to, wanted, scales[i]);
    same = same && resizing.from == resizing.to;
    axes.push_back(resizing);
  }
  if (same) axes.clear();
  return axes;
}

void interpolate(const CustomContext& ctx, const DenseTensor& x, Interpolation interpolation, const Wanted& wanted,
                 const std::string& layout, DenseTensor* out) {
  const bool channels_last = channels_come_last(layout);
  const Axes axes = axes_of(ctx, x, interpolation, wanted, channels_last);
  std::vector<int64_t> shape(dims_of(x).begin(), dims_of(x).end());
  for (size_t i = 0; i < axes.size(); ++i) shape[channels_last ? 1 + i : 2 + i] = axes[i].to;
  out->Resize(phi::make_ddim(shape));
  Recorder record(ctx);
  Graph& g = record.graph;
  Value result = record.input(x);
  const bool moves = interpolation == Interpolation::kNearest;
  if (!moves) result = g.cast(result, DType::float32);
  for (size_t i = axes.size(); i-- > 0;) {
    result = graphs::resize_axis(g, result, channels_last ? 1 + i : 2 + i, axes[i]);
  }
  record.output(out, g.cast(result, dtype_of(*out)));
  record.launch();
}

void interpolate_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& dout,
                      Interpolation interpolation, const Wanted& wanted, const std::string& layout, DenseTensor* dx) {
  if (dx == nullptr) return;
  const bool channels_last = channels_come_last(layout);
  const Axes axes = axes_of(ctx, x, interpolation, wanted, channels_last);
  Recorder record(ctx);
  Graph& g = record.graph;
  Value gradient = g.cast(record.input(dout), DType::float32);
  for (size_t i = 0; i < axes.size(); ++i) {
    gradient = graphs::resize_axis_gradient(g, gradient, channels_last ? 1 + i : 2 + i, axes[i]);
  }
  record.output(dx, g.cast(gradient, dtype_of(*dx)));
  record.launch();
}

// Paddle's parameters are the same for all.
template <Interpolation kInterpolation>
void resize(const CustomContext& ctx, const DenseTensor& x, const OptionalTensor& out_size,
            const OptionalTensors& size_tensor, const OptionalTensor& scale_tensor, const std::string& layout,
            int out_d, int out_h, int out_w, const std::vector<double>& scale, const std::string&, bool align_corners,
            int align_mode, DenseTensor* out) {
  interpolate(ctx, x, kInterpolation,
              {out_size, size_tensor, scale_tensor, {out_d, out_h, out_w}, scale, align_corners, align_mode}, layout,
              out);
}

template <Interpolation kInterpolation>
void resize_grad(const CustomContext& ctx, const DenseTensor& x, const OptionalTensor& out_size,
                 const OptionalTensors& size_tensor, const OptionalTensor& scale_tensor, const DenseTensor& dout,
                 const std::string& layout, int out_d, int out_h, int out_w, const std::vector<double>& scale,
                 const std::string&, bool align_corners, int align_mode, DenseTensor* dx) {
  interpolate_grad(ctx, x, dout, kInterpolation,
                   {out_size, size_tensor, scale_tensor, {out_d, out_h, out_w}, scale, align_corners, align_mode},
                   layout, dx);
}

Interpolation antialiased(const std::string& method) {
  if (method == "bicubic") return Interpolation::kCubic;
  MPS_CHECK(method == "bilinear", kArgument, "bad mode of an antialiased resize: expected bilinear or bicubic, got ",
            method, ".");
  return Interpolation::kLinear;
}

void antialias(const CustomContext& ctx, const DenseTensor& x, const OptionalTensor& out_size,
               const OptionalTensors& size_tensor, const OptionalTensor& scale_tensor, const std::string& layout,
               int out_d, int out_h, int out_w, const std::vector<double>& scale, const std::string& method,
               bool align_corners, int align_mode, DenseTensor* out) {
  const std::vector<int> sizes{out_d, out_h, out_w};
  interpolate(ctx, x, antialiased(method),
              {out_size, size_tensor, scale_tensor, sizes, scale, align_corners, align_mode, true}, layout, out);
}

void antialias_grad(const CustomContext& ctx, const DenseTensor& x, const OptionalTensor& out_size,
                    const OptionalTensors& size_tensor, const OptionalTensor& scale_tensor, const DenseTensor& dout,
                    const std::string& layout, int out_d, int out_h, int out_w, const std::vector<double>& scale,
                    const std::string& method, bool align_corners, int align_mode, DenseTensor* dx) {
  const std::vector<int> sizes{out_d, out_h, out_w};
  interpolate_grad(ctx, x, dout, antialiased(method),
                   {out_size, size_tensor, scale_tensor, sizes, scale, align_corners, align_mode, true}, layout, dx);
}

}  // namespace

MPS_KERNEL(nearest_interp, phi::NearestInterpKernel, resize<Interpolation::kNearest>, kFloats)
MPS_KERNEL(nearest_interp_grad, phi::NearestInterpGradKernel, resize_grad<Interpolation::kNearest>, kFloats)
MPS_KERNEL(linear_interp, phi::LinearInterpKernel, resize<Interpolation::kLinear>, kFloats)
MPS_KERNEL(linear_interp_grad, phi::LinearInterpGradKernel, resize_grad<Interpolation::kLinear>, kFloats)
MPS_KERNEL(bilinear_interp, phi::BilinearInterpKernel, resize<Interpolation::kLinear>, kFloats)
MPS_KERNEL(bilinear_interp_grad, phi::BilinearInterpGradKernel, resize_grad<Interpolation::kLinear>, kFloats)
MPS_KERNEL(trilinear_interp, phi::TrilinearInterpKernel, resize<Interpolation::kLinear>, kFloats)
MPS_KERNEL(trilinear_interp_grad, phi::TrilinearInterpGradKernel, resize_grad<Interpolation::kLinear>, kFloats)
MPS_KERNEL(bicubic_interp, phi::BicubicInterpKernel, resize<Interpolation::kCubic>, kFloats)
MPS_KERNEL(bicubic_interp_grad, phi::BicubicInterpGradKernel, resize_grad<Interpolation::kCubic>, kFloats)
MPS_KERNEL(interp_antialias, phi::InterpAntialiasKernel, antialias, kFloats)
MPS_KERNEL(interp_antialias_grad, phi::InterpAntialiasGradKernel, antialias_grad, kFloats)

}  // namespace mps::paddle
