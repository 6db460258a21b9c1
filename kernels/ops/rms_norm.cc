// By the root of the mean of squares: rms_norm, which is fast_rms_norm and fused_rms_norm_ext along the last axis, and
// with a residual added first fused_rms_norm_quant; with the mean taken off fused_bias_residual_layernorm.
#include "kernels/graphs/normalize.h"
#include "kernels/ops/wide.h"
#include "paddle/phi/kernels/fused_layernorm_kernel.h"
#include "paddle/phi/kernels/rms_norm_kernel.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;
using OptionalTensor = ::paddle::optional<DenseTensor>;

// [rows, elements to normalise over]
struct Rows {
  Rows(const DenseTensor& x, size_t begin)
      : all{graphs::product_of(dims_of(x), 0, begin), graphs::product_of(dims_of(x), begin, dims_of(x).size())},
        each_row{all[0], 1},
        each_column{1, all[1]} {}
  Shape all, each_row, each_column;
};

Value inverse_root_mean_square(Graph& g, Value x, double epsilon) {
  return graphs::inverse_deviation(g, graphs::mean_along(g, g.square(x), {1}), epsilon);
}

void rms_norm(const CustomContext& ctx, const DenseTensor& x, const OptionalTensor& scale,
              const std::vector<int64_t>& normalized_shape, double epsilon, DenseTensor* out,
              DenseTensor* inverse_out) {
  const Rows rows(x, dims_of(x).size() - normalized_shape.size());
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value values = wide(record, x, rows.all);
  const Value inverse = inverse_root_mean_square(g, values, epsilon);
  Value y = g.multiplication(values, inverse);
  if (scale) y = g.multiplication(y, wide(record, *scale, rows.each_column));
  write(record, out, y);
  write(record, inverse_out, inverse);
  record.launch();
}

void rms_norm_grad(const CustomContext& ctx, const DenseTensor& x, const OptionalTensor& scale,
                   const DenseTensor& inverse_in, const DenseTensor& dout, const std::vector<int64_t>& normalized_shape,
                   double, DenseTensor* dx, DenseTensor* dscale) {
  const Rows rows(x, dims_of(x).size() - normalized_shape.size());
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value dy = wide(record, dout, rows.all), inverse = wide(record, inverse_in, rows.each_row);
  const Value y = g.multiplication(wide(record, x, rows.all), inverse);
  if (dx != nullptr) {
    const Value slope = scale ? g.multiplication(dy, wide(record, *scale, rows.each_column)) : dy;
    const Value along = g.multiplication(y, graphs::mean_along(g, g.multiplication(slope, y), {1}));
    write(record, dx, g.multiplication(inverse, g.subtraction(slope, along)));
  }
  if (dscale != nullptr) write(record, dscale, g.reduction_sum(g.multiplication(dy, y), {0}));
  record.launch();
}

void last_rms_norm(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& scale, float epsilon,
                   DenseTensor* out, DenseTensor* inverse_out) {
  if (inverse_out != nullptr) inverse_out->Resize(phi::make_ddim({x.numel() / scale.numel()}));
  rms_norm(ctx, x, scale, {scale.numel()}, static_cast<double>(epsilon), out, inverse_out);
}

void last_rms_norm_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& scale,
                        const DenseTensor& inverse, const DenseTensor& dout, float epsilon, DenseTensor* dx,
                        DenseTensor* dscale) {
  rms_norm_grad(ctx, x, scale, inverse, dout, {scale.numel()}, static_cast<double>(epsilon), dx, dscale);
}

// -- with a residual, and perhaps quantised
// ------------------------------------------------------------------------------

struct Quantised {
  float scale;
  int round_type;  // 0: ties to even; 1: away from 0
  float highest, lowest;
};

// Writes y, or where a scale is given y * scale * highest in whole numbers.
void write_quantised(Recorder& record, DenseTensor* out, Value y, const Quantised& to) {
  Graph& g = record.graph;
  if (to.scale > 0) {
    const Value scaled = g.multiplication(y, record.scalar(to.scale * to.highest, DType::float32));
    const Value away = g.floor(g.addition(g.absolute(scaled), graphs::number(g, scaled, 0.5)));
    const Value whole = to.round_type == 0 ? g.rint(scaled) : g.multiplication(g.sign(scaled), away);
    const Value highest = record.scalar(to.highest, DType::float32), lowest = record.scalar(to.lowest, DType::float32);
    y = g.maximum(g.minimum(whole, highest), lowest);
  }
  write(record, out, y);
}

// x + bias + residual * alpha
Value with_residual(Recorder& record, const DenseTensor& x, const OptionalTensor& bias, const OptionalTensor& residual,
                    float alpha, const Rows& rows) {
  Graph& g = record.graph;
  Value sum = wide(record, x, rows.all);
  if (bias) sum = g.addition(sum, wide(record, *bias, rows.each_column));
  if (residual) {
    Value rest = wide(record, *residual, rows.all);
    if (alpha != 1) rest = g.multiplication(rest, record.scalar(alpha, DType::float32));
    sum = g.addition(sum, rest);
  }
  return sum;
}

void fused_rms_norm(const CustomContext& ctx, const DenseTensor& x, const OptionalTensor& bias,
                    const OptionalTensor& residual, const DenseTensor& weight, const OptionalTensor& norm_bias,
                    const float epsilon, const int begin, const float quant_scale, const int round_type,
                    const float highest, const float lowest, DenseTensor* out, DenseTensor* residual_out,
                    DenseTensor* inverse_out) {
  const Rows rows(x, static_cast<size_t>(begin));
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value sum = with_residual(record, x, bias, residual, 1, rows);
  const Value inverse = inverse_root_mean_square(g, sum, epsilon);
  Value y = g.multiplication(g.multiplication(sum, inverse), wide(record, weight, rows.each_column));
  if (norm_bias) y = g.addition(y, wide(record, *norm_bias, rows.each_column));
  write_quantised(record, out, y, {quant_scale, round_type, highest, lowest});
  if (residual) write(record, residual_out, sum);
  write(record, inverse_out, inverse);
  record.launch();
}

void fused_layer_norm(const CustomContext& ctx, const DenseTensor& x, const OptionalTensor& bias,
                      const OptionalTensor& residual, const OptionalTensor& weight, const OptionalTensor& norm_bias,
                      const float epsilon, const float alpha, const int begin, const float quant_scale,
                      const int round_type, const float highest, const float lowest, DenseTensor* out,
                      DenseTensor* residual_out, DenseTensor* mean, DenseTensor* variance) {
  const Rows rows(x, static_cast<size_t>(begin));
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value sum = with_residual(record, x, bias, residual, alpha, rows);
  const graphs::Moments moments = graphs::moments(g, sum, {1});
  Value y = sum;
  if (weight || norm_bias) {  // with neither, the sum alone is wanted
    y = graphs::normalized(g, sum, moments.mean, graphs::inverse_deviation(g, moments.variance, epsilon));
    if (weight) y = g.multiplication(y, wide(record, *weight, rows.each_column));
    if (norm_bias) y = g.addition(y, wide(record, *norm_bias, rows.each_column));
  }
  write_quantised(record, out, y, {quant_scale, round_type, highest, lowest});
  if (residual) write(record, residual_out, sum);
  write(record, mean, moments.mean);
  write(record, variance, moments.variance);
  record.launch();
}

void give_inverse(const phi::KernelKey&, phi::Kernel* kernel) {
  kernel->OutputAt(1).SetDataType(phi::DataType::FLOAT32);
}
void give_inferred(const phi::KernelKey&, phi::Kernel* kernel) {
  for (size_t i = 0; i < kernel->args_def().output_defs().size(); ++i) {
    kernel->OutputAt(i).SetDataType(phi::DataType::UNDEFINED);
  }
}

}  // namespace

// Paddle's headers do not declare these; the parameters are those of its API.
MPS_KERNEL_UNCHECKED(rms_norm, rms_norm, kFloats, give_inverse)
MPS_KERNEL_UNCHECKED(rms_norm_grad, rms_norm_grad, kFloats, detail::define_nothing)
MPS_KERNEL_UNCHECKED(fast_rms_norm, last_rms_norm, kFloats, give_inverse)
MPS_KERNEL_UNCHECKED(fast_rms_norm_grad, last_rms_norm_grad, kFloats, detail::define_nothing)
MPS_KERNEL_UNCHECKED(fused_rms_norm_ext, last_rms_norm, kFloats, give_inverse)
MPS_KERNEL_UNCHECKED(fused_rms_norm_ext_grad, last_rms_norm_grad, kFloats, detail::define_nothing)
MPS_KERNEL_WITH_DEFINE(fused_rms_norm_quant, phi::RmsNormQuantKernel, fused_rms_norm, kFloats, give_inferred)
MPS_KERNEL_WITH_DEFINE(fused_bias_residual_layernorm, phi::fusion::FusedLayerNormKernel, fused_layer_norm, kFloats,
                       give_inferred)

}  // namespace mps::paddle
