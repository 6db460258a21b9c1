// Samples of a distribution that a tensor describes: bernoulli, multinomial, poisson, binomial, gamma, dirichlet.
#include "kernels/graphs/random.h"
#include "kernels/graphs/rejection.h"
#include "paddle/phi/kernels/bernoulli_kernel.h"
#include "paddle/phi/kernels/binomial_kernel.h"
#include "paddle/phi/kernels/dirichlet_kernel.h"
#include "paddle/phi/kernels/multinomial_kernel.h"
#include "paddle/phi/kernels/poisson_grad_kernel.h"
#include "paddle/phi/kernels/poisson_kernel.h"
#include "paddle/phi/kernels/standard_gamma_kernel.h"
#include "plugin/core/check.h"
#include "plugin/paddle/host_value.h"
#include "plugin/paddle/random.h"
#include "plugin/paddle/recorder.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;

// 1 with probability x. What is no probability is not found out, since that would take a wait: below 0 and NaN give 0,
// above 1 gives 1.
void bernoulli(const CustomContext& ctx, const DenseTensor& x, DenseTensor* out) {
  Recorder record(ctx);
  Random random(ctx, record);
  Graph& g = record.graph;
  const Value unit = graphs::unit_interval(g, random.words(dims_of(x)));
  record.output(out, g.cast(g.less_than(unit, g.cast(record.input(x), DType::float32)), dtype_of(*out)));
  record.launch();
}

// -- multinomial -----------------------------------------------------------------------------------------------------

// Weights [rows, categories] in float32.
Value weights_of(Recorder& record, const DenseTensor& x) {
  const Dims shape = dims_of(x);
  const int64_t rows = shape.size() == 1 ? 1 : shape[0];
  return record.graph.cast(record.input(x, {rows, shape[shape.size() - 1]}), DType::float32);
}

// Waits for the device, as Paddle's kernels for other devices do: a sample of what is no distribution would be wrong
// without a word.
void check_weights(const CustomContext& ctx, const DenseTensor& x, int64_t samples, bool replacement) {
  if (x.numel() == 0 && dims_of(x)[0] == 0) return;
  DenseTensor counts(std::shared_ptr<phi::Allocation>(),
                     phi::DenseTensorMeta(phi::DataType::INT32, phi::make_ddim({2})));
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value weights = weights_of(record, x), zero = graphs::like(g, weights, 0);
  const auto count = [&](Value condition, Dims axes) { return g.reduction_sum(g.cast(condition, DType::int32), axes); };
  const Value bad = count(g.logical_not(g.greater_than_or_equal_to(weights, zero)), {0, 1});
  const Value fewest = g.reduction(NodeKind::reduction_minimum, count(g.greater_than(weights, zero), {1}), {0});
  record.output(&counts, g.reshape(g.concatenation({bad, fewest}, 0), {2}));
  record.launch();
  const std::vector<Scalar> values = host_values(ctx, counts);
  const int64_t bad_weights = values[0].to_int64(), categories = values[1].to_int64();
  MPS_CHECK(bad_weights == 0, kArgument, "bad weights: expected all of them to be >= 0, got ", bad_weights,
            " that are not. Give probabilities, or weights in proportion to them.");
  MPS_CHECK(categories > 0, kArgument, "nothing to choose from: expected a weight > 0 in each row, got none.");
  MPS_CHECK(replacement || samples <= categories, kArgument, "too many samples without replacement: expected at most ",
            categories, ", the categories with a weight > 0, got ", samples, ". Ask for fewer, or put them back.");
}

// Where a point between 0 and the sum of all weights falls.
Value with_replacement(Random& random, Graph& g, Value weights, int64_t samples) {
  const Shape shape(g.shape(weights));
  const Value sums = g.scan(NodeKind::cumulative_sum, weights, 1);
  const Value total = graphs::slice_axis(g, sums, 1, shape[1] - 1, 1);
  const Value unit = graphs::unit_interval(g, random.words({shape[0], samples}));
  const Value category = g.search_sorted(sums, g.multiplication(unit, total), /*right=*/true);
  return g.minimum(category, graphs::like(g, category, shape[1] - 1));
}

// The first arrivals, at rates that are the weights: a time is exponential / weight (Efraimidis and Spirakis, 2006).
// The greatest weight of a row counts as 2^60, so that none of the rates 1 / time is too large or too small for
// float32.
Value without_replacement(Random& random, Graph& g, Value weights, int64_t samples) {
  const Value most = g.reduction(NodeKind::reduction_maximum, weights, {1});
  const Value scaled = g.multiplication(weights, g.division(graphs::like(g, most, 0x1p60), most));
  const Value rate = g.division(scaled, graphs::exponential(g, random.words(Shape(g.shape(weights)))));
  return g.arg_sort(rate, 1, /*descending=*/true, samples);
}

void multinomial(const CustomContext& ctx, const DenseTensor& x, const phi::Scalar& num_samples, bool replacement,
                 DenseTensor* out) {
  const int64_t samples = num_samples.to<int64_t>();
  check_weights(ctx, x, samples, replacement);
  Recorder record(ctx);
  Random random(ctx, record);
  Graph& g = record.graph;
  if (out->numel() == 0) {
    record.output(out, graphs::zeros(g, DType::int64, dims_of(*out)));
  } else {
    const Value weights = weights_of(record, x);
    const Value chosen =
        replacement ? with_replacement(random, g, weights, samples) : without_replacement(random, g, weights, samples);
    record.output(out, g.reshape(g.cast(chosen, DType::int64), dims_of(*out)));
  }
  record.launch();
}

// -- by rejection ----------------------------------------------------------------------------------------------------

void poisson(const CustomContext& ctx, const DenseTensor& x, DenseTensor* out) {
  Recorder record(ctx);
  Random random(ctx, record);
  Graph& g = record.graph;
  const Value mean = g.cast(record.input(x, {x.numel()}), DType::float32);
  const Value count = graphs::poisson(g, random.words({graphs::kCountWords, x.numel()}), mean);
  record.output(out, g.reshape(g.cast(count, dtype_of(*out)), dims_of(*out)));
  record.launch();
}

void poisson_grad(const CustomContext& ctx, const DenseTensor&, DenseTensor* dx) {
  if (dx == nullptr) return;
  Recorder record(ctx);
  record.output(dx, graphs::zeros(record.graph, dtype_of(*dx), dims_of(*dx)));
  record.launch();
}

void binomial(const CustomContext& ctx, const DenseTensor& count, const DenseTensor& prob, DenseTensor* out) {
  Recorder record(ctx);
  Random random(ctx, record);
  Graph& g = record.graph;
  const int64_t size = out->numel();
  const auto numbers = [&](const DenseTensor& tensor) {
    return g.reshape(g.broadcast(g.cast(record.input(tensor), DType::float32), dims_of(*out)), {size});
  };
  const Value trials = numbers(count), rates = numbers(prob);
  const Value drawn = graphs::binomial(g, random.words({graphs::kCountWords, size}), trials, rates);
  record.output(out, g.reshape(g.cast(drawn, DType::int64), dims_of(*out)));
  record.launch();
}

// float32 numbers in a line.
Value gamma_numbers(const CustomContext& ctx, Recorder& record, const DenseTensor& alpha) {
  Random random(ctx, record);
  Graph& g = record.graph;
  const Value means = g.cast(record.input(alpha, {alpha.numel()}), DType::float32);
  return graphs::standard_gamma(g, random.words({graphs::kGammaWords, alpha.numel()}), means);
}

void standard_gamma(const CustomContext& ctx, const DenseTensor& alpha, DenseTensor* out) {
  Recorder record(ctx);
  Graph& g = record.graph;
  record.output(out, g.reshape(g.cast(gamma_numbers(ctx, record, alpha), dtype_of(*out)), dims_of(*out)));
  record.launch();
}

// Shares in a sum of gamma numbers along the last axis.
void dirichlet(const CustomContext& ctx, const DenseTensor& alpha, DenseTensor* out) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value numbers = g.reshape(gamma_numbers(ctx, record, alpha), dims_of(alpha));
  const Value sum = g.reduction_sum(numbers, {static_cast<int64_t>(dims_of(alpha).size()) - 1});
  record.output(out, g.cast(g.division(numbers, sum), dtype_of(*out)));
  record.launch();
}

}  // namespace

MPS_KERNEL(bernoulli, phi::BernoulliKernel, bernoulli, kFloats)
MPS_KERNEL_WITH_DEFINE(multinomial, phi::MultinomialKernel, multinomial, kFloats, give_int64)

MPS_KERNEL(poisson, phi::PoissonKernel, poisson, kFloats)
MPS_KERNEL(poisson_grad, phi::PoissonGradKernel, poisson_grad, kFloats)
MPS_KERNEL_WITH_DEFINE(binomial, phi::BinomialKernel, binomial, kFloats, give_int64)
MPS_KERNEL(standard_gamma, phi::StandardGammaKernel, standard_gamma, kFloats)
MPS_KERNEL(dirichlet, phi::DirichletKernel, dirichlet, kFloats)

}  // namespace mps::paddle
