// Poolings of images and volumes, with the places of maxima or without, their gradients, and the way back (unpool).
// How large a result is, with ceil_mode or without, is Paddle's affair: its tensor says so.
#include <algorithm>
#include <limits>
#include <vector>

#include "kernels/graphs/lines.h"
#include "kernels/ops/sliding.h"
#include "paddle/phi/backends/context_pool.h"
#include "paddle/phi/core/tensor_utils.h"
#include "paddle/phi/kernels/funcs/pooling.h"
#include "paddle/phi/kernels/pool_grad_kernel.h"
#include "paddle/phi/kernels/pool_kernel.h"
#include "paddle/phi/kernels/unpool_grad_kernel.h"
#include "paddle/phi/kernels/unpool_kernel.h"
#include "plugin/paddle/host_value.h"
#include "plugin/paddle/random.h"
#include "plugin/paddle/recorder.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;
using phi::IntArray;

template <typename Size, typename T>
Sliding sliding_of(const DenseTensor& x, const std::vector<Size>& kernel_size, const std::vector<T>& strides,
                   const std::vector<T>& paddings, const std::string& format, bool global, bool adaptive,
                   const std::string& algorithm) {
  Sliding sliding;
  sliding.channels_last = channels_come_last(format);
  sliding.adaptive = adaptive;
  const size_t axes = dims_of(x).size() - 2;
  sliding.size.resize(axes, 1);
  sliding.strides.resize(axes, 1);
  sliding.dilations.resize(axes, 1);
  if (adaptive || global) {
    sliding.before.resize(axes, 0);
    sliding.padding.resize(axes, 0);
    for (size_t i = 0; global && i < axes; ++i) sliding.size[i] = dims_of(x)[sliding.spatial_axis(i)];
    return sliding;
  }
  sliding.size = numbers_of(kernel_size);
  sliding.strides = numbers_of(strides);
  set_padding(&sliding, dims_of(x), paddings, algorithm);
  return sliding;
}

// -- pool2d, pool3d
// ---------------------------------------------------------------------------------------------------------

// The maximum of each window. With ceil_mode the last ones may begin behind the image: Paddle begins with the lowest
// number of float32, and that is left.
Value maximum(Graph& g, Value x, Dims pooled, const Sliding& sliding) {
  const Shape shape(pooled), image(g.shape(x));
  bool may_be_empty = false;
  for (size_t i = 0; i < sliding.axes(); ++i) {
    const size_t axis = sliding.spatial_axis(i);
    may_be_empty = may_be_empty || sliding.range(i, shape[axis] - 1, shape[axis], image[axis]).start >= image[axis];
  }
  const Value result = g.pooling(NodeKind::max_pooling, x, shape, sliding);
  if (!may_be_empty) return result;
  return g.maximum(result, graphs::number(g, result, std::numeric_limits<float>::lowest()));
}

void pool(const CustomContext& ctx, const DenseTensor& x, const Sliding& sliding, bool is_maximum, DenseTensor* out) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value image = record.input(x);
  record.output(out, is_maximum ? maximum(g, image, dims_of(*out), sliding)
                                : g.pooling(NodeKind::average_pooling, image, dims_of(*out), sliding));
  record.launch();
}

void pool_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& dout, const Sliding& sliding,
               bool is_maximum, DenseTensor* dx) {
  if (dx == nullptr) return;
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value gradient = record.input(dout);
  record.output(dx, is_maximum ? g.max_pooling_gradient(gradient, record.input(x), sliding)
                               : g.average_pooling_gradient(gradient, dims_of(x), sliding));
  record.launch();
}

void pool2d(const CustomContext& ctx, const DenseTensor& x, const IntArray& kernel_size,
            const std::vector<int64_t>& strides, const std::vector<int64_t>& paddings, bool, bool exclusive,
            const std::string& format, const std::string& type, bool global, bool adaptive,
            const std::string& algorithm, DenseTensor* out) {
  Sliding sliding = sliding_of(x, kernel_size.GetData(), strides, paddings, format, global, adaptive, algorithm);
  sliding.counts_padding = !exclusive;
  pool(ctx, x, sliding, type == "max", out);
}

void pool2d_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor&, const DenseTensor& dout,
                 const IntArray& kernel_size, const std::vector<int64_t>& strides, const std::vector<int64_t>& paddings,
                 bool, bool exclusive, const std::string& format, const std::string& type, bool global, bool adaptive,
                 const std::string& algorithm, DenseTensor* dx) {
  Sliding sliding = sliding_of(x, kernel_size.GetData(), strides, paddings, format, global, adaptive, algorithm);
  sliding.counts_padding = !exclusive;
  pool_grad(ctx, x, dout, sliding, type == "max", dx);
}

// An average is linear: the gradient of its gradient is the average of what comes in.
void pool2d_double_grad(const CustomContext& ctx, const DenseTensor& ddx, const IntArray& kernel_size,
                        const std::vector<int64_t>& strides, const std::vector<int64_t>& paddings, bool ceil,
                        bool exclusive, const std::string& format, const std::string& type, bool global, bool adaptive,
                        const std::string& algorithm, DenseTensor* ddout) {
  MPS_CHECK(type != "max", kUnsupported,
            "no second derivative of max pooling: expected average pooling, got max. Paddle has none on any device.");
  pool2d(ctx, ddx, kernel_size, strides, paddings, ceil, exclusive, format, type, global, adaptive, algorithm, ddout);
}

void pool3d(const CustomContext& ctx, const DenseTensor& x, const std::vector<int64_t>& kernel_size,
            const std::vector<int64_t>& strides, const std::vector<int64_t>& paddings, bool ceil, bool exclusive,
            const std::string& format, const std::string& type, bool global, bool adaptive,
            const std::string& algorithm, DenseTensor* out) {
  pool2d(ctx, x, IntArray(kernel_size), strides, paddings, ceil, exclusive, format, type, global, adaptive, algorithm,
         out);
}

void pool3d_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& out, const DenseTensor& dout,
                 const std::vector<int64_t>& kernel_size, const std::vector<int64_t>& strides,
                 const std::vector<int64_t>& paddings, bool ceil, bool exclusive, const std::string& format,
                 const std::string& type, bool global, bool adaptive, const std::string& algorithm, DenseTensor* dx) {
  pool2d_grad(ctx, x, out, dout, IntArray(kernel_size), strides, paddings, ceil, exclusive, format, type, global,
              adaptive, algorithm, dx);
}

// -- lp_pool2d: the p-th root of the sum of p-th powers
// ---------------------------------------------------------------------------------------------------------

// A sum is an average that is divided by as much in every window.
struct SumPooling {
  Sliding sliding;
  int64_t elements = 1;

  explicit SumPooling(const Sliding& from) : sliding(from) {
    sliding.counts_padding = true;
    for (size_t i = 0; i < sliding.axes(); ++i) {
      sliding.padding[i] = sliding.before[i] + sliding.strides[i] + sliding.size[i];
      elements *= sliding.size[i];
    }
  }
};

void lp_pool2d(const CustomContext& ctx, const DenseTensor& x, const IntArray& kernel_size,
               const std::vector<int64_t>& strides, const std::vector<int64_t>& paddings, bool, bool,
               const std::string& format, const std::string&, bool global, bool, const std::string& algorithm,
               float norm_type, DenseTensor* out) {
  const SumPooling pooling(sliding_of(x, kernel_size.GetData(), strides, paddings, format, global, false, algorithm));
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value p = record.scalar(norm_type, DType::float32), root = record.scalar(1 / norm_type, DType::float32);
  const Value powers = g.power(g.cast(record.input(x), DType::float32), p);
  const Value average = g.pooling(NodeKind::average_pooling, powers, dims_of(*out), pooling.sliding);
  const Value sum = g.multiplication(average, graphs::number(g, average, pooling.elements));
  record.output(out, g.cast(g.power(sum, root), dtype_of(*out)));
  record.launch();
}

// Of out, dout * (x / out) ^ (p - 1): the same factor for each element of a window, and x's own.
void lp_pool2d_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& out, const DenseTensor& dout,
                    const IntArray& kernel_size, const std::vector<int64_t>& strides,
                    const std::vector<int64_t>& paddings, bool, bool, const std::string& format, const std::string&,
                    bool global, bool, const std::string& algorithm, float norm_type, DenseTensor* dx) {
  if (dx == nullptr) return;
  const SumPooling pooling(sliding_of(x, kernel_size.GetData(), strides, paddings, format, global, false, algorithm));
  Recorder record(ctx);
  Graph& g = record.graph;
  const auto wide = [&](const DenseTensor& tensor) { return g.cast(record.input(tensor), DType::float32); };
  const Value more = record.scalar(norm_type - 1, DType::float32), less = record.scalar(1 - norm_type, DType::float32);
  const Value each = g.multiplication(wide(dout), g.power(wide(out), less));
  const Value scaled = g.multiplication(each, graphs::number(g, each, pooling.elements));
  const Value sum = g.average_pooling_gradient(scaled, dims_of(x), pooling.sliding);
  record.output(dx, g.cast(g.multiplication(g.power(wide(x), more), sum), dtype_of(*dx)));
  record.launch();
}

// -- maxima with their places, and back
// ---------------------------------------------------------------------------------------------------------

void max_pool_with_index(const CustomContext& ctx, const DenseTensor& x, const std::vector<int>& kernel_size,
                         const std::vector<int>& strides, const std::vector<int>& paddings, bool global, bool adaptive,
                         bool, DenseTensor* out, DenseTensor* mask) {
  const Sliding sliding = sliding_of(x, kernel_size, strides, paddings, "", global, adaptive, "EXPLICIT");
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value image = record.input(x);
  record.output(out, maximum(g, image, dims_of(*out), sliding));
  if (mask != nullptr) record.output(mask, g.pooling(NodeKind::max_pooling_indices, image, dims_of(*out), sliding));
  record.launch();
}

// Where element `index` of each channel of an image lies in the image taken flat, as [channels of all images, rest].
Value places_in(Graph& g, Value index, Dims image) {
  const Shape places(g.shape(index));
  const int64_t channels = image[0] * image[1], elements = element_count(image);
  if (element_count(places) == 0 || elements == 0) return g.reshape(index, {channels, 0});
  const DType dtype = graphs::position_dtype(elements);
  const Value in_channel = g.cast(g.reshape(index, {channels, element_count(places) / channels}), dtype);
  const Value channel = g.cast(g.coordinate({channels, 1}, 0), dtype);
  return g.addition(g.multiplication(channel, graphs::number(g, channel, elements / channels)), in_channel);
}

void max_pool_with_index_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& mask,
                              const DenseTensor& dout, const std::vector<int>&, const std::vector<int>&,
                              const std::vector<int>&, bool, bool, bool, DenseTensor* dx) {
  if (dx == nullptr) return;
  const DType to = dtype_of(*dx);
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value at = places_in(g, record.input(mask), dims_of(x));
  const Value gradient = g.cast(record.input(dout), graphs::compute_dtype(to));
  const Value nothing = graphs::zeros(g, g.dtype(gradient), dims_of(x));
  record.output(dx, g.cast(graphs::put_at(g, ScatterMode::kAdd, nothing, at, gradient), to));
  record.launch();
}

// -- fractional_max_pool: windows that are uneven at random (Graham, "Fractional max-pooling", 2014)
// ---------------------------------------------------------------------------------------------------------

// For each window the elements of one axis that are in it; shorter ones repeat their last.
std::vector<std::vector<int64_t>> fractional_windows(int64_t length, int64_t count, int64_t size, float random) {
  MPS_CHECK(count > 0 && count <= length && size >= 0 && size <= length, kArgument,
            "bad output or kernel size: expected at most ", length, ", got ", count, " and ", size, ".");
  const auto steps = static_cast<float>(count - (size > 0 ? 1 : 0));
  const float ratio = static_cast<float>(length - size) / steps;
  const float u = phi::funcs::FractionalRationalU<int64_t>(random, ratio, length, count, size);
  std::vector<std::vector<int64_t>> windows;
  size_t most = 1;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t start = std::max<int64_t>(phi::funcs::FractionalStartIndex<int64_t>(i, ratio, u, size), 0);
    const int64_t end = std::min(phi::funcs::FractionalEndIndex<int64_t>(i, ratio, u, size), length);
    windows.emplace_back();
    for (int64_t at = start; at < std::max(end, start + 1); ++at) windows.back().push_back(std::min(at, length - 1));
    most = std::max(most, windows.back().size());
  }
  for (std::vector<int64_t>& window : windows) window.resize(most, window.back());
  return windows;
}

// The places in an image taken flat of the elements of each window: windows in a row, elements of one in a row.
std::vector<int32_t> fractional_places(Dims image, Dims pooled, const std::vector<int>& sizes, float random,
                                       int64_t* elements) {
  std::vector<int32_t> places{0};
  int64_t windows = 1, each = 1;
  for (size_t axis = 2; axis < image.size(); ++axis) {
    const auto along = fractional_windows(image[axis], pooled[axis], sizes[axis - 2], random);
    const auto more = static_cast<int64_t>(along[0].size());
    std::vector<int32_t> next;
    for (int64_t w = 0; w < windows; ++w) {
      for (const std::vector<int64_t>& window : along) {
        for (int64_t e = 0; e < each; ++e) {
          const int64_t begin = places[static_cast<size_t>(w * each + e)] * image[axis];
          for (int64_t at : window) next.push_back(static_cast<int32_t>(begin + at));
        }
      }
    }
    places = std::move(next);
    windows *= static_cast<int64_t>(along.size());
    each *= more;
  }
  *elements = each;
  return places;
}

DenseTensor on_device(const CustomContext& ctx, const std::vector<int32_t>& numbers) {
  DenseTensor here, there;
  here.Resize(phi::make_ddim({static_cast<int64_t>(numbers.size())}));
  phi::DeviceContext* const cpu = phi::DeviceContextPool::Instance().Get(phi::CPUPlace());
  std::copy(numbers.begin(), numbers.end(), static_cast<int32_t*>(cpu->Alloc(&here, phi::DataType::INT32)));
  phi::Copy(ctx, here, ctx.GetPlace(), /*blocking=*/true, &there);
  return there;
}

// Between 0 and 1, from the device's generator. The windows depend on it, so that the host waits for it.
float drawn(const CustomContext& ctx) {
  DenseTensor word(std::shared_ptr<phi::Allocation>(), phi::DenseTensorMeta(phi::DataType::INT32, phi::make_ddim({1})));
  Recorder record(ctx);
  record.output(&word, Random(ctx, record).words({1}));
  record.launch();
  const auto bits = static_cast<uint32_t>(host_value(ctx, word).to_int64());
  return (static_cast<float>(bits >> 9) + 0.5F) * 0x1p-23F;
}

void fractional_max_pool(const CustomContext& ctx, const DenseTensor& x, const std::vector<int>&,
                         const std::vector<int>& kernel_size, float random, bool, DenseTensor* out, DenseTensor* mask) {
  MPS_CHECK(random >= 0 && random < 1, kArgument, "bad random_u: expected 0 for a random one, or less than 1, got ",
            random, ".");
  if (random == 0) random = drawn(ctx);
  const Dims image = dims_of(x), pooled = dims_of(*out);
  int64_t each = 0;
  const DenseTensor places = on_device(ctx, fractional_places(image, pooled, kernel_size, random, &each));
  const int64_t channels = image[0] * image[1], windows = places.numel() / each;
  Recorder record(ctx);
  Graph& g = record.graph;
  if (element_count(pooled) == 0) {
    record.output(out, graphs::zeros(g, dtype_of(x), pooled));
    if (mask != nullptr) record.output(mask, graphs::zeros(g, DType::int32, pooled));
    record.launch();
    return;
  }
  const Value at = record.input(places);
  const Value images = record.input(x, {channels, element_count(image) / channels});
  const Value all = g.reshape(graphs::take(g, images, 1, at), {channels, windows, each});
  record.output(out, g.reshape(g.reduction(NodeKind::reduction_maximum, all, {2}), pooled));
  if (mask != nullptr) {
    const Value first = g.reshape(g.arg_reduction(NodeKind::reduction_arg_maximum, all, 2), {channels, windows});
    const Value begin = g.multiplication(g.coordinate({1, windows}, 1), g.constant(each, DType::int32));
    record.output(mask, g.reshape(graphs::take_at(g, at, g.addition(first, begin)), pooled));
  }
  record.launch();
}

void fractional_max_pool_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& mask,
                              const DenseTensor& dout, const std::vector<int>&, const std::vector<int>&, float, bool,
                              DenseTensor* dx) {
  max_pool_with_index_grad(ctx, x, mask, dout, {}, {}, {}, false, false, false, dx);
}

template <typename Size>
void unpool(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& indices, const std::vector<int>&,
            const std::vector<int>&, const std::vector<int>&, const Size&, const std::string&, DenseTensor* out) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value at = places_in(g, record.input(indices), dims_of(*out));
  const Value nothing = graphs::zeros(g, dtype_of(*out), dims_of(*out));
  record.output(out, graphs::put_at(g, ScatterMode::kSet, nothing, at, record.input(x)));
  record.launch();
}

template <typename Size>
void unpool_grad(const CustomContext& ctx, const DenseTensor&, const DenseTensor& indices, const DenseTensor&,
                 const DenseTensor& dout, const std::vector<int>&, const std::vector<int>&, const std::vector<int>&,
                 const Size&, const std::string&, DenseTensor* dx) {
  if (dx == nullptr) return;
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value at = places_in(g, record.input(indices), dims_of(dout));
  record.output(dx, graphs::take_at(g, record.input(dout), at));
  record.launch();
}

void give_places(const phi::KernelKey&, phi::Kernel* kernel) { kernel->OutputAt(1).SetDataType(phi::DataType::INT32); }

}  // namespace

MPS_KERNEL(pool2d, phi::Pool2dKernel, pool2d, kFloats)
MPS_KERNEL(pool2d_grad, phi::Pool2dGradKernel, pool2d_grad, kFloats)
MPS_KERNEL(pool2d_double_grad, phi::Pool2dDoubleGradKernel, pool2d_double_grad, kFloats)
MPS_KERNEL(pool3d, phi::Pool3dKernel, pool3d, kFloats)
MPS_KERNEL(pool3d_grad, phi::Pool3dGradKernel, pool3d_grad, kFloats)
MPS_KERNEL(lp_pool2d, phi::LPPool2dKernel, lp_pool2d, kFloats)
MPS_KERNEL(lp_pool2d_grad, phi::LPPool2dGradKernel, lp_pool2d_grad, kFloats)
MPS_KERNEL_WITH_DEFINE(max_pool2d_with_index, phi::MaxPool2dWithIndexKernel, max_pool_with_index, kFloats, give_places)
MPS_KERNEL(max_pool2d_with_index_grad, phi::MaxPool2dWithIndexGradKernel, max_pool_with_index_grad, kFloats)
MPS_KERNEL_WITH_DEFINE(max_pool3d_with_index, phi::MaxPool3dWithIndexKernel, max_pool_with_index, kFloats, give_places)
MPS_KERNEL(max_pool3d_with_index_grad, phi::MaxPool3dWithIndexGradKernel, max_pool_with_index_grad, kFloats)
MPS_KERNEL_WITH_DEFINE(fractional_max_pool2d, phi::FractionalMaxPool2dKernel, fractional_max_pool, kFloats, give_places)
MPS_KERNEL(fractional_max_pool2d_grad, phi::FractionalMaxPool2dGradKernel, fractional_max_pool_grad, kFloats)
MPS_KERNEL_WITH_DEFINE(fractional_max_pool3d, phi::FractionalMaxPool3dKernel, fractional_max_pool, kFloats, give_places)
MPS_KERNEL(fractional_max_pool3d_grad, phi::FractionalMaxPool3dGradKernel, fractional_max_pool_grad, kFloats)
MPS_KERNEL(unpool, phi::UnpoolKernel, unpool<IntArray>, kFloats)
MPS_KERNEL(unpool_grad, phi::UnpoolGradKernel, unpool_grad<IntArray>, kFloats)
MPS_KERNEL(unpool3d, phi::Unpool3dKernel, unpool<std::vector<int>>, kFloats)
MPS_KERNEL(unpool3d_grad, phi::Unpool3dGradKernel, unpool_grad<std::vector<int>>, kFloats)

}  // namespace mps::paddle
