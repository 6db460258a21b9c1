// group_norm, and instance_norm, whose groups are channels. Statistics are float32.
#include "kernels/graphs/normalize.h"
#include "kernels/ops/wide.h"
#include "paddle/phi/kernels/group_norm_grad_kernel.h"
#include "paddle/phi/kernels/group_norm_kernel.h"
#include "paddle/phi/kernels/instance_norm_grad_kernel.h"
#include "paddle/phi/kernels/instance_norm_kernel.h"
#include "plugin/core/check.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;
using OptionalTensor = ::paddle::optional<DenseTensor>;

// [batch, groups, channels of each, positions], or with channels last [batch, positions, groups, channels of each].
struct Groups {
  Groups(const DenseTensor& x, int64_t groups, bool channels_last) {
    const Dims shape = dims_of(x);
    const size_t rank = shape.size();
    MPS_CHECK(rank >= 2, kArgument, "bad rank: expected 2 or more, got ", rank, ".");
    const size_t axis = channels_last ? rank - 1 : 1;
    const int64_t batch = shape[0], channels = shape[axis];
    MPS_CHECK(groups > 0 && channels % groups == 0, kArgument, "bad number of groups: expected a divisor of ", channels,
              " channels, got ", groups, ".");
    const int64_t each_group = channels / groups;
    if (channels_last) {
      const int64_t positions = graphs::product_of(shape, 1, axis);
      all = {batch, positions, groups, each_group};
      statistics = {batch, 1, groups, 1};
      parameters = {1, 1, groups, each_group};
      axes = {1, 3};
      others = {0, 1};
    } else {
      const int64_t positions = graphs::product_of(shape, 2, rank);
      all = {batch, groups, each_group, positions};
      statistics = {batch, groups, 1, 1};
      parameters = {1, groups, each_group, 1};
      axes = {2, 3};
      others = {0, 3};
    }
  }
  Shape all, statistics, parameters;
  Ints axes;    // what a group is normalised over
  Ints others;  // what a channel's parameters are shared by
};

Value scaled(Recorder& record, Value y, const OptionalTensor& scale, const OptionalTensor& bias, const Groups& groups) {
  Graph& g = record.graph;
  if (scale) y = g.multiplication(y, wide(record, *scale, groups.parameters));
  if (bias) y = g.addition(y, wide(record, *bias, groups.parameters));
  return y;
}

void write_gradients(Recorder& record, const Groups& groups, const DenseTensor& x, const OptionalTensor& scale,
                     Value mean, Value inverse, const DenseTensor& dout, DenseTensor* dx, DenseTensor* dscale,
                     DenseTensor* dbias) {
  Graph& g = record.graph;
  const Value dy = wide(record, dout, groups.all);
  const Value y = graphs::normalized(g, wide(record, x, groups.all), mean, inverse);
  if (dx != nullptr) {
    const Value slope = scale ? g.multiplication(dy, wide(record, *scale, groups.parameters)) : dy;
    write(record, dx, graphs::normalized_gradient(g, slope, y, inverse, groups.axes));
  }
  if (dscale != nullptr) write(record, dscale, g.reduction_sum(g.multiplication(dy, y), groups.others));
  if (dbias != nullptr) write(record, dbias, g.reduction_sum(dy, groups.others));
}

bool is_channels_last(const std::string& layout) { return layout == "NHWC" || layout == "NDHWC" || layout == "NLC"; }

void group_norm(const CustomContext& ctx, const DenseTensor& x, const OptionalTensor& scale, const OptionalTensor& bias,
                double epsilon, int count, const std::string& layout, DenseTensor* y, DenseTensor* mean,
                DenseTensor* variance) {
  const Groups groups(x, count, is_channels_last(layout));
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value values = wide(record, x, groups.all);
  const graphs::Moments moments = graphs::moments(g, values, groups.axes);
  const Value inverse = graphs::inverse_deviation(g, moments.variance, epsilon);
  write(record, y, scaled(record, graphs::normalized(g, values, moments.mean, inverse), scale, bias, groups));
  write(record, mean, moments.mean);
  write(record, variance, moments.variance);
  record.launch();
}

void group_norm_grad(const CustomContext& ctx, const DenseTensor& x, const OptionalTensor& scale, const OptionalTensor&,
                     const DenseTensor&, const DenseTensor& mean, const DenseTensor& variance, const DenseTensor& dy,
                     double epsilon, int count, const std::string& layout, DenseTensor* dx, DenseTensor* dscale,
                     DenseTensor* dbias) {
  const Groups groups(x, count, is_channels_last(layout));
  Recorder record(ctx);
  const Value spread = wide(record, variance, groups.statistics);
  const Value inverse = graphs::inverse_deviation(record.graph, spread, epsilon);
  write_gradients(record, groups, x, scale, wide(record, mean, groups.statistics), inverse, dy, dx, dscale, dbias);
  record.launch();
}

Groups instances(const DenseTensor& x) { return Groups(x, dims_of(x)[1], /*channels_last=*/false); }

void instance_norm(const CustomContext& ctx, const DenseTensor& x, const OptionalTensor& scale,
                   const OptionalTensor& bias, float epsilon, DenseTensor* y, DenseTensor* saved_mean,
                   DenseTensor* saved_variance) {
  const Groups groups = instances(x);
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value values = wide(record, x, groups.all);
  const graphs::Moments moments = graphs::moments(g, values, groups.axes);
  const Value inverse = graphs::inverse_deviation(g, moments.variance, epsilon);
  write(record, y, scaled(record, graphs::normalized(g, values, moments.mean, inverse), scale, bias, groups));
  write(record, saved_mean, moments.mean);
  write(record, saved_variance, inverse);  // Paddle's name for it
  record.launch();
}

void instance_norm_grad(const CustomContext& ctx, const DenseTensor& x, const OptionalTensor& scale,
                        const OptionalTensor&, const DenseTensor& saved_mean, const DenseTensor& saved_variance,
                        const DenseTensor& dy, float, DenseTensor* dx, DenseTensor* dscale, DenseTensor* dbias) {
  const Groups groups = instances(x);
  Recorder record(ctx);
  const Value mean = wide(record, saved_mean, groups.statistics);
  const Value inverse = wide(record, saved_variance, groups.statistics);
  write_gradients(record, groups, x, scale, mean, inverse, dy, dx, dscale, dbias);
  record.launch();
}

void give_statistics(const phi::KernelKey&, phi::Kernel* kernel) {
  kernel->OutputAt(1).SetDataType(phi::DataType::FLOAT32);
  kernel->OutputAt(2).SetDataType(phi::DataType::FLOAT32);
}

}  // namespace

MPS_KERNEL_WITH_DEFINE(group_norm, phi::GroupNormKernel, group_norm, kFloats, give_statistics)
MPS_KERNEL(group_norm_grad, phi::GroupNormGradKernel, group_norm_grad, kFloats)
MPS_KERNEL_WITH_DEFINE(instance_norm, phi::InstanceNormKernel, instance_norm, kFloats, give_statistics)
MPS_KERNEL(instance_norm_grad, phi::InstanceNormGradKernel, instance_norm_grad, kFloats)

}  // namespace mps::paddle
