// Losses of elements: bce_loss, sigmoid_cross_entropy_with_logits, kldiv_loss, huber_loss, log_loss, hinge_loss; and
// nll_loss, of classes.
#include "kernels/graphs/function.h"
#include "kernels/graphs/lines.h"
#include "kernels/ops/wide.h"
#include "paddle/phi/kernels/bce_loss_grad_kernel.h"
#include "paddle/phi/kernels/bce_loss_kernel.h"
#include "paddle/phi/kernels/huber_loss_grad_kernel.h"
#include "paddle/phi/kernels/huber_loss_kernel.h"
#include "paddle/phi/kernels/kldiv_loss_grad_kernel.h"
#include "paddle/phi/kernels/kldiv_loss_kernel.h"
#include "paddle/phi/kernels/log_loss_grad_kernel.h"
#include "paddle/phi/kernels/log_loss_kernel.h"
#include "paddle/phi/kernels/nll_loss_grad_kernel.h"
#include "paddle/phi/kernels/nll_loss_kernel.h"
#include "paddle/phi/kernels/sigmoid_cross_entropy_with_logits_grad_kernel.h"
#include "paddle/phi/kernels/sigmoid_cross_entropy_with_logits_kernel.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using graphs::like;
using phi::CustomContext;
using phi::DenseTensor;
using OptionalTensor = ::paddle::optional<DenseTensor>;

Value one_minus(Graph& g, Value x) { return g.subtraction(like(g, x, 1), x); }

// -- of probabilities
// ----------------------------------------------------------------------------------------------------

// Logarithms end at -100, as in every framework: a certain mistake costs much, not everything.
void bce_loss(const CustomContext& ctx, const DenseTensor& input, const DenseTensor& label, DenseTensor* out) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value x = wide(record, input), target = wide(record, label), lowest = like(g, x, -100);
  const Value hit = g.multiplication(target, g.maximum(g.logarithm(x), lowest));
  const Value other = g.maximum(g.log1p(g.negative(x)), lowest);
  write(record, out, g.negative(g.addition(hit, g.multiplication(one_minus(g, target), other))));
  record.launch();
}

void bce_loss_grad(const CustomContext& ctx, const DenseTensor& input, const DenseTensor& label,
                   const DenseTensor& dout, DenseTensor* dinput) {
  if (dinput == nullptr) return;
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value x = wide(record, input);
  const Value spread = g.maximum(g.multiplication(one_minus(g, x), x), like(g, x, 1e-12));
  const Value slope = g.division(g.subtraction(x, wide(record, label)), spread);
  write(record, dinput, g.multiplication(wide(record, dout), slope));
  record.launch();
}

void log_loss(const CustomContext& ctx, const DenseTensor& input, const DenseTensor& label, float epsilon,
              DenseTensor* out) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value x = wide(record, input), target = wide(record, label), small = record.scalar(epsilon, DType::float32);
  const Value hit = g.multiplication(target, g.logarithm(g.addition(x, small)));
  const Value other = g.multiplication(one_minus(g, target), g.logarithm(g.addition(one_minus(g, x), small)));
  write(record, out, g.negative(g.addition(hit, other)));
  record.launch();
}

void log_loss_grad(const CustomContext& ctx, const DenseTensor& input, const DenseTensor& label,
                   const DenseTensor& dout, float epsilon, DenseTensor* dinput) {
  if (dinput == nullptr) return;
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value x = wide(record, input), target = wide(record, label), small = record.scalar(epsilon, DType::float32);
  const Value hit = g.division(target, g.addition(x, small));
  const Value other = g.division(one_minus(g, target), g.addition(one_minus(g, x), small));
  write(record, dinput, g.multiplication(wide(record, dout), g.subtraction(other, hit)));
  record.launch();
}

// label (log(label) - x); of a label in logarithms exp(label) (label - x).
Value kldiv_terms(Graph& g, Value x, Value label, bool log_target) {
  if (log_target) return g.multiplication(g.exponent(label), g.subtraction(label, x));
  const Value zero = like(g, x, 0);
  const Value terms = g.multiplication(label, g.subtraction(g.logarithm(label), x));
  return g.select(g.greater_than(label, zero), terms, zero);
}

// By how much "mean" and "batchmean" divide.
double kldiv_count(const DenseTensor& x, const std::string& reduction) {
  if (reduction == "mean") return static_cast<double>(x.numel());
  return reduction == "batchmean" && !dims_of(x).empty() ? static_cast<double>(dims_of(x)[0]) : 1;
}

void kldiv_loss(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& label, const std::string& reduction,
                bool log_target, DenseTensor* out) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const Shape flat{x.numel()};
  Value terms = kldiv_terms(g, wide(record, x, flat), wide(record, label, flat), log_target);
  if (reduction != "none") {
    const Value sum = g.reduction_sum(terms, {0});
    terms = g.division(sum, like(g, sum, kldiv_count(x, reduction)));
  }
  write(record, out, terms);
  record.launch();
}

void kldiv_loss_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& label, const DenseTensor& dout,
                     const std::string& reduction, bool log_target, DenseTensor* dx) {
  if (dx == nullptr) return;
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value target = wide(record, label, {x.numel()});
  const Value weight = log_target ? g.exponent(target) : g.maximum(target, like(g, target, 0));
  const Value gradient = wide(record, dout, {dout.numel()});
  const Value share = g.division(gradient, like(g, gradient, kldiv_count(x, reduction)));
  write(record, dx, g.negative(g.multiplication(weight, share)));
  record.launch();
}

// -- of logits
// -----------------------------------------------------------------------------------------------------------

// Which elements count, and, to normalise, by how many to divide.
struct Counted {
  Value mask, count;
};
Counted counted(Graph& g, Value label, int ignored) {
  const Value mask = g.not_equal(g.truncate(label), like(g, label, ignored));
  Ints axes;
  for (size_t i = 0; i < g.shape(label).size(); ++i) axes.push_back(static_cast<int64_t>(i));
  const Value count = g.reduction_sum(g.cast(mask, DType::float32), axes);
  return {mask, count};  // of none at all: NaN, as on the CPU device
}

// log(1 + exp(-x))
Value softplus_of_negative(Graph& g, Value x) {
  const Value tail = g.log1p(g.exponent(g.negative(g.absolute(x))));
  return g.addition(g.relu(g.negative(x)), tail);
}

void sigmoid_cross_entropy(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& label,
                           const OptionalTensor& pos_weight, bool normalize, int ignore_index, DenseTensor* out) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value logit = wide(record, x), target = wide(record, label);
  Value loss;
  if (pos_weight) {
    const Value tail = g.multiplication(wide(record, *pos_weight), softplus_of_negative(g, logit));
    loss = g.addition(g.multiplication(one_minus(g, target), logit), tail);
  } else {
    const Value tail = g.log1p(g.exponent(g.negative(g.absolute(logit))));
    loss = g.addition(g.subtraction(g.relu(logit), g.multiplication(logit, target)), tail);
  }
  const Counted counts = counted(g, target, ignore_index);
  loss = g.select(counts.mask, loss, like(g, loss, 0));
  write(record, out, normalize ? g.division(loss, counts.count) : loss);
  record.launch();
}

void sigmoid_cross_entropy_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& label,
                                const OptionalTensor& pos_weight, const DenseTensor& dout, bool normalize,
                                int ignore_index, DenseTensor* dx) {
  if (dx == nullptr) return;
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value logit = wide(record, x), target = wide(record, label);
  Value slope;
  if (pos_weight) {
    const Value tail = g.multiplication(wide(record, *pos_weight), g.sigmoid(g.negative(logit)));
    slope = g.subtraction(one_minus(g, target), tail);
  } else {
    slope = g.subtraction(g.sigmoid(logit), target);
  }
  const Counted counts = counted(g, target, ignore_index);
  slope = g.select(counts.mask, g.multiplication(slope, wide(record, dout)), like(g, slope, 0));
  write(record, dx, normalize ? g.division(slope, counts.count) : slope);
  record.launch();
}

// max(0, 1 - logit (2 label - 1))
Value side_of(Graph& g, Value label) { return g.subtraction(g.addition(label, label), like(g, label, 1)); }

void hinge_loss(const CustomContext& ctx, const DenseTensor& logits, const DenseTensor& label, DenseTensor* out) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value along = g.multiplication(wide(record, logits), side_of(g, wide(record, label)));
  write(record, out, g.relu(one_minus(g, along)));
  record.launch();
}

void hinge_loss_grad(const CustomContext& ctx, const DenseTensor& logits, const DenseTensor& label,
                     const DenseTensor& dout, DenseTensor* dlogits) {
  if (dlogits == nullptr) return;
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value side = side_of(g, wide(record, label)), along = g.multiplication(wide(record, logits), side);
  const Value slope = g.negative(g.multiplication(wide(record, dout), side));
  write(record, dlogits, g.select(g.less_than(along, like(g, along, 1)), slope, like(g, slope, 0)));
  record.launch();
}

// -- huber_loss: square near 0, straight from delta on
// -------------------------------------------------------------------

void huber_loss(const CustomContext& ctx, const DenseTensor& input, const DenseTensor& label, float delta,
                DenseTensor* out, DenseTensor* residual) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value difference = g.subtraction(wide(record, label), wide(record, input)), size = g.absolute(difference);
  const Value limit = record.scalar(delta, DType::float32), half = like(g, size, 0.5);
  const Value near = g.multiplication(half, g.square(difference));
  const Value far = g.multiplication(limit, g.subtraction(size, g.multiplication(half, limit)));
  write(record, out, g.select(g.less_than_or_equal_to(size, limit), near, far));
  write(record, residual, difference);
  record.launch();
}

void huber_loss_grad(const CustomContext& ctx, const DenseTensor& residual, const DenseTensor& dout, float delta,
                     DenseTensor* dinput, DenseTensor* dlabel) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value limit = record.scalar(delta, DType::float32);
  const Value slope = g.minimum(g.maximum(wide(record, residual), g.negative(limit)), limit);
  const Value gradient = g.multiplication(slope, wide(record, dout));
  if (dinput != nullptr) write(record, dinput, g.negative(gradient));
  write(record, dlabel, gradient);
  record.launch();
}

// -- nll_loss: -x at the label, of [batch, classes] or [batch, classes, height, width]
// -----------------------------------

struct Classes {
  explicit Classes(const DenseTensor& x)
      : all(graphs::around(dims_of(x), 1)), labels(graphs::with_axis(all, 1, 1)), each{1, all[1], 1} {}
  Shape all, labels, each;
};

// The weight of each label at its class, and 0 elsewhere.
Value weights_at(Recorder& record, const DenseTensor& label, const OptionalTensor& weight, const Classes& classes,
                 int64_t ignored) {
  Graph& g = record.graph;
  const Value named = g.cast(record.input(label, classes.labels), DType::int64);
  const Value at = g.equal(g.cast(g.coordinate(classes.all, 1), DType::int64), named);
  const Value counts = g.multiplication(at, g.not_equal(named, like(g, named, ignored)));
  const Value zero = g.constant(0, DType::float32), one = g.constant(1, DType::float32);
  return g.select(counts, weight ? wide(record, *weight, classes.each) : one, zero);
}

void nll_loss(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& label, const OptionalTensor& weight,
              int64_t ignore_index, const std::string& reduction, DenseTensor* out, DenseTensor* total_weight) {
  const Classes classes(x);
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value weights = weights_at(record, label, weight, classes, ignore_index);
  const Value values = wide(record, x, classes.all), zero = like(g, values, 0);
  const Value terms = g.select(g.not_equal(weights, zero), g.multiplication(values, weights), zero);
  if (reduction == "none") {
    write(record, out, g.negative(g.reduction_sum(terms, {1})));
    if (total_weight != nullptr) {
      write(record, total_weight, graphs::zeros(g, DType::float32, dims_of(*total_weight)));
    }
  } else {
    const Value sum = g.negative(g.reduction_sum(terms, {0, 1, 2})), total = g.reduction_sum(weights, {0, 1, 2});
    const bool is_mean = reduction == "mean";
    write(record, out, is_mean ? g.select(g.not_equal(total, zero), g.division(sum, total), sum) : sum);
    write(record, total_weight, total);
  }
  record.launch();
}

void nll_loss_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& label,
                   const OptionalTensor& weight, const DenseTensor& total_weight, const DenseTensor& dout,
                   int64_t ignore_index, const std::string& reduction, DenseTensor* dx) {
  if (dx == nullptr) return;
  const Classes classes(x);
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value weights = weights_at(record, label, weight, classes, ignore_index);
  const bool is_whole = reduction != "none";
  Value gradient = is_whole ? wide(record, dout, {1, 1, 1}) : wide(record, dout, classes.labels);
  if (reduction == "mean") {
    const Value total = wide(record, total_weight, {1, 1, 1}), zero = like(g, total, 0);
    gradient = g.select(g.not_equal(total, zero), g.division(gradient, total), gradient);
  }
  write(record, dx, g.negative(g.multiplication(weights, gradient)));
  record.launch();
}

}  // namespace

MPS_KERNEL(bce_loss, phi::BCELossKernel, bce_loss, kFloats)
MPS_KERNEL(bce_loss_grad, phi::BCELossGradKernel, bce_loss_grad, kFloats)
MPS_KERNEL(log_loss, phi::LogLossKernel, log_loss, kFloats)
MPS_KERNEL(log_loss_grad, phi::LogLossGradKernel, log_loss_grad, kFloats)
MPS_KERNEL(kldiv_loss, phi::KLDivLossKernel, kldiv_loss, kFloats)
MPS_KERNEL(kldiv_loss_grad, phi::KLDivLossGradKernel, kldiv_loss_grad, kFloats)
MPS_KERNEL(sigmoid_cross_entropy_with_logits, phi::SigmoidCrossEntropyWithLogitsKernel, sigmoid_cross_entropy, kFloats)
MPS_KERNEL(sigmoid_cross_entropy_with_logits_grad, phi::SigmoidCrossEntropyWithLogitsGradKernel,
           sigmoid_cross_entropy_grad, kFloats)
// Paddle's headers do not declare these two.
MPS_KERNEL_UNCHECKED(hinge_loss, hinge_loss, kFloats, detail::define_nothing)
MPS_KERNEL_UNCHECKED(hinge_loss_grad, hinge_loss_grad, kFloats, detail::define_nothing)
MPS_KERNEL(huber_loss, phi::HuberLossKernel, huber_loss, kFloats)
MPS_KERNEL(huber_loss_grad, phi::HuberLossGradKernel, huber_loss_grad, kFloats)
MPS_KERNEL(nll_loss, phi::NllLossRawKernel, nll_loss, kFloats)
MPS_KERNEL(nll_loss_grad, phi::NllLossGradKernel, nll_loss_grad, kFloats)

}  // namespace mps::paddle
