// Adam (Kingma and Ba, 2015) and its relatives: adam, adamw, merged_adam, adamax, lamb, nadam, radam.
//
// Moments start at 0 and are corrected for it by powers of their betas.
#include "kernels/ops/optimizer.h"
#include "kernels/ops/selected_rows.h"
#include "paddle/phi/kernels/adam_kernel.h"
#include "paddle/phi/kernels/adamax_kernel.h"
#include "paddle/phi/kernels/adamw_kernel.h"
#include "paddle/phi/kernels/lamb_kernel.h"
#include "paddle/phi/kernels/nadam_kernel.h"
#include "paddle/phi/kernels/radam_kernel.h"
#include "paddle/phi/kernels/selected_rows/adam_kernel.h"
#include "plugin/core/check.h"
#include "plugin/paddle/host_value.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;

// True if gradients had overflowed: the parameter and its state stay as they are.
bool skips(const CustomContext& ctx, const OptionalTensor& skip_update) {
  return skip_update && skip_update->initialized() && host_value(ctx, *skip_update).to_int64() != 0;
}

struct Adam {
  const DenseTensor &param, &grad, &rate, &moment1, &moment2, &beta1_pow, &beta2_pow;
  const DenseTensor *moment2_max, *master;
  double beta1, beta2, epsilon;
  double rate_ratio = 1, decay = 0;
  bool keeps_powers = false;              // another op moves them
  const DenseTensor* selected = nullptr;  // bool: whether an element moves; without it all do
};
struct AdamOut {
  DenseTensor *param, *moment1, *moment2, *moment2_max, *beta1_pow, *beta2_pow, *master;
};

void record_adam(const CustomContext& ctx, Recorder& record, const Adam& of, const AdamOut& out) {
  Graph& g = record.graph;
  Power power1(ctx, record, of.beta1_pow), power2(ctx, record, of.beta2_pow);
  const Value old = parameter(record, of.param, of.master);
  Value param = old, rate = one(record, of.rate);
  if (of.rate_ratio != 1) rate = g.multiplication(rate, number(record, of.rate_ratio));
  if (of.decay != 0) {
    const Value lost = g.multiplication(g.multiplication(rate, number(record, of.decay)), param);
    param = g.subtraction(param, lost);
  }
  const Value gradient = flat(record, of.grad);
  const Value old1 = flat(record, of.moment1), old2 = flat(record, of.moment2);
  const Value moment1 = moved(record, old1, gradient, of.beta1);
  const Value moment2 = moved(record, old2, g.square(gradient), of.beta2);
  const auto if_selected = [&](Value next, Value before) {
    if (of.selected == nullptr) return next;
    return g.select(record.input(*of.selected, {of.selected->numel()}), next, before);
  };
  Value greatest = moment2;
  if (of.moment2_max != nullptr) {
    const Value old_max = flat(record, *of.moment2_max);
    greatest = g.maximum(moment2, old_max);
    write(record, out.moment2_max, if_selected(greatest, old_max));
  }
  const Value root = g.square_root(power2.one_minus());
  const Value corrected = g.division(g.multiplication(rate, root), power1.one_minus());
  const Value size = g.addition(g.square_root(greatest), g.multiplication(number(record, of.epsilon), root));
  write(record, out.moment1, if_selected(moment1, old1));
  write(record, out.moment2, if_selected(moment2, old2));
  const Value next = g.subtraction(param, g.multiplication(corrected, g.division(moment1, size)));
  write_parameter(record, out.param, out.master, if_selected(next, old));
  if (!of.keeps_powers) {
    power1.write_next(out.beta1_pow, of.beta1);
    power2.write_next(out.beta2_pow, of.beta2);
  }
}

void adamw(const CustomContext& ctx, const DenseTensor& param, const DenseTensor& grad, const DenseTensor& rate,
           const DenseTensor& moment1, const DenseTensor& moment2, const OptionalTensor& moment2_max,
           const DenseTensor& beta1_pow, const DenseTensor& beta2_pow, const OptionalTensor& master,
           const OptionalTensor& skip_update, const phi::Scalar& beta1, const phi::Scalar& beta2,
           const phi::Scalar& epsilon, float rate_ratio, float decay, bool with_decay, bool, int64_t, bool,
           bool use_global_beta_pow, bool amsgrad, DenseTensor* param_out, DenseTensor* moment1_out,
           DenseTensor* moment2_out, DenseTensor* moment2_max_out, DenseTensor* beta1_pow_out,
           DenseTensor* beta2_pow_out, DenseTensor* master_out) {
  if (skips(ctx, skip_update)) return;  // the outputs are the inputs
  Recorder record(ctx);
  record_adam(ctx, record,
              {param, grad, rate, moment1, moment2, beta1_pow, beta2_pow, amsgrad ? given(moment2_max) : nullptr,
               given(master), beta1.to<double>(), beta2.to<double>(), epsilon.to<double>(),
               with_decay ? rate_ratio : 1.0, with_decay ? decay : 0.0, use_global_beta_pow},
              {param_out, moment1_out, moment2_out, moment2_max_out, beta1_pow_out, beta2_pow_out, master_out});
  record.launch();
}

void adam(const CustomContext& ctx, const DenseTensor& param, const DenseTensor& grad, const DenseTensor& rate,
          const DenseTensor& moment1, const DenseTensor& moment2, const OptionalTensor& moment2_max,
          const DenseTensor& beta1_pow, const DenseTensor& beta2_pow, const OptionalTensor& master,
          const OptionalTensor& skip_update, const phi::Scalar& beta1, const phi::Scalar& beta2,
          const phi::Scalar& epsilon, bool lazy_mode, int64_t rows, bool multi_precision, bool use_global_beta_pow,
          bool amsgrad, DenseTensor* param_out, DenseTensor* moment1_out, DenseTensor* moment2_out,
          DenseTensor* moment2_max_out, DenseTensor* beta1_pow_out, DenseTensor* beta2_pow_out,
          DenseTensor* master_out) {
  adamw(ctx, param, grad, rate, moment1, moment2, moment2_max, beta1_pow, beta2_pow, master, skip_update, beta1, beta2,
        epsilon, 1, 0, /*with_decay=*/false, lazy_mode, rows, multi_precision, use_global_beta_pow, amsgrad, param_out,
        moment1_out, moment2_out, moment2_max_out, beta1_pow_out, beta2_pow_out, master_out);
}

// Of gradients of some rows: those of the others are 0, or, if it is lazy, the others stay as they are.
void adam_of_rows(const CustomContext& ctx, const DenseTensor& param, const phi::SelectedRows& grad,
                  const DenseTensor& rate, const DenseTensor& moment1, const DenseTensor& moment2,
                  const OptionalTensor& moment2_max, const DenseTensor& beta1_pow, const DenseTensor& beta2_pow,
                  const OptionalTensor& master, const OptionalTensor& skip_update, const phi::Scalar& beta1,
                  const phi::Scalar& beta2, const phi::Scalar& epsilon, bool lazy_mode, int64_t, bool,
                  bool use_global_beta_pow, bool amsgrad, DenseTensor* param_out, DenseTensor* moment1_out,
                  DenseTensor* moment2_out, DenseTensor* moment2_max_out, DenseTensor* beta1_pow_out,
                  DenseTensor* beta2_pow_out, DenseTensor* master_out) {
  if (skips(ctx, skip_update)) return;
  const DenseTensor dense = dense_gradient(ctx, grad);
  const DenseTensor selected = lazy_mode ? is_selected(ctx, grad) : DenseTensor();
  Recorder record(ctx);
  Adam of{param,
          dense,
          rate,
          moment1,
          moment2,
          beta1_pow,
          beta2_pow,
          amsgrad ? given(moment2_max) : nullptr,
          given(master),
          beta1.to<double>(),
          beta2.to<double>(),
          epsilon.to<double>()};
  of.keeps_powers = use_global_beta_pow;
  if (lazy_mode) of.selected = &selected;
  record_adam(ctx, record, of,
              {param_out, moment1_out, moment2_out, moment2_max_out, beta1_pow_out, beta2_pow_out, master_out});
  record.launch();
}

void merged_adam(const CustomContext& ctx, const Tensors& param, const Tensors& grad, const Tensors& rate,
                 const Tensors& moment1, const Tensors& moment2, const ::paddle::optional<Tensors>& moment2_max,
                 const Tensors& beta1_pow, const Tensors& beta2_pow, const ::paddle::optional<Tensors>& master,
                 const phi::Scalar& beta1, const phi::Scalar& beta2, const phi::Scalar& epsilon, bool,
                 bool use_global_beta_pow, bool amsgrad, Outputs param_out, Outputs moment1_out, Outputs moment2_out,
                 Outputs moment2_max_out, Outputs beta1_pow_out, Outputs beta2_pow_out, Outputs master_out) {
  Recorder record(ctx);
  for (size_t i = 0; i < param.size(); ++i) {
    Adam of{*param[i],
            *grad[i],
            *rate[rate.size() == 1 ? 0 : i],
            *moment1[i],
            *moment2[i],
            *beta1_pow[i],
            *beta2_pow[i],
            amsgrad ? given(moment2_max, i) : nullptr,
            given(master, i),
            beta1.to<double>(),
            beta2.to<double>(),
            epsilon.to<double>()};
    of.keeps_powers = use_global_beta_pow;
    record_adam(ctx, record, of,
                {wanted(param_out, i), wanted(moment1_out, i), wanted(moment2_out, i), wanted(moment2_max_out, i),
                 wanted(beta1_pow_out, i), wanted(beta2_pow_out, i), wanted(master_out, i)});
  }
  record.launch();
}

// By the greatest gradient that there was, which fades, instead of a mean of squares.
void adamax(const CustomContext& ctx, const DenseTensor& param, const DenseTensor& grad, const DenseTensor& rate,
            const DenseTensor& moment, const DenseTensor& inf_norm, const DenseTensor& beta1_pow,
            const OptionalTensor& master, float beta1, float beta2, float epsilon, bool, DenseTensor* param_out,
            DenseTensor* moment_out, DenseTensor* inf_norm_out, DenseTensor* master_out) {
  Recorder record(ctx);
  Graph& g = record.graph;
  Power power(ctx, record, beta1_pow);
  const Value gradient = flat(record, grad);
  const Value mean = moved(record, flat(record, moment), gradient, beta1);
  const Value fading =
      g.addition(g.multiplication(flat(record, inf_norm), number(record, beta2)), number(record, epsilon));
  const Value greatest = g.maximum(g.absolute(gradient), fading);
  const Value step = g.multiplication(g.division(one(record, rate), power.one_minus()), g.division(mean, greatest));
  write(record, moment_out, mean);
  write(record, inf_norm_out, greatest);
  write_parameter(record, param_out, master_out, g.subtraction(parameter(record, param, given(master)), step));
  record.launch();
}

// Adam's direction, as long as the parameter (You et al., 2020).
void lamb(const CustomContext& ctx, const DenseTensor& param, const DenseTensor& grad, const DenseTensor& rate,
          const DenseTensor& moment1, const DenseTensor& moment2, const DenseTensor& beta1_pow,
          const DenseTensor& beta2_pow, const OptionalTensor& master, const OptionalTensor& skip_update,
          float weight_decay, float beta1, float beta2, float epsilon, bool always_adapt, bool, DenseTensor* param_out,
          DenseTensor* moment1_out, DenseTensor* moment2_out, DenseTensor* beta1_pow_out, DenseTensor* beta2_pow_out,
          DenseTensor* master_out) {
  if (skips(ctx, skip_update)) return;
  Recorder record(ctx);
  Graph& g = record.graph;
  Power power1(ctx, record, beta1_pow), power2(ctx, record, beta2_pow);
  const Value p = parameter(record, param, given(master)), gradient = flat(record, grad);
  const Value mean = moved(record, flat(record, moment1), gradient, beta1);
  const Value squares = moved(record, flat(record, moment2), g.square(gradient), beta2);
  const Value size = g.addition(g.square_root(g.division(squares, power2.one_minus())), number(record, epsilon));
  const Value adam = g.division(g.division(mean, power1.one_minus()), size);
  const Value direction = g.addition(adam, g.multiplication(number(record, weight_decay), p));
  Value step = g.multiplication(one(record, rate), direction);
  if (weight_decay > 0 || always_adapt) {
    const auto length = [&](Value x) { return g.square_root(g.reduction_sum(g.square(x), {0})); };
    const Value of_p = length(p), of_direction = length(direction), zero = g.constant(0, DType::float32);
    const Value both = g.multiplication(g.greater_than(of_p, zero), g.greater_than(of_direction, zero));
    const Value ratio = g.select(both, g.division(of_p, of_direction), g.constant(1, DType::float32));
    step = g.multiplication(step, ratio);
  }
  write(record, moment1_out, mean);
  write(record, moment2_out, squares);
  write_parameter(record, param_out, master_out, g.subtraction(p, step));
  power1.write_next(beta1_pow_out, beta1);
  power2.write_next(beta2_pow_out, beta2);
  record.launch();
}

// With Nesterov's momentum, which grows from step to step (Dozat, 2016). Here, and in radam, Paddle keeps powers for
// each element of the parameter.
void nadam(const CustomContext& ctx, const DenseTensor& param, const DenseTensor& grad, const DenseTensor& rate,
           const DenseTensor& decay_pow, const DenseTensor& beta2_pow, const DenseTensor& mu_product,
           const DenseTensor& moment1, const DenseTensor& moment2, const OptionalTensor& master, float beta1,
           float beta2, float epsilon, float momentum_decay, bool, DenseTensor* param_out, DenseTensor* decay_pow_out,
           DenseTensor* beta2_pow_out, DenseTensor* mu_product_out, DenseTensor* moment1_out, DenseTensor* moment2_out,
           DenseTensor* master_out) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value unit = g.constant(1, DType::float32);
  const Value decays = g.multiplication(flat(record, decay_pow), number(record, 0.96));
  const Value power2 = g.multiplication(flat(record, beta2_pow), number(record, beta2));
  const Value half = g.multiplication(g.power(decays, number(record, momentum_decay)), number(record, 0.5));
  const auto mu_of = [&](Value rest) { return g.multiplication(number(record, beta1), g.subtraction(unit, rest)); };
  const Value mu = mu_of(half);
  const Value next_mu = mu_of(g.multiplication(half, number(record, std::pow(0.96, double{momentum_decay}))));
  const Value product = g.multiplication(flat(record, mu_product), mu);
  const Value next_product = g.multiplication(product, next_mu);
  const Value gradient = flat(record, grad);
  const Value mean = moved(record, flat(record, moment1), gradient, beta1);
  const Value squares = moved(record, flat(record, moment2), g.square(gradient), beta2);
  const Value ahead = g.multiplication(g.division(next_mu, g.subtraction(unit, next_product)), mean);
  const Value now = g.multiplication(g.division(g.subtraction(unit, mu), g.subtraction(unit, product)), gradient);
  const Value spread = g.square_root(g.division(squares, g.subtraction(unit, power2)));
  const Value size = g.addition(spread, number(record, epsilon));
  const Value step = g.multiplication(one(record, rate), g.division(g.addition(ahead, now), size));
  write(record, decay_pow_out, decays);
  write(record, beta2_pow_out, power2);
  write(record, mu_product_out, product);
  write(record, moment1_out, mean);
  write(record, moment2_out, squares);
  write_parameter(record, param_out, master_out, g.subtraction(parameter(record, param, given(master)), step));
  record.launch();
}

// Divided by the spread of gradients only once there are enough to know it (Liu et al., 2020).
void radam(const CustomContext& ctx, const DenseTensor& param, const DenseTensor& grad, const DenseTensor& rate,
           const DenseTensor& beta1_pow, const DenseTensor& beta2_pow, const DenseTensor& rho,
           const DenseTensor& moment1, const DenseTensor& moment2, const OptionalTensor& master, float beta1,
           float beta2, float epsilon, bool, DenseTensor* param_out, DenseTensor* beta1_pow_out,
           DenseTensor* beta2_pow_out, DenseTensor* rho_out, DenseTensor* moment1_out, DenseTensor* moment2_out,
           DenseTensor* master_out) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value unit = g.constant(1, DType::float32);
  const Value power1 = g.multiplication(flat(record, beta1_pow), number(record, beta1));
  const Value power2 = g.multiplication(flat(record, beta2_pow), number(record, beta2));
  const Value left = g.subtraction(unit, power2);
  const Value old = g.multiplication(flat(record, rho), g.subtraction(number(record, beta2), power2));
  const Value next_rho = g.division(g.addition(old, power2), left);
  const Value gradient = flat(record, grad);
  const Value mean = moved(record, flat(record, moment1), gradient, beta1);
  const Value squares = moved(record, flat(record, moment2), g.square(gradient), beta2);
  const double last = 2 / (1 - double{beta2}) - 1;  // rho after many steps
  const Value length = g.subtraction(number(record, last), g.addition(next_rho, next_rho));
  const auto less = [&](double count) { return g.subtraction(length, g.constant(count, DType::float32)); };
  const Value above = g.multiplication(g.multiplication(less(4), less(2)), number(record, last));
  const Value below = g.multiplication(number(record, (last - 4) * (last - 2)), length);
  const Value size = g.addition(g.square_root(squares), number(record, epsilon));
  const Value spread = g.multiplication(g.square_root(g.division(above, below)), g.division(g.square_root(left), size));
  const Value is_known = g.greater_than(length, g.constant(5, DType::float32));
  const Value rest = g.multiplication(g.division(one(record, rate), g.subtraction(unit, power1)), mean);
  const Value step = g.multiplication(rest, g.select(is_known, spread, unit));
  write(record, beta1_pow_out, power1);
  write(record, beta2_pow_out, power2);
  write(record, rho_out, next_rho);
  write(record, moment1_out, mean);
  write(record, moment2_out, squares);
  write_parameter(record, param_out, master_out, g.subtraction(parameter(record, param, given(master)), step));
  record.launch();
}

// Powers of beta that Paddle made on the host stay there, and are changed in their place.
template <size_t kInput, size_t kOutput>
void leave_powers(const phi::KernelKey& key, phi::Kernel* kernel) {
  give_own_dtypes(key, kernel);
  for (size_t i = 0; i < 2; ++i) {
    kernel->InputAt(kInput + i).SetBackend(phi::Backend::ALL_BACKEND);
    kernel->OutputAt(kOutput + i).SetBackend(phi::Backend::UNDEFINED);
  }
}
void leave_adam(const phi::KernelKey& key, phi::Kernel* kernel) {
  leave_powers<6, 4>(key, kernel);
  kernel->InputAt(9).SetBackend(phi::Backend::ALL_BACKEND);  // skip_update
}
void leave_lamb(const phi::KernelKey& key, phi::Kernel* kernel) {
  leave_powers<5, 3>(key, kernel);
  kernel->InputAt(8).SetBackend(phi::Backend::ALL_BACKEND);
}

}  // namespace

MPS_KERNEL_WITH_DEFINE(adam, phi::AdamDenseKernel, adam, kFloats, leave_adam)
MPS_KERNEL_WITH_DEFINE(adamw, phi::AdamwDenseKernel, adamw, kFloats, leave_adam)
MPS_KERNEL_WITH_DEFINE(adam_dense_param_sparse_grad, phi::sr::AdamDenseParamSparseGradKernel, adam_of_rows, kFloats,
                       leave_adam)
static constexpr auto leave_merged = &leave_powers<6, 4>;
MPS_KERNEL_WITH_DEFINE(merged_adam, phi::MergedAdamKernel, merged_adam, kFloats, leave_merged)
MPS_KERNEL_WITH_DEFINE(adamax, phi::AdamaxKernel, adamax, kFloats, give_own_dtypes)
MPS_KERNEL_WITH_DEFINE(lamb, phi::LambKernel, lamb, kFloats, leave_lamb)
MPS_KERNEL_WITH_DEFINE(nadam, phi::NAdamKernel, nadam, kFloats, give_own_dtypes)
MPS_KERNEL_WITH_DEFINE(radam, phi::RAdamKernel, radam, kFloats, give_own_dtypes)

}  // namespace mps::paddle
