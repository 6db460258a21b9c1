// fused_bias_dropout_residual_layer_norm: layer_norm(residual + dropout(x + bias)) over the last axis, as the end of a
// transformer's block.
#include "kernels/graphs/normalize.h"
#include "kernels/graphs/random.h"
#include "kernels/ops/wide.h"
#include "paddle/phi/kernels/fusion/gpu/fused_bias_dropout_residual_layer_norm_grad_kernel.h"
#include "paddle/phi/kernels/fusion/gpu/fused_bias_dropout_residual_layer_norm_kernel.h"
#include "plugin/paddle/random.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;
using OptionalTensor = ::paddle::optional<DenseTensor>;

struct Dropout {
  Dropout(Recorder& record, float rate, bool is_test, const std::string& mode)
      : keep_rate(record.scalar(1 - rate, DType::float32)), drops(!is_test && rate > 0) {
    const bool in_training = mode == "upscale_in_train";
    scales = rate > 0 && (is_test ? !in_training : in_training);
    divides = in_training;
  }
  // What is kept of x, or of its gradient.
  Value made_up(Graph& g, Value x) const {
    if (!scales) return x;
    return divides ? g.division(x, keep_rate) : g.multiplication(x, keep_rate);
  }
  Value keep_rate;
  bool drops, scales = false, divides = false;
};

Shape rows_of(const DenseTensor& x) {
  const Dims shape = dims_of(x);
  const size_t last = shape.size() - 1;
  return {graphs::product_of(shape, 0, last), shape[last]};
}

void fused_norm(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& residual, const OptionalTensor& bias,
                const OptionalTensor& scale, const OptionalTensor& shift, float rate, bool is_test, bool fix_seed,
                int seed, const std::string& mode, float epsilon, DenseTensor* y, DenseTensor* sum_out,
                DenseTensor* mask_out, DenseTensor* mean, DenseTensor* variance) {
  const Shape rows = rows_of(x), line{1, rows[1]};
  Recorder record(ctx);
  Graph& g = record.graph;
  const Dropout dropout(record, rate, is_test, mode);
  Value value = wide(record, x, rows);
  if (bias) value = g.addition(value, wide(record, *bias, line));
  value = dropout.made_up(g, value);
  Value keep = g.constant(int64_t{1}, DType::bool_, rows);
  if (dropout.drops) {
    const uint64_t fixed = static_cast<uint64_t>(seed);
    Random random(ctx, record, fix_seed ? &fixed : nullptr);
    const Value unit = graphs::unit_interval(g, random.words(rows));
    keep = g.greater_than_or_equal_to(unit, record.scalar(rate, DType::float32));
    value = g.select(keep, value, graphs::number(g, value, 0));
  }
  // The norm is that of the sum as it is kept for the gradient.
  const DType to = dtype_of(x);
  const Value kept = g.cast(g.addition(value, wide(record, residual, rows)), to), sum = g.cast(kept, DType::float32);
  const graphs::Moments moments = graphs::moments(g, sum, {1});
  Value norm = graphs::normalized(g, sum, moments.mean, graphs::inverse_deviation(g, moments.variance, epsilon));
  if (scale) norm = g.multiplication(norm, wide(record, *scale, line));
  if (shift) norm = g.addition(norm, wide(record, *shift, line));
  write(record, y, norm);
  write(record, sum_out, sum);
  if (mask_out != nullptr) {
    mask_out->Resize(x.dims());
    record.output(ctx.Alloc(mask_out, phi::DataType::UINT8), g.cast(keep, DType::uint8));
  }
  const auto write_statistic = [&](DenseTensor* statistic, Value of) {
    if (statistic != nullptr) record.output(ctx.Alloc(statistic, phi::DataType::FLOAT32), g.reshape(of, {rows[0]}));
  };
  write_statistic(mean, moments.mean);
  write_statistic(variance, moments.variance);
  record.launch();
}

void fused_norm_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor&, const OptionalTensor& bias,
                     const OptionalTensor& scale, const OptionalTensor& shift, const DenseTensor& mean,
                     const DenseTensor& variance, const DenseTensor& sum_in, const DenseTensor& mask,
                     const DenseTensor& dy, float rate, bool is_test, bool, int, const std::string& mode, float epsilon,
                     DenseTensor* dx, DenseTensor* dresidual, DenseTensor* dbias, DenseTensor* dscale,
                     DenseTensor* dshift) {
  const Shape rows = rows_of(x), line{1, rows[1]}, each{rows[0], 1};
  Recorder record(ctx);
  Graph& g = record.graph;
  const Dropout dropout(record, rate, is_test, mode);
  const Value incoming = wide(record, dy, rows);
  const Value inverse = graphs::inverse_deviation(g, wide(record, variance, each), epsilon);
  const Value norm = graphs::normalized(g, wide(record, sum_in, rows), wide(record, mean, each), inverse);
  const Value scaled = scale ? g.multiplication(incoming, wide(record, *scale, line)) : incoming;
  const Value dsum = graphs::normalized_gradient(g, scaled, norm, inverse, {1});
  Value slope = dropout.made_up(g, dsum);
  if (dropout.drops) {
    const Value keep = g.cast(record.input(mask, rows), DType::bool_);
    slope = g.select(keep, slope, graphs::number(g, slope, 0));
  }
  write(record, dx, slope);
  write(record, dresidual, dsum);
  if (bias && dbias != nullptr) write(record, dbias, g.reduction_sum(slope, {0}));
  if (scale && dscale != nullptr) write(record, dscale, g.reduction_sum(g.multiplication(incoming, norm), {0}));
  if (shift && dshift != nullptr) write(record, dshift, g.reduction_sum(incoming, {0}));
  record.launch();
}

void give_kept(const phi::KernelKey&, phi::Kernel* kernel) {
  kernel->OutputAt(2).SetDataType(phi::DataType::UINT8);
  kernel->OutputAt(3).SetDataType(phi::DataType::FLOAT32);
  kernel->OutputAt(4).SetDataType(phi::DataType::FLOAT32);
}

// Paddle's shape rules make the results of half formats float32, which its gradients do not take.

}  // namespace

MPS_KERNEL_WITH_DEFINE(fused_bias_dropout_residual_layer_norm, phi::fusion::FusedBiasDropoutResidualLnKernel,
                       fused_norm, kFloat32, give_kept)
MPS_KERNEL(fused_bias_dropout_residual_layer_norm_grad, phi::fusion::FusedBiasDropoutResidualLnGradKernel,
           fused_norm_grad, kFloat32)

}  // namespace mps::paddle
