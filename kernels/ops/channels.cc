// What is done to channels: affine_channel scales them, temporal_shift moves some of them in time, and lrn divides each
// by those around it.
#include "kernels/graphs/lines.h"
#include "kernels/ops/sliding.h"
#include "kernels/ops/wide.h"
#include "paddle/phi/kernels/affine_channel_grad_kernel.h"
#include "paddle/phi/kernels/affine_channel_kernel.h"
#include "paddle/phi/kernels/temporal_shift_grad_kernel.h"
#include "paddle/phi/kernels/temporal_shift_kernel.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;

// [images, channels, positions]; with channels last there is one position, and the others are images.
struct Channels {
  Channels(const DenseTensor& x, const std::string& format) {
    const Dims shape = dims_of(x);
    MPS_CHECK(shape.size() >= 2, kArgument, "bad rank: expected 2 or more, got ", shape.size(), ".");
    all = graphs::around(shape, channels_come_last(format) ? shape.size() - 1 : 1);
    each = {1, all[1], 1};
  }
  Shape all, each;
  Ints others{0, 2};
};

// -- affine_channel
// --------------------------------------------------------------------------------------------------------

void affine_channel(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& scale, const DenseTensor& bias,
                    const std::string& format, DenseTensor* out) {
  const Channels channels(x, format);
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value scaled = g.multiplication(wide(record, x, channels.all), wide(record, scale, channels.each));
  write(record, out, g.addition(scaled, wide(record, bias, channels.each)));
  record.launch();
}

void affine_channel_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& scale, const DenseTensor&,
                         const DenseTensor& dout, const std::string& format, DenseTensor* dx, DenseTensor* dscale,
                         DenseTensor* dbias) {
  const Channels channels(x, format);
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value gradient = wide(record, dout, channels.all);
  if (dx != nullptr) write(record, dx, g.multiplication(gradient, wide(record, scale, channels.each)));
  if (dscale != nullptr) {
    const Value products = g.multiplication(gradient, wide(record, x, channels.all));
    write(record, dscale, g.reduction_sum(products, channels.others));
  }
  if (dbias != nullptr) write(record, dbias, g.reduction_sum(gradient, channels.others));
  record.launch();
}

// -- temporal_shift (Lin et al., "TSM: temporal shift module", 2019)
// --------------------------------------------------------------------------------------------------------

// `frames` at `time - by`, and 0 where there is none; time is axis 1.
Value moved(Graph& g, Value frames, int64_t by) {
  const Shape shape(g.shape(frames));
  const int64_t kept = shape[1] - 1;
  const Value none = graphs::zeros(g, g.dtype(frames), graphs::with_axis(shape, 1, 1));
  const Value rest = graphs::slice_axis(g, frames, 1, by > 0 ? 0 : 1, kept);
  return by > 0 ? g.concatenation({none, rest}, 1) : g.concatenation({rest, none}, 1);
}

// The first channels come from the frame before, as many again from the one behind; `by` is -1 for the way back.
void shift(const CustomContext& ctx, const DenseTensor& x, int frames, float ratio, const std::string& format,
           int64_t by, DenseTensor* out) {
  if (out == nullptr) return;
  const Dims shape = dims_of(x);
  MPS_CHECK(shape.size() == 4, kArgument, "bad rank: expected 4, got ", shape.size(), ".");
  MPS_CHECK(frames > 0 && shape[0] % frames == 0, kArgument, "bad seg_num: expected a divisor of ", shape[0],
            " images, got ", frames, ".");
  const bool last = channels_come_last(format);
  const int64_t count = shape[last ? 3 : 1];
  const auto first = static_cast<int64_t>(static_cast<float>(count) * ratio);
  const auto second = static_cast<int64_t>(static_cast<float>(count) * 2 * ratio);
  MPS_CHECK(first >= 0 && second <= count, kArgument, "bad shift_ratio: expected 0 to 0.5, got ", ratio, ".");
  const int axis = last ? 3 : 2;  // of the channels
  Recorder record(ctx);
  Graph& g = record.graph;
  const Shape in_time = last ? Shape{shape[0] / frames, frames, shape[1] * shape[2], count}
                             : Shape{shape[0] / frames, frames, count, shape[2] * shape[3]};
  if (element_count(in_time) == 0) {
    record.output(out, graphs::zeros(g, dtype_of(*out), shape));
  } else {
    const Value all = record.input(x, in_time);
    const auto part = [&](int64_t from, int64_t to) {
      return graphs::slice_axis(g, all, static_cast<size_t>(axis), from, to - from);
    };
    const Value parts[] = {moved(g, part(0, first), by), moved(g, part(first, second), -by), part(second, count)};
    record.output(out, g.reshape(g.concatenation({parts, 3}, axis), shape));
  }
  record.launch();
}

void temporal_shift(const CustomContext& ctx, const DenseTensor& x, int frames, float ratio, const std::string& format,
                    DenseTensor* out) {
  shift(ctx, x, frames, ratio, format, 1, out);
}

void temporal_shift_grad(const CustomContext& ctx, const DenseTensor& dout, int frames, float ratio,
                         const std::string& format, DenseTensor* dx) {
  shift(ctx, dout, frames, ratio, format, -1, dx);
}

// -- lrn (Krizhevsky et al., "ImageNet classification with deep convolutional neural networks", 2012)
// --------------------------------------------------------------------------------------------------------

// Sums over `size` channels, of which so many stand before the one that the sum belongs to. An average of a window in
// which padding counts is divided by as much everywhere.
Value sum_around(Graph& g, Value x, int64_t size, int64_t before) {
  const Shape shape(g.shape(x));  // [images, channels, positions]
  Sliding window;
  window.counts_padding = true;
  window.size = {size, 1};
  window.strides = window.dilations = {1, 1};
  window.before = {before, 0};
  window.padding = {size - 1 - before, 0};
  const Shape image{shape[0], 1, shape[1], shape[2]};
  const Value average = g.pooling(NodeKind::average_pooling, g.reshape(x, image), image, window);
  return g.reshape(g.multiplication(average, graphs::number(g, average, size)), shape);
}

void lrn(const CustomContext& ctx, const DenseTensor& x, int size, float k, float alpha, float beta,
         const std::string& format, DenseTensor* out, DenseTensor* middle) {
  MPS_CHECK(size > 0, kArgument, "bad n: expected more than 0 channels, got ", size, ".");
  const Channels channels(x, format);
  Recorder record(ctx);
  Graph& g = record.graph;
  const auto feed = [&](float number) { return record.scalar(number, DType::float32); };
  const Value values = wide(record, x, channels.all);
  const Value energy = sum_around(g, g.square(values), size, (size - 1) / 2);
  const Value divisor = g.addition(g.multiplication(energy, feed(alpha)), feed(k));
  write(record, out, g.multiplication(values, g.power(divisor, feed(-beta))));
  write(record, middle, divisor);
  record.launch();
}

// With the divisor d: dx = dout d^-beta - 2 alpha beta x sum(dout out / d), summed over whose window x is in.
void lrn_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& out, const DenseTensor& middle,
              const DenseTensor& dout, int size, float, float alpha, float beta, const std::string& format,
              DenseTensor* dx) {
  if (dx == nullptr) return;
  const Channels channels(x, format);
  Recorder record(ctx);
  Graph& g = record.graph;
  const auto feed = [&](float number) { return record.scalar(number, DType::float32); };
  const Value divisor = wide(record, middle, channels.all), gradient = wide(record, dout, channels.all);
  const Value each = g.division(g.multiplication(gradient, wide(record, out, channels.all)), divisor);
  const Value around = sum_around(g, each, size, size - 1 - (size - 1) / 2);
  const Value along = g.multiplication(g.multiplication(wide(record, x, channels.all), around), feed(2 * alpha * beta));
  write(record, dx, g.subtraction(g.multiplication(gradient, g.power(divisor, feed(-beta))), along));
  record.launch();
}

}  // namespace

MPS_KERNEL(affine_channel, phi::AffineChannelCUDAKernel, affine_channel, kFloats)
MPS_KERNEL(affine_channel_grad, phi::AffineChannelGradCUDAKernel, affine_channel_grad, kFloats)
MPS_KERNEL(temporal_shift, phi::TemporalShiftKernel, temporal_shift, kFloats)
MPS_KERNEL(temporal_shift_grad, phi::TemporalShiftGradKernel, temporal_shift_grad, kFloats)
// Paddle's headers do not declare these; the parameters are those of its factory.
MPS_KERNEL_UNCHECKED(lrn, lrn, kFloats, detail::define_nothing)
MPS_KERNEL_UNCHECKED(lrn_grad, lrn_grad, kFloats, detail::define_nothing)

}  // namespace mps::paddle
