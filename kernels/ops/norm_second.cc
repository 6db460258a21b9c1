// Second derivatives of batch_norm and instance_norm.
//
// With y = scale n(x) + bias and n(x) = (x - mean) / deviation, the derivative of n along v is
//   J(v) = (v - mean(v) - n mean(v n)) / deviation
// so that dx = scale J(dy), dscale = sum(dy n) and dbias = sum(dy). J is its own transpose, and depends on x.
#include "kernels/graphs/normalize.h"
#include "kernels/ops/sliding.h"
#include "kernels/ops/wide.h"
#include "paddle/phi/kernels/batch_norm_grad_kernel.h"
#include "paddle/phi/kernels/instance_norm_grad_kernel.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;
using OptionalTensor = ::paddle::optional<DenseTensor>;

// What comes in for dx, dscale and dbias, and what goes out.
struct Incoming {
  const OptionalTensor &ddx, &ddscale, &ddbias;
};
struct Outgoing {
  DenseTensor *dx, *dscale, *ddy;
};

class SecondNorm {
 public:
  // x as [images, channels, positions], normalised over `axes`; statistics that do not depend on x have none.
  SecondNorm(Recorder& record, const DenseTensor& x, size_t channel_axis, Ints axes)
      : record_(record),
        g_(record.graph),
        all_(graphs::around(dims_of(x), channel_axis)),
        channel_{1, all_[1], 1},
        axes_(axes) {}

  Dims channel() const { return channel_; }
  void set(Value normal, Value inverse) { normal_ = normal, inverse_ = inverse; }
  Value values(const DenseTensor& tensor) { return wide(record_, tensor, all_); }

  void write_all(const OptionalTensor& scale, const DenseTensor& dy, const Incoming& in, const Outgoing& out) {
    const Value gradient = values(dy);
    const Value factor = scale ? wide(record_, *scale, channel_) : number(1);
    const Value along = in.ddx ? values(*in.ddx) : graphs::zeros(g_, DType::float32, all_);
    const Value more = in.ddscale ? wide(record_, *in.ddscale, channel_) : number(0);
    const Value turned = derivative(gradient), turned_along = derivative(along);
    if (out.dscale != nullptr) {
      write(record_, out.dscale, g_.reduction_sum(g_.multiplication(along, turned), {0, 2}));
    }
    if (out.ddy != nullptr) {
      Value sum = g_.addition(g_.multiplication(factor, turned_along), g_.multiplication(more, normal_));
      if (in.ddbias) sum = g_.addition(sum, wide(record_, *in.ddbias, channel_));
      write(record_, out.ddy, sum);
    }
    if (out.dx != nullptr) {
      Value sum = g_.multiplication(more, turned);
      if (!axes_.empty())
        sum = g_.addition(sum, g_.multiplication(factor, curvature(along, gradient, turned_along, turned)));
      write(record_, out.dx, sum);
    }
  }

 private:
  Value number(double value) { return g_.constant(value, DType::float32); }
  Value mean(Value x) { return graphs::mean_along(g_, x, axes_); }

  Value derivative(Value v) {
    if (axes_.empty()) return g_.multiplication(v, inverse_);
    return graphs::normalized_gradient(g_, v, normal_, inverse_, axes_);
  }

  // How sum(v J(u)) changes with x.
  Value curvature(Value v, Value u, Value turned_v, Value turned_u) {
    const Value of_v = mean(g_.multiplication(v, normal_)), of_u = mean(g_.multiplication(u, normal_));
    const Value both = mean(g_.multiplication(v, g_.subtraction(u, mean(u))));
    const Value left = g_.subtraction(both, g_.multiplication(of_v, of_u));
    const Value by_spread = g_.multiplication(g_.multiplication(normal_, g_.square(inverse_)), left);
    const Value by_normal = g_.addition(g_.multiplication(turned_v, of_u), g_.multiplication(turned_u, of_v));
    return g_.negative(g_.addition(by_spread, g_.multiplication(by_normal, inverse_)));
  }

  Recorder& record_;
  Graph& g_;
  const Shape all_, channel_;
  const Ints axes_;
  Value normal_{}, inverse_{};
};

// Paddle mixes up their shapes and dtypes.
void shape_results(const CustomContext& ctx, const DenseTensor& x, int64_t channels, const Outgoing& out) {
  for (DenseTensor* tensor : {out.dx, out.ddy}) {
    if (tensor == nullptr) continue;
    tensor->Resize(x.dims());
    ctx.Alloc(tensor, x.dtype());
  }
  if (out.dscale == nullptr) return;
  out.dscale->Resize(phi::make_ddim({channels}));
  ctx.Alloc(out.dscale, phi::DataType::FLOAT32);
}

// Statistics of each channel, over images and positions; running ones do not depend on x.
void batch_norm_double_grad(const CustomContext& ctx, const DenseTensor& x, const OptionalTensor& scale,
                            const OptionalTensor& mean, const OptionalTensor& variance, const DenseTensor& saved_mean,
                            const DenseTensor& saved_variance, const DenseTensor& dy, const OptionalTensor& ddx,
                            const OptionalTensor& ddscale, const OptionalTensor& ddbias, float, float epsilon,
                            const std::string& layout, bool is_test, bool use_global_stats, bool, DenseTensor* dx,
                            DenseTensor* dscale, DenseTensor* ddy) {
  const bool is_global = is_test || use_global_stats;
  const size_t axis = channels_come_last(layout) ? dims_of(x).size() - 1 : 1;
  shape_results(ctx, x, dims_of(x)[axis], {dx, dscale, ddy});
  Recorder record(ctx);
  Graph& g = record.graph;
  SecondNorm norm(record, x, axis, is_global ? Ints{} : Ints{0, 2});
  Value center, inverse;
  if (is_global) {
    MPS_CHECK(mean && variance, kArgument, "no statistics: expected the running mean and variance, got none.");
    center = wide(record, *mean, norm.channel());
    inverse = graphs::inverse_deviation(g, wide(record, *variance, norm.channel()), static_cast<double>(epsilon));
  } else {
    center = wide(record, saved_mean, norm.channel());
    inverse = wide(record, saved_variance, norm.channel());
  }
  norm.set(graphs::normalized(g, norm.values(x), center, inverse), inverse);
  norm.write_all(scale, dy, {ddx, ddscale, ddbias}, {dx, dscale, ddy});
  record.launch();
}

// Statistics of each channel of each image.
void instance_norm_double_grad(const CustomContext& ctx, const DenseTensor& x, const OptionalTensor& scale,
                               const DenseTensor& saved_mean, const DenseTensor& saved_variance, const DenseTensor& dy,
                               const OptionalTensor& ddx, const OptionalTensor& ddscale, const OptionalTensor& ddbias,
                               float, DenseTensor* dx, DenseTensor* dscale, DenseTensor* ddy) {
  shape_results(ctx, x, dims_of(x)[1], {dx, dscale, ddy});
  Recorder record(ctx);
  SecondNorm norm(record, x, 1, {2});
  const Shape each{dims_of(x)[0], dims_of(x)[1], 1};
  const Value inverse = wide(record, saved_variance, each);
  norm.set(graphs::normalized(record.graph, norm.values(x), wide(record, saved_mean, each), inverse), inverse);
  norm.write_all(scale, dy, {ddx, ddscale, ddbias}, {dx, dscale, ddy});
  record.launch();
}

// Parameters are float32 whatever x is.
void give_scale(const phi::KernelKey&, phi::Kernel* kernel) { kernel->OutputAt(1).SetDataType(phi::DataType::FLOAT32); }

}  // namespace

// Paddle's header has one parameter more than Paddle passes.
MPS_KERNEL_UNCHECKED(batch_norm_double_grad, batch_norm_double_grad, kFloats, give_scale)
MPS_KERNEL(instance_norm_double_grad, phi::InstanceNormDoubleGradKernel, instance_norm_double_grad, kFloats)

}  // namespace mps::paddle
