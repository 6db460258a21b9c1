// What drops or bends elements at random: dropout, rrelu, gumbel_softmax.
#include "kernels/graphs/broadcast.h"
#include "kernels/graphs/random.h"
#include "paddle/phi/kernels/dropout_grad_kernel.h"
#include "paddle/phi/kernels/dropout_kernel.h"
#include "paddle/phi/kernels/gumbel_softmax_grad_kernel.h"
#include "paddle/phi/kernels/gumbel_softmax_kernel.h"
#include "paddle/phi/kernels/rrelu_grad_kernel.h"
#include "paddle/phi/kernels/rrelu_kernel.h"
#include "plugin/paddle/host_value.h"
#include "plugin/paddle/random.h"
#include "plugin/paddle/recorder.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;

// -- dropout ---------------------------------------------------------------------------------------------------------

// What x, or the gradient, is divided by where it is kept: 1 - p while training if that is when it is made up for, and
// 1 / (1 - p) afterwards if not.
Value kept_part(Graph& g, Value x, Value keep_rate, bool is_test, const std::string& mode) {
  const bool in_training = mode == "upscale_in_train";
  if (is_test) return in_training ? x : g.multiplication(x, keep_rate);
  return in_training ? g.division(x, keep_rate) : x;
}

// A tensor that holds the seed, else the attribute if it is fixed, else the generator.
Random dropout_random(const CustomContext& ctx, Recorder& record, const ::paddle::optional<DenseTensor>& seed_tensor,
                      int seed, bool fix_seed) {
  if (!seed_tensor && !fix_seed) return Random(ctx, record);
  const int64_t number = seed_tensor ? host_value(ctx, *seed_tensor).to_int64() : int64_t{seed};
  const uint64_t fixed = static_cast<uint64_t>(number);
  return Random(ctx, record, &fixed);
}

void dropout(const CustomContext& ctx, const DenseTensor& x, const ::paddle::optional<DenseTensor>& seed_tensor,
             const phi::Scalar& p, bool is_test, const std::string& mode, int seed, bool fix_seed, DenseTensor* out,
             DenseTensor* mask) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const DType to = dtype_of(x), compute = graphs::compute_dtype(to);
  const Value rate = record.scalar(p.to<double>(), compute), keep_rate = record.scalar(1 - p.to<double>(), compute);
  const Value kept = kept_part(g, g.cast(record.input(x), compute), keep_rate, is_test, mode);
  if (is_test) {
    record.output(out, g.cast(kept, to));
  } else {
    Random random = dropout_random(ctx, record, seed_tensor, seed, fix_seed);
    const Value keep = g.greater_than_or_equal_to(graphs::unit_interval(g, random.words(dims_of(x))), rate);
    record.output(out, g.cast(g.select(keep, kept, graphs::like(g, kept, 0)), to));
    if (mask != nullptr) record.output(mask, g.cast(keep, DType::uint8));
  }
  record.launch();
}

void dropout_grad(const CustomContext& ctx, const DenseTensor& mask, const DenseTensor& dout, const phi::Scalar& p,
                  bool is_test, const std::string& mode, DenseTensor* dx) {
  if (dx == nullptr) return;
  Recorder record(ctx);
  Graph& g = record.graph;
  const DType to = dtype_of(dout), compute = graphs::compute_dtype(to);
  const Value keep_rate = record.scalar(1 - p.to<double>(), compute);
  const Value kept = kept_part(g, g.cast(record.input(dout), compute), keep_rate, is_test, mode);
  if (is_test) {
    record.output(dx, g.cast(kept, to));
  } else {
    const Value keep = g.cast(record.input(mask), DType::bool_);
    record.output(dx, g.cast(g.select(keep, kept, graphs::like(g, kept, 0)), to));
  }
  record.launch();
}

// -- rrelu -----------------------------------------------------------------------------------------------------------

// Below 0 x is multiplied by a slope, which is drawn for each element or, in a test, the middle one.
void rrelu(const CustomContext& ctx, const DenseTensor& x, float lower, float upper, bool is_test, DenseTensor* out,
           DenseTensor* noise) {
  Recorder record(ctx);
  Random random(ctx, record);
  Graph& g = record.graph;
  const DType to = dtype_of(x), compute = graphs::compute_dtype(to);
  const Value value = g.cast(record.input(x), compute), one = graphs::like(g, value, 1);
  Value slope;
  if (is_test) {
    slope = record.scalar((lower + upper) / 2, compute);
  } else {
    const Value unit = graphs::unit_interval(g, random.words(dims_of(x)));
    const Value range = record.scalar(upper - lower, compute), start = record.scalar(lower, compute);
    slope = g.addition(g.multiplication(unit, range), start);
  }
  const Value chosen = g.cast(g.select(g.less_than(value, graphs::like(g, value, 0)), slope, one), to);
  record.output(out, g.cast(g.multiplication(value, g.cast(chosen, compute)), to));
  record.output(noise, chosen);
  record.launch();
}

void rrelu_grad(const CustomContext& ctx, const DenseTensor&, const DenseTensor& noise, const DenseTensor& dout,
                DenseTensor* dx) {
  if (dx == nullptr) return;
  Recorder record(ctx);
  Graph& g = record.graph;
  const DType to = dtype_of(dout), compute = graphs::compute_dtype(to);
  const Value product = g.multiplication(g.cast(record.input(dout), compute), g.cast(record.input(noise), compute));
  record.output(dx, g.cast(product, to));
  record.launch();
}

// -- gumbel_softmax --------------------------------------------------------------------------------------------------

// Of x plus the greatest of many: softmax at a temperature, or 1 at its highest and 0 elsewhere.
void gumbel_softmax(const CustomContext& ctx, const DenseTensor& x, float temperature, bool hard, int axis,
                    DenseTensor* out) {
  Recorder record(ctx);
  Random random(ctx, record);
  Graph& g = record.graph;
  const DType to = dtype_of(x);
  Shape shape(dims_of(x));
  if (shape.empty()) shape.push_back(1);
  const int64_t along = normalize_axis(axis, shape.size());
  const Value noise = g.negative(g.logarithm(graphs::exponential(g, random.words(shape))));
  const Value sum = g.addition(g.cast(record.input(x, shape), DType::float32), noise);
  const Value score = g.division(sum, record.scalar(temperature, DType::float32));
  Value result;
  if (hard) {
    const Value highest = g.arg_reduction(NodeKind::reduction_arg_maximum, score, static_cast<int>(along));
    result = g.cast(g.equal(g.coordinate(shape, static_cast<int>(along)), highest), DType::float32);
  } else {
    const Value part = g.exponent(g.subtraction(score, g.reduction(NodeKind::reduction_maximum, score, {along})));
    result = g.division(part, g.reduction_sum(part, {along}));
  }
  record.output(out, g.cast(g.reshape(result, dims_of(*out)), to));
  record.launch();
}

// That of softmax: out (dout - sum(out dout)).
void gumbel_softmax_grad(const CustomContext& ctx, const DenseTensor& out, const DenseTensor& dout, int axis,
                         DenseTensor* dx) {
  if (dx == nullptr) return;
  Recorder record(ctx);
  Graph& g = record.graph;
  Shape shape(dims_of(out));
  if (shape.empty()) shape.push_back(1);
  const Value y = g.cast(record.input(out, shape), DType::float32);
  const Value incoming = g.cast(record.input(dout, shape), DType::float32);
  const Value sum = g.reduction_sum(g.multiplication(y, incoming), {normalize_axis(axis, shape.size())});
  const Value result = g.multiplication(y, g.subtraction(incoming, sum));
  record.output(dx, g.cast(g.reshape(result, dims_of(*dx)), dtype_of(*dx)));
  record.launch();
}

void give_mask(const phi::KernelKey&, phi::Kernel* kernel) { kernel->OutputAt(1).SetDataType(phi::DataType::UINT8); }

}  // namespace

MPS_KERNEL_WITH_DEFINE(dropout, phi::DropoutRawKernel, dropout, kFloats, give_mask)
MPS_KERNEL_KEYED(dropout_grad, phi::DropoutGradRawKernel, dropout_grad, kFloats, 1)
MPS_KERNEL(rrelu, phi::RReluKernel, rrelu, kFloats)
MPS_KERNEL(rrelu_grad, phi::RReluGradKernel, rrelu_grad, kFloats)
MPS_KERNEL(gumbel_softmax, phi::GumbelSoftmaxKernel, gumbel_softmax, kFloats)
MPS_KERNEL(gumbel_softmax_grad, phi::GumbelSoftmaxGradKernel, gumbel_softmax_grad, kFloats)

}  // namespace mps::paddle
