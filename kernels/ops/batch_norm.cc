// batch_norm: each channel over the batch, or by running statistics. Statistics and parameters are float32.
#include "kernels/graphs/normalize.h"
#include "kernels/ops/wide.h"
#include "paddle/phi/kernels/batch_norm_grad_kernel.h"
#include "paddle/phi/kernels/batch_norm_kernel.h"
#include "paddle/phi/kernels/sync_batch_norm_grad_kernel.h"
#include "paddle/phi/kernels/sync_batch_norm_kernel.h"
#include "plugin/core/check.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;
using OptionalTensor = ::paddle::optional<DenseTensor>;

// [batch, channels, positions]; channels last have one position, and all others in the batch.
struct Channels {
  Channels(const DenseTensor& x, const std::string& layout) {
    const Dims shape = dims_of(x);
    MPS_CHECK(shape.size() >= 2 && shape.size() <= 5, kArgument, "bad rank: expected 2 to 5, got ", shape.size(), ".");
    const bool last = layout == "NHWC" || layout == "NDHWC" || layout == "NLC";
    all = graphs::around(shape, last ? shape.size() - 1 : 1);
    each = {1, all[1], 1};
  }
  bool is_one_element() const { return all[0] * all[2] == 1; }
  Shape all, each;
  Ints axes{0, 2};
};

// (x - mean) * inverse deviation * scale + bias. What belongs to a channel is multiplied first: less is broadcast.
Value scaled(Recorder& record, Value x, Value mean, Value inverse, const OptionalTensor& scale,
             const OptionalTensor& bias, Dims each) {
  Graph& g = record.graph;
  const Value factor = scale ? g.multiplication(inverse, wide(record, *scale, each)) : inverse;
  Value y = graphs::normalized(g, x, mean, factor);
  if (bias) y = g.addition(y, wide(record, *bias, each));
  return y;
}

void batch_norm(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& mean, const DenseTensor& variance,
                const OptionalTensor& scale, const OptionalTensor& bias, bool is_test, float momentum, float epsilon,
                const std::string& layout, bool use_global_stats, bool trainable_statistics, DenseTensor* y,
                DenseTensor* mean_out, DenseTensor* variance_out, DenseTensor* saved_mean, DenseTensor* saved_variance,
                DenseTensor* reserve_space) {
  const Channels channels(x, layout);
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value values = wide(record, x, channels.all);
  const Value running_mean = wide(record, mean, channels.each);
  const Value running_variance = wide(record, variance, channels.each);
  if ((is_test && !trainable_statistics) || use_global_stats) {
    const Value inverse = graphs::inverse_deviation(g, running_variance, epsilon);
    write(record, y, scaled(record, values, running_mean, inverse, scale, bias, channels.each));
    write(record, mean_out, running_mean);
    write(record, variance_out, running_variance);
    write(record, saved_mean, running_mean);
    write(record, saved_variance, inverse);
  } else {
    const graphs::Moments moments = graphs::moments(g, values, channels.axes);
    const Value inverse = graphs::inverse_deviation(g, moments.variance, epsilon);
    const Value kept = record.scalar(momentum, DType::float32), rest = record.scalar(1 - momentum, DType::float32);
    const auto moved = [&](Value running, Value now) {
      // One element says nothing about its channel: Paddle leaves it, and the statistics, as they are.
      if (channels.is_one_element()) return running;
      return g.addition(g.multiplication(running, kept), g.multiplication(now, rest));
    };
    write(
        record, y,
        channels.is_one_element() ? values : scaled(record, values, moments.mean, inverse, scale, bias, channels.each));
    write(record, mean_out, moved(running_mean, moments.mean));
    write(record, variance_out, moved(running_variance, moments.variance));
    write(record, saved_mean, moments.mean);
    write(record, saved_variance, inverse);
  }
  if (reserve_space != nullptr) {  // what cuDNN keeps for the gradient: nothing here
    reserve_space->Resize({0});
    ctx.Alloc(reserve_space, phi::DataType::UINT8);
  }
  record.launch();
}

void batch_norm_infer(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& mean,
                      const DenseTensor& variance, const DenseTensor& scale, const DenseTensor& bias, float momentum,
                      float epsilon, const std::string& layout, DenseTensor* y, DenseTensor* mean_out,
                      DenseTensor* variance_out) {
  ctx.Alloc(y, x.dtype());  // in a program of the old representation nothing else says its dtype
  batch_norm(ctx, x, mean, variance, scale, bias, /*is_test=*/true, momentum, epsilon, layout,
             /*use_global_stats=*/true, /*trainable_statistics=*/false, y, mean_out, variance_out, nullptr, nullptr,
             nullptr);
}

void batch_norm_grad(const CustomContext& ctx, const DenseTensor& x, const OptionalTensor& scale, const OptionalTensor&,
                     const OptionalTensor& mean, const OptionalTensor& variance, const DenseTensor& saved_mean,
                     const DenseTensor& saved_variance, const OptionalTensor&, const DenseTensor& dy, float,
                     float epsilon, const std::string& layout, bool is_test, bool use_global_stats, bool,
                     DenseTensor* dx, DenseTensor* dscale, DenseTensor* dbias) {
  const Channels channels(x, layout);
  const bool is_global = is_test || use_global_stats;
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value gradient = wide(record, dy, channels.all);
  Value center, inverse;
  if (is_global) {
    MPS_CHECK(mean && variance, kArgument, "no statistics: expected the running mean and variance, got none.");
    center = wide(record, *mean, channels.each);
    inverse = graphs::inverse_deviation(g, wide(record, *variance, channels.each), epsilon);
  } else {
    center = wide(record, saved_mean, channels.each);
    inverse = wide(record, saved_variance, channels.each);
  }
  const Value normal = graphs::normalized(g, wide(record, x, channels.all), center, inverse);
  // With scale s, deviation d and n elements a channel: dx = s / d (dy - sum(dy) / n - normal sum(dy normal) / n). The
  // sums are dbias and dscale, so that no other pass over the elements is needed.
  const Value by_scale = g.reduction_sum(g.multiplication(gradient, normal), channels.axes);
  const Value by_bias = g.reduction_sum(gradient, channels.axes);
  if (dx != nullptr) {
    const Value slope = scale ? g.multiplication(inverse, wide(record, *scale, channels.each)) : inverse;
    if (is_global) {
      write(record, dx, g.multiplication(gradient, slope));
    } else if (channels.is_one_element()) {
      write(record, dx, gradient);
    } else {
      const Value count = graphs::number(g, by_bias, channels.all[0] * channels.all[2]);
      const Value centered = g.subtraction(gradient, g.division(by_bias, count));
      const Value along = g.multiplication(normal, g.division(by_scale, count));
      write(record, dx, g.multiplication(g.subtraction(centered, along), slope));
    }
  }
  const auto write_sum = [&](DenseTensor* out, Value total) {
    if (out == nullptr) return;
    const bool is_left = channels.is_one_element() && !is_global;
    write(record, out, is_left ? g.multiplication(total, graphs::number(g, total, 0)) : total);
  };
  write_sum(dscale, by_scale);
  write_sum(dbias, by_bias);
  record.launch();
}

// Over all devices of a group, of which there is one: the plugin brings no communication between devices.
void sync_batch_norm(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& mean,
                     const DenseTensor& variance, const DenseTensor& scale, const DenseTensor& bias, bool is_test,
                     float momentum, float epsilon, const std::string& layout, bool use_global_stats,
                     bool trainable_statistics, DenseTensor* y, DenseTensor* mean_out, DenseTensor* variance_out,
                     DenseTensor* saved_mean, DenseTensor* saved_variance, DenseTensor* reserve_space) {
  batch_norm(ctx, x, mean, variance, scale, bias, is_test, momentum, epsilon, layout, use_global_stats,
             trainable_statistics, y, mean_out, variance_out, saved_mean, saved_variance, reserve_space);
}

void sync_batch_norm_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& scale,
                          const DenseTensor& bias, const DenseTensor& saved_mean, const DenseTensor& saved_variance,
                          const OptionalTensor& reserve_space, const DenseTensor& dy, float momentum, float epsilon,
                          const std::string& layout, bool is_test, bool use_global_stats, bool trainable_statistics,
                          DenseTensor* dx, DenseTensor* dscale, DenseTensor* dbias) {
  MPS_CHECK(!is_test && !use_global_stats, kUnsupported,
            "no gradient by running statistics: expected training=True. Use BatchNorm for a frozen norm.");
  batch_norm_grad(ctx, x, scale, bias, {}, {}, saved_mean, saved_variance, reserve_space, dy, momentum, epsilon, layout,
                  is_test, use_global_stats, trainable_statistics, dx, dscale, dbias);
}

void give_statistics(const phi::KernelKey&, phi::Kernel* kernel) {
  for (size_t i = 1; i <= 4; ++i) kernel->OutputAt(i).SetDataType(phi::DataType::FLOAT32);
  kernel->OutputAt(5).SetDataType(phi::DataType::UINT8);
}
void give_running(const phi::KernelKey&, phi::Kernel* kernel) {
  for (size_t i = 1; i <= 2; ++i) kernel->OutputAt(i).SetDataType(phi::DataType::FLOAT32);
}
void give_gradients(const phi::KernelKey&, phi::Kernel* kernel) {
  kernel->OutputAt(1).SetDataType(phi::DataType::FLOAT32);
  kernel->OutputAt(2).SetDataType(phi::DataType::FLOAT32);
}

}  // namespace

MPS_KERNEL_WITH_DEFINE(batch_norm, phi::BatchNormKernel, batch_norm, kFloats, give_statistics)
MPS_KERNEL_WITH_DEFINE(batch_norm_infer, phi::BatchNormInferKernel, batch_norm_infer, kFloats, give_running)
MPS_KERNEL_WITH_DEFINE(batch_norm_grad, phi::BatchNormGradKernel, batch_norm_grad, kFloats, give_gradients)
MPS_KERNEL_WITH_DEFINE(sync_batch_norm, phi::SyncBatchNormKernel, sync_batch_norm, kFloats, give_statistics)
MPS_KERNEL_WITH_DEFINE(sync_batch_norm_grad, phi::SyncBatchNormGradKernel, sync_batch_norm_grad, kFloats,
                       give_gradients)

}  // namespace mps::paddle
