// Optimisers that look at one gradient at a time: sgd, momentum, lars_momentum, adagrad, adadelta, rmsprop, asgd,
// rprop.
#include "kernels/graphs/lines.h"
#include "kernels/ops/optimizer.h"
#include "kernels/ops/selected_rows.h"
#include "paddle/phi/kernels/adadelta_kernel.h"
#include "paddle/phi/kernels/adagrad_kernel.h"
#include "paddle/phi/kernels/asgd_kernel.h"
#include "paddle/phi/kernels/lars_momentum_kernel.h"
#include "paddle/phi/kernels/merged_momentum_kernel.h"
#include "paddle/phi/kernels/momentum_kernel.h"
#include "paddle/phi/kernels/rmsprop_kernel.h"
#include "paddle/phi/kernels/rprop_kernel.h"
#include "paddle/phi/kernels/sgd_kernel.h"
#include "plugin/core/check.h"

namespace mps::paddle {
namespace {

using graphs::slice_axis;
using phi::CustomContext;
using phi::DenseTensor;

void sgd(const CustomContext& ctx, const DenseTensor& param, const DenseTensor& rate, const DenseTensor& grad,
         const OptionalTensor& master, bool, DenseTensor* param_out, DenseTensor* master_out) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value step = g.multiplication(one(record, rate), flat(record, grad));
  write_parameter(record, param_out, master_out, g.subtraction(parameter(record, param, given(master)), step));
  record.launch();
}

// -- momentum
// ------------------------------------------------------------------------------------------------------------

struct Momentum {
  const DenseTensor &param, &grad, &velocity, &rate;
  const DenseTensor* master;
  double mu;
  bool use_nesterov;
  const std::string& regularization;
  double coefficient, rescale;
};

// velocity = velocity * mu + grad; the parameter moves along it, or with Nesterov along grad + velocity * mu.
void record_momentum(Recorder& record, const Momentum& of, DenseTensor* param_out, DenseTensor* velocity_out,
                     DenseTensor* master_out) {
  Graph& g = record.graph;
  const Value param = parameter(record, of.param, of.master);
  const Value mu = number(record, of.mu);
  Value grad = g.multiplication(flat(record, of.grad), number(record, of.rescale));
  if (of.regularization == "l2_decay") {
    grad = g.addition(grad, g.multiplication(param, number(record, of.coefficient)));
  }
  const Value velocity = g.addition(g.multiplication(flat(record, of.velocity), mu), grad);
  const Value along = of.use_nesterov ? g.addition(grad, g.multiplication(velocity, mu)) : velocity;
  write(record, velocity_out, velocity);
  write_parameter(record, param_out, master_out, g.subtraction(param, g.multiplication(one(record, of.rate), along)));
}

void momentum(const CustomContext& ctx, const DenseTensor& param, const DenseTensor& grad, const DenseTensor& velocity,
              const DenseTensor& rate, const OptionalTensor& master, float mu, bool use_nesterov,
              const std::string& regularization, float coefficient, bool, float rescale, DenseTensor* param_out,
              DenseTensor* velocity_out, DenseTensor* master_out) {
  Recorder record(ctx);
  record_momentum(record,
                  {param, grad, velocity, rate, given(master), mu, use_nesterov, regularization, coefficient, rescale},
                  param_out, velocity_out, master_out);
  record.launch();
}

void merged_momentum(const CustomContext& ctx, const Tensors& param, const Tensors& grad, const Tensors& velocity,
                     const Tensors& rate, const ::paddle::optional<Tensors>& master, float mu, bool use_nesterov,
                     const std::vector<std::string>& regularization, const std::vector<float>& coefficient, bool,
                     float rescale, Outputs param_out, Outputs velocity_out, Outputs master_out) {
  const std::string none;
  Recorder record(ctx);
  for (size_t i = 0; i < param.size(); ++i) {
    const bool is_regular = i < regularization.size();
    record_momentum(record,
                    {*param[i], *grad[i], *velocity[i], *rate[rate.size() == 1 ? 0 : i], given(master, i), mu,
                     use_nesterov, is_regular ? regularization[i] : none, is_regular ? coefficient[i] : 0, rescale},
                    wanted(param_out, i), wanted(velocity_out, i), wanted(master_out, i));
  }
  record.launch();
}

// The rate of each parameter is in proportion to its length over that of its gradient (You, Gitman and Ginsburg, 2017).
void lars_momentum(const CustomContext& ctx, const Tensors& param, const Tensors& velocity, const Tensors& rate,
                   const Tensors& grad, const ::paddle::optional<Tensors>& master,
                   const std::vector<float>& weight_decay, float mu, float coefficient, float epsilon, bool,
                   float rescale, Outputs param_out, Outputs velocity_out, Outputs master_out) {
  Recorder record(ctx);
  Graph& g = record.graph;
  for (size_t i = 0; i < param.size(); ++i) {
    const Value p = parameter(record, *param[i], given(master, i));
    const Value gradient = g.multiplication(flat(record, *grad[i]), number(record, rescale));
    const Value decay = number(record, weight_decay[i]);
    const auto length = [&](Value x) { return g.reshape(g.square_root(g.reduction_sum(g.square(x), {0})), {}); };
    Value local = one(record, *rate[i]);
    if (weight_decay[i] > 0) {
      const Value of_p = length(p), of_gradient = length(gradient), zero = graphs::number(g, of_p, 0);
      const Value sum = g.addition(g.addition(of_gradient, g.multiplication(decay, of_p)), number(record, epsilon));
      const Value scaled =
          g.division(g.multiplication(g.multiplication(local, number(record, coefficient)), of_p), sum);
      const Value both = g.multiplication(g.greater_than(of_p, zero), g.greater_than(of_gradient, zero));
      local = g.select(both, scaled, local);
    }
    const Value step = g.multiplication(local, g.addition(gradient, g.multiplication(decay, p)));
    const Value moving = g.addition(g.multiplication(flat(record, *velocity[i]), number(record, mu)), step);
    write(record, wanted(velocity_out, i), moving);
    write_parameter(record, wanted(param_out, i), wanted(master_out, i), g.subtraction(p, moving));
  }
  record.launch();
}

// -- divided by what gradients were
// ----------------------------------------------------------------------------------------

void adagrad(const CustomContext& ctx, const DenseTensor& param, const DenseTensor& grad, const DenseTensor& moment,
             const DenseTensor& rate, const OptionalTensor& master, float epsilon, bool, DenseTensor* param_out,
             DenseTensor* moment_out, DenseTensor* master_out) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value gradient = flat(record, grad);
  const Value sum = g.addition(flat(record, moment), g.square(gradient));
  const Value size = g.addition(g.square_root(sum), number(record, epsilon));
  const Value step = g.division(g.multiplication(one(record, rate), gradient), size);
  write(record, moment_out, sum);
  write_parameter(record, param_out, master_out, g.subtraction(parameter(record, param, given(master)), step));
  record.launch();
}

void adadelta(const CustomContext& ctx, const DenseTensor& param, const DenseTensor& grad,
              const DenseTensor& mean_gradient, const DenseTensor& mean_update, const DenseTensor& rate,
              const OptionalTensor& master, float rho, float epsilon, bool, DenseTensor* param_out,
              DenseTensor* mean_gradient_out, DenseTensor* mean_update_out, DenseTensor* master_out) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value gradient = flat(record, grad), updates = flat(record, mean_update), small = number(record, epsilon);
  const Value gradients = moved(record, flat(record, mean_gradient), g.square(gradient), rho);
  const Value size = g.division(g.square_root(g.addition(updates, small)), g.square_root(g.addition(gradients, small)));
  const Value update = g.multiplication(size, gradient);
  const Value step = g.multiplication(one(record, rate), update);
  write(record, mean_gradient_out, gradients);
  write(record, mean_update_out, moved(record, updates, g.square(update), rho));
  write_parameter(record, param_out, master_out, g.subtraction(parameter(record, param, given(master)), step));
  record.launch();
}

void rmsprop(const CustomContext& ctx, const DenseTensor& param, const DenseTensor& mean_square,
             const DenseTensor& grad, const DenseTensor& moment, const DenseTensor& rate,
             const OptionalTensor& mean_grad, const OptionalTensor& master, float epsilon, float decay, float mu,
             bool centered, bool, DenseTensor* param_out, DenseTensor* moment_out, DenseTensor* mean_square_out,
             DenseTensor* mean_grad_out, DenseTensor* master_out) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value gradient = flat(record, grad);
  const Value squares = moved(record, flat(record, mean_square), g.square(gradient), decay);
  Value spread = squares;
  if (centered) {
    MPS_CHECK(mean_grad, kArgument, "no mean of gradients: expected one, as centered is set, got none.");
    const Value mean = moved(record, flat(record, *mean_grad), gradient, decay);
    spread = g.subtraction(squares, g.square(mean));
    write(record, mean_grad_out, mean);
  }
  const Value size = g.square_root(g.addition(spread, number(record, epsilon)));
  const Value step = g.division(g.multiplication(one(record, rate), gradient), size);
  const Value moving = g.addition(g.multiplication(flat(record, moment), number(record, mu)), step);
  write(record, moment_out, moving);
  write(record, mean_square_out, squares);
  write_parameter(record, param_out, master_out, g.subtraction(parameter(record, param, given(master)), moving));
  record.launch();
}

// -- asgd, rprop
// ----------------------------------------------------------------------------------------------------------

// d is the sum of the last n gradients; y is the one that leaves it.
void asgd(const CustomContext& ctx, const DenseTensor& param, const DenseTensor& grad, const DenseTensor& rate,
          const DenseTensor& d, const DenseTensor& y, const DenseTensor& n, const OptionalTensor& master, bool,
          DenseTensor* param_out, DenseTensor* d_out, DenseTensor* y_out, DenseTensor* master_out) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value gradient = flat(record, grad);
  const Value sum = g.addition(g.subtraction(flat(record, d), flat(record, y)), gradient);
  const Value step = g.multiplication(g.division(one(record, rate), one(record, n)), sum);
  write(record, d_out, sum);
  write(record, y_out, gradient);
  write_parameter(record, param_out, master_out, g.subtraction(parameter(record, param, given(master)), step));
  record.launch();
}

// Each element has a rate, which grows while its gradient keeps its sign and shrinks, and waits, when that turns.
void rprop(const CustomContext& ctx, const DenseTensor& param, const DenseTensor& grad, const DenseTensor& previous,
           const DenseTensor& rate, const OptionalTensor& master, const DenseTensor& range, const DenseTensor& etas,
           bool, DenseTensor* param_out, DenseTensor* previous_out, DenseTensor* rate_out, DenseTensor* master_out) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value gradient = flat(record, grad), zero = g.constant(0, DType::float32);
  const Value limits = flat(record, range), factors = flat(record, etas);
  const auto at = [&](Value pair, int64_t i) { return slice_axis(g, pair, 0, i, 1); };
  const Value product = g.multiplication(gradient, flat(record, previous));
  const Value turned = g.less_than(product, zero), kept = g.greater_than(product, zero);
  const Value same = g.constant(1, DType::float32);
  const Value factor = g.select(kept, at(factors, 1), g.select(turned, at(factors, 0), same));
  const Value grown = g.multiplication(flat(record, rate), factor);
  const Value rates = g.maximum(g.minimum(grown, at(limits, 1)), at(limits, 0));
  const Value left = g.select(turned, zero, gradient);
  const Value step = g.multiplication(g.sign(left), rates);
  write(record, previous_out, left);
  write(record, rate_out, rates);
  write_parameter(record, param_out, master_out, g.subtraction(parameter(record, param, given(master)), step));
  record.launch();
}

// -- of gradients of some rows: those of the others are 0
// ------------------------------------------------------------------------------

void sgd_of_rows(const CustomContext& ctx, const DenseTensor& param, const DenseTensor& rate,
                 const phi::SelectedRows& grad, const OptionalTensor& master, bool multi_precision,
                 DenseTensor* param_out, DenseTensor* master_out) {
  sgd(ctx, param, rate, dense_gradient(ctx, grad), master, multi_precision, param_out, master_out);
}

void momentum_of_rows(const CustomContext& ctx, const DenseTensor& param, const phi::SelectedRows& grad,
                      const DenseTensor& velocity, const DenseTensor& rate, const OptionalTensor& master, float mu,
                      bool use_nesterov, const std::string& regularization, float coefficient, bool multi_precision,
                      float rescale, DenseTensor* param_out, DenseTensor* velocity_out, DenseTensor* master_out) {
  momentum(ctx, param, dense_gradient(ctx, grad), velocity, rate, master, mu, use_nesterov, regularization, coefficient,
           multi_precision, rescale, param_out, velocity_out, master_out);
}

void adagrad_of_rows(const CustomContext& ctx, const DenseTensor& param, const phi::SelectedRows& grad,
                     const DenseTensor& moment, const DenseTensor& rate, const OptionalTensor& master, float epsilon,
                     bool multi_precision, DenseTensor* param_out, DenseTensor* moment_out, DenseTensor* master_out) {
  adagrad(ctx, param, dense_gradient(ctx, grad), moment, rate, master, epsilon, multi_precision, param_out, moment_out,
          master_out);
}

void rmsprop_of_rows(const CustomContext& ctx, const DenseTensor& param, const DenseTensor& mean_square,
                     const phi::SelectedRows& grad, const DenseTensor& moment, const DenseTensor& rate,
                     const OptionalTensor& mean_grad, const OptionalTensor& master, float epsilon, float decay,
                     float mu, bool centered, bool multi_precision, DenseTensor* param_out, DenseTensor* moment_out,
                     DenseTensor* mean_square_out, DenseTensor* mean_grad_out, DenseTensor* master_out) {
  rmsprop(ctx, param, mean_square, dense_gradient(ctx, grad), moment, rate, mean_grad, master, epsilon, decay, mu,
          centered, multi_precision, param_out, moment_out, mean_square_out, mean_grad_out, master_out);
}

}  // namespace

MPS_KERNEL_WITH_DEFINE(sgd, phi::SGDDenseKernel, sgd, kFloats, give_own_dtypes)
MPS_KERNEL_WITH_DEFINE(momentum, phi::MomentumDenseKernel, momentum, kFloats, give_own_dtypes)
MPS_KERNEL_WITH_DEFINE(merged_momentum, phi::MergedMomentumKernel, merged_momentum, kFloats, give_own_dtypes)
MPS_KERNEL_WITH_DEFINE(lars_momentum, phi::LarsMomentumKernel, lars_momentum, kFloats, give_own_dtypes)
MPS_KERNEL_WITH_DEFINE(adagrad, phi::AdagradDenseKernel, adagrad, kFloats, give_own_dtypes)
MPS_KERNEL_WITH_DEFINE(adadelta, phi::AdadeltaKernel, adadelta, kFloats, give_own_dtypes)
MPS_KERNEL_WITH_DEFINE(rmsprop, phi::RmspropDenseKernel, rmsprop, kFloats, give_own_dtypes)
MPS_KERNEL_WITH_DEFINE(asgd, phi::ASGDKernel, asgd, kFloats, give_own_dtypes)
MPS_KERNEL_WITH_DEFINE(rprop, phi::RpropKernel, rprop, kFloats, give_own_dtypes)
MPS_KERNEL_WITH_DEFINE(sgd_dense_param_sparse_grad, phi::SGDDenseParamSparseGradKernel, sgd_of_rows, kFloats,
                       give_own_dtypes)
MPS_KERNEL_WITH_DEFINE(momentum_dense_param_sparse_grad, phi::MomentumSparseKernel, momentum_of_rows, kFloats,
                       give_own_dtypes)
MPS_KERNEL_WITH_DEFINE(adagrad_dense_param_sparse_grad, phi::AdagradSparseKernel, adagrad_of_rows, kFloats,
                       give_own_dtypes)
MPS_KERNEL_WITH_DEFINE(rmsprop_dense_param_sparse_grad, phi::RmspropSparseKernel, rmsprop_of_rows, kFloats,
                       give_own_dtypes)

}  // namespace mps::paddle
