// layer_norm: over all axes from one on. Statistics are float32.
#include "kernels/graphs/normalize.h"
#include "kernels/ops/wide.h"
#include "paddle/phi/kernels/layer_norm_grad_kernel.h"
#include "paddle/phi/kernels/layer_norm_kernel.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;
using OptionalTensor = ::paddle::optional<DenseTensor>;

// [rows, elements to normalise over]
struct Rows {
  explicit Rows(const DenseTensor& x, int begin) {
    const Dims shape = dims_of(x);
    const size_t from = static_cast<size_t>(begin);
    all = {graphs::product_of(shape, 0, from), graphs::product_of(shape, from, shape.size())};
    each_row = {all[0], 1};
    each_column = {1, all[1]};
  }
  Shape all, each_row, each_column;
};

void layer_norm(const CustomContext& ctx, const DenseTensor& x, const OptionalTensor& scale, const OptionalTensor& bias,
                float epsilon, int begin, DenseTensor* out, DenseTensor* mean, DenseTensor* variance) {
  const Rows rows(x, begin);
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value values = wide(record, x, rows.all);
  const graphs::Moments moments = graphs::moments(g, values, {1});
  Value y = graphs::normalized(g, values, moments.mean, graphs::inverse_deviation(g, moments.variance, epsilon));
  if (scale) y = g.multiplication(y, wide(record, *scale, rows.each_column));
  if (bias) y = g.addition(y, wide(record, *bias, rows.each_column));
  write(record, out, y);
  write(record, mean, moments.mean);
  write(record, variance, moments.variance);
  record.launch();
}

void layer_norm_grad(const CustomContext& ctx, const DenseTensor& x, const OptionalTensor& scale, const OptionalTensor&,
                     const DenseTensor& mean, const DenseTensor& variance, const DenseTensor& dout, float epsilon,
                     int begin, DenseTensor* dx, DenseTensor* dscale, DenseTensor* dbias) {
  const Rows rows(x, begin);
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value dy = wide(record, dout, rows.all);
  const Value inverse = graphs::inverse_deviation(g, wide(record, variance, rows.each_row), epsilon);
  const Value y = graphs::normalized(g, wide(record, x, rows.all), wide(record, mean, rows.each_row), inverse);
  const Value scaled = scale ? g.multiplication(dy, wide(record, *scale, rows.each_column)) : dy;
  if (dx != nullptr) write(record, dx, graphs::normalized_gradient(g, scaled, y, inverse, {1}));
  if (dscale != nullptr) write(record, dscale, g.reduction_sum(g.multiplication(dy, y), {0}));
  if (dbias != nullptr) write(record, dbias, g.reduction_sum(dy, {0}));
  record.launch();
}

void give_statistics(const phi::KernelKey&, phi::Kernel* kernel) {
  kernel->OutputAt(1).SetDataType(phi::DataType::FLOAT32);
  kernel->OutputAt(2).SetDataType(phi::DataType::FLOAT32);
}

}  // namespace

MPS_KERNEL_WITH_DEFINE(layer_norm, phi::LayerNormKernel, layer_norm, kFloats, give_statistics)
MPS_KERNEL(layer_norm_grad, phi::LayerNormGradKernel, layer_norm_grad, kFloats)

}  // namespace mps::paddle
