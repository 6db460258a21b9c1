// Greatest and least: max, min, amax, amin, argmax, argmin; any, all; prod; and their gradients.
#include "kernels/graphs/lines.h"
#include "paddle/phi/kernels/arg_min_max_kernel.h"
#include "paddle/phi/kernels/prod_grad_kernel.h"
#include "paddle/phi/kernels/prod_kernel.h"
#include "paddle/phi/kernels/reduce_all_kernel.h"
#include "paddle/phi/kernels/reduce_amax_grad_kernel.h"
#include "paddle/phi/kernels/reduce_amax_kernel.h"
#include "paddle/phi/kernels/reduce_amin_grad_kernel.h"
#include "paddle/phi/kernels/reduce_amin_kernel.h"
#include "paddle/phi/kernels/reduce_any_kernel.h"
#include "paddle/phi/kernels/reduce_max_grad_kernel.h"
#include "paddle/phi/kernels/reduce_max_kernel.h"
#include "paddle/phi/kernels/reduce_min_grad_kernel.h"
#include "paddle/phi/kernels/reduce_min_kernel.h"
#include "plugin/core/check.h"
#include "plugin/paddle/recorder.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using graphs::axes_of;
using phi::CustomContext;
using phi::DenseTensor;
using phi::IntArray;
using Axes64 = std::vector<int64_t>;

// Of a 0-D tensor, -1 and 0 name no axis.
template <typename Axes>
void reduce(const CustomContext& ctx, NodeKind kind, const DenseTensor& x, const Axes& dims, bool reduce_all,
            DenseTensor* out) {
  const Ints axes = axes_of(dims, dims_of(x).size(), reduce_all);
  const bool has_identity = kind == NodeKind::reduction_product;
  MPS_CHECK(has_identity || x.numel() != 0 || out->numel() == 0, kArgument,
            "nothing to choose from: expected at least one element along each reduced axis, got ",
            to_string(dims_of(x)), ".");
  Recorder record(ctx);
  Graph& g = record.graph;
  const DType to = dtype_of(*out);
  const Value operand = g.cast(record.input(x), has_identity ? graphs::compute_dtype(to) : to);
  record.output(out, g.cast(g.reshape(g.reduction(kind, operand, axes), dims_of(*out)), to));
  record.launch();
}

void max(const CustomContext& ctx, const DenseTensor& x, const IntArray& dims, bool, DenseTensor* out) {
  reduce(ctx, NodeKind::reduction_maximum, x, dims.GetData(), false, out);
}
void min(const CustomContext& ctx, const DenseTensor& x, const IntArray& dims, bool, DenseTensor* out) {
  reduce(ctx, NodeKind::reduction_minimum, x, dims.GetData(), false, out);
}
void amax(const CustomContext& ctx, const DenseTensor& x, const Axes64& dims, bool, DenseTensor* out) {
  reduce(ctx, NodeKind::reduction_maximum, x, dims, false, out);
}
void amin(const CustomContext& ctx, const DenseTensor& x, const Axes64& dims, bool, DenseTensor* out) {
  reduce(ctx, NodeKind::reduction_minimum, x, dims, false, out);
}
void prod(const CustomContext& ctx, const DenseTensor& x, const IntArray& dims, bool, bool reduce_all,
          DenseTensor* out) {
  reduce(ctx, NodeKind::reduction_product, x, dims.GetData(), reduce_all, out);
}

// any and all: of nothing they are false and true.
void reduce_truth(const CustomContext& ctx, NodeKind kind, const DenseTensor& x, const Axes64& dims, DenseTensor* out) {
  ctx.Alloc(out, phi::DataType::BOOL);  // Paddle has given it the dtype of x
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value truth = g.cast(record.input(x), DType::bool_);
  const Value reduced = g.reduction(kind, truth, axes_of(dims, dims_of(x).size()));
  record.output(out, g.reshape(reduced, dims_of(*out)));
  record.launch();
}

void any(const CustomContext& ctx, const DenseTensor& x, const Axes64& dims, bool, DenseTensor* out) {
  reduce_truth(ctx, NodeKind::reduction_maximum, x, dims, out);
}
void all(const CustomContext& ctx, const DenseTensor& x, const Axes64& dims, bool, DenseTensor* out) {
  reduce_truth(ctx, NodeKind::reduction_minimum, x, dims, out);
}

// -- gradients
// ------------------------------------------------------------------------------------------------------------

// Elements that equal the extreme divide the gradient among them.
template <typename Axes>
void extreme_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& out, const DenseTensor& dout,
                  const Axes& dims, bool reduce_all, DenseTensor* dx) {
  if (dx == nullptr) return;
  const Ints axes = axes_of(dims, dims_of(x).size(), reduce_all);
  const Shape kept = graphs::keep_dims_shape(dims_of(x), axes);
  Recorder record(ctx);
  Graph& g = record.graph;
  const DType to = dtype_of(*dx), compute = graphs::compute_dtype(to);
  const Value chosen = g.equal(record.input(x), record.input(out, kept));
  const Value count = g.reduction_sum(g.cast(chosen, compute), axes);
  const Value gradient = g.division(g.cast(record.input(dout, kept), compute), count);
  record.output(dx, g.cast(g.select(chosen, gradient, graphs::number(g, gradient, 0)), to));
  record.launch();
}

void max_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& out, const DenseTensor& dout,
              const IntArray& dims, bool, bool reduce_all, DenseTensor* dx) {
  extreme_grad(ctx, x, out, dout, dims.GetData(), reduce_all, dx);
}
void amax_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& out, const DenseTensor& dout,
               const Axes64& dims, bool, bool reduce_all, DenseTensor* dx) {
  extreme_grad(ctx, x, out, dout, dims, reduce_all, dx);
}

// dout * out / x, as Paddle's CPU device has it: NaN where x is 0.
void prod_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& out, const DenseTensor& dout,
               const IntArray& dims, bool, bool reduce_all, DenseTensor* dx) {
  if (dx == nullptr) return;
  const Ints axes = axes_of(dims.GetData(), dims_of(x).size(), reduce_all);
  const Shape kept = graphs::keep_dims_shape(dims_of(x), axes);
  Recorder record(ctx);
  Graph& g = record.graph;
  const DType to = dtype_of(*dx), compute = graphs::compute_dtype(to);
  const Value product =
      g.multiplication(g.cast(record.input(dout, kept), compute), g.cast(record.input(out, kept), compute));
  record.output(dx, g.cast(g.division(product, g.cast(record.input(x), compute)), to));
  record.launch();
}

// -- positions
// ------------------------------------------------------------------------------------------------------------

void arg_extreme(const CustomContext& ctx, NodeKind kind, const DenseTensor& x, const phi::Scalar& axis_scalar,
                 bool flatten, DenseTensor* out) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const bool is_line = flatten || dims_of(x).empty();
  const Value operand = is_line ? record.input(x, {x.numel()}) : record.input(x);
  const int axis = is_line ? 0 : normalize_axis(axis_scalar.to<int64_t>(), dims_of(x).size());
  const Value found = g.arg_reduction(kind, operand, axis);
  record.output(out, g.cast(g.reshape(found, dims_of(*out)), dtype_of(*out)));
  record.launch();
}

void argmax(const CustomContext& ctx, const DenseTensor& x, const phi::Scalar& axis, bool, bool flatten, phi::DataType,
            DenseTensor* out) {
  arg_extreme(ctx, NodeKind::reduction_arg_maximum, x, axis, flatten, out);
}
void argmin(const CustomContext& ctx, const DenseTensor& x, const phi::Scalar& axis, bool, bool flatten, phi::DataType,
            DenseTensor* out) {
  arg_extreme(ctx, NodeKind::reduction_arg_minimum, x, axis, flatten, out);
}

// int8 is left out, as on Paddle's CPU device.
constexpr DTypes kCompared = {phi::DataType::FLOAT32, phi::DataType::FLOAT16, phi::DataType::BFLOAT16,
                              phi::DataType::INT32,   phi::DataType::INT64,   phi::DataType::INT16,
                              phi::DataType::UINT8};

void give_what_is_asked(const phi::KernelKey&, phi::Kernel* kernel) {
  kernel->OutputAt(0).SetDataType(phi::DataType::UNDEFINED);
}

constexpr DTypes kFloatsIntsAndBool = {phi::DataType::FLOAT32, phi::DataType::FLOAT16, phi::DataType::BFLOAT16,
                                       phi::DataType::INT32,   phi::DataType::INT64,   phi::DataType::BOOL};

}  // namespace

MPS_KERNEL(max, phi::MaxKernel, max, kFloatsAndInts)
MPS_KERNEL(min, phi::MinKernel, min, kFloatsAndInts)
MPS_KERNEL(amax, phi::AMaxKernel, amax, kFloatsAndInts)
MPS_KERNEL(amin, phi::AMinKernel, amin, kFloatsAndInts)
MPS_KERNEL(prod, phi::ProdKernel, prod, kFloatsAndInts)
MPS_KERNEL(max_grad, phi::ReduceMaxGradKernel, max_grad, kFloatsAndInts)
MPS_KERNEL(min_grad, phi::ReduceMinGradKernel, max_grad, kFloatsAndInts)
MPS_KERNEL(amax_grad, phi::ReduceAMaxGradKernel, amax_grad, kFloatsAndInts)
MPS_KERNEL(amin_grad, phi::ReduceAMinGradKernel, amax_grad, kFloatsAndInts)
MPS_KERNEL(prod_grad, phi::ProdGradKernel, prod_grad, kFloatsAndInts)
MPS_KERNEL_WITH_DEFINE(any, phi::AnyKernel, any, kFloatsIntsAndBool, give_bool)
MPS_KERNEL_WITH_DEFINE(all, phi::AllKernel, all, kFloatsIntsAndBool, give_bool)
MPS_KERNEL_WITH_DEFINE(argmax, phi::ArgMaxKernel, argmax, kCompared, give_what_is_asked)
MPS_KERNEL_WITH_DEFINE(argmin, phi::ArgMinKernel, argmin, kCompared, give_what_is_asked)

}  // namespace mps::paddle
