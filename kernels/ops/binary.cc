// Paddle's ops of two tensors: those of binary.def, and those with parameters of their own.
#include "kernels/graphs/binary.h"

#include "kernels/ops/elementwise.h"
#include "paddle/phi/kernels/allclose_kernel.h"
#include "paddle/phi/kernels/atan2_grad_kernel.h"
#include "paddle/phi/kernels/atan2_kernel.h"
#include "paddle/phi/kernels/bitwise_kernel.h"
#include "paddle/phi/kernels/compare_kernel.h"
#include "paddle/phi/kernels/elementwise_grad_kernel.h"
#include "paddle/phi/kernels/elementwise_kernel.h"
#include "paddle/phi/kernels/isclose_kernel.h"
#include "paddle/phi/kernels/logical_kernel.h"

namespace mps::paddle {
namespace {

constexpr DTypes kIntegers = {phi::DataType::INT32, phi::DataType::INT64, phi::DataType::UINT8, phi::DataType::INT8,
                              phi::DataType::INT16};
constexpr DTypes kBits = {phi::DataType::INT32, phi::DataType::INT64, phi::DataType::UINT8,
                          phi::DataType::INT8,  phi::DataType::INT16, phi::DataType::BOOL};

constexpr DTypes kEqualAll = {phi::DataType::FLOAT32, phi::DataType::INT32, phi::DataType::INT64, phi::DataType::BOOL};

// Two operands in the dtype to compute in, and the graph.
struct Pair {
  Pair(const CustomContext& ctx, const DenseTensor& first, const DenseTensor& second)
      : record(ctx), g(record.graph), compute(graphs::compute_dtype(dtype_of(first))) {
    x = g.cast(record.input(first), compute);
    y = g.cast(record.input(second), compute);
  }
  Recorder record;
  Graph& g;
  const DType compute;
  Value x, y;
};

void atan2(const CustomContext& ctx, const DenseTensor& y, const DenseTensor& x, DenseTensor* out) {
  Pair p(ctx, y, x);
  p.record.output(out, p.g.cast(p.g.atan2(p.x, p.y), dtype_of(*out)));
  p.record.launch();
}

void atan2_grad(const CustomContext& ctx, const DenseTensor& y, const DenseTensor& x, const DenseTensor& dout,
                DenseTensor* dy, DenseTensor* dx) {
  if (dx == nullptr && dy == nullptr) return;
  Pair p(ctx, y, x);
  Graph& g = p.g;
  const Value slope = g.division(g.cast(p.record.input(dout), p.compute), g.addition(g.square(p.x), g.square(p.y)));
  if (dy != nullptr) output_gradient(p.record, dy, g.multiplication(slope, p.y));
  if (dx != nullptr) output_gradient(p.record, dx, g.negative(g.multiplication(slope, p.x)));
  p.record.launch();
}

void bitwise_left_shift(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& y, bool, DenseTensor* out) {
  Pair p(ctx, x, y);
  p.record.output(out, p.g.bitwise_left_shift(p.x, p.y));
  p.record.launch();
}

// A logical shift is an arithmetic one whose copies of the sign are cut off; from the width on nothing is left.
void bitwise_right_shift(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& y, bool is_arithmetic,
                         DenseTensor* out) {
  Pair p(ctx, x, y);
  Graph& g = p.g;
  Value result = g.bitwise_right_shift(p.x, p.y);
  if (!is_arithmetic && info(p.compute).kind == DTypeKind::kSigned) {
    const Value minus_one = graphs::like(g, p.y, -1), zero = graphs::like(g, p.y, 0);
    const Value width = graphs::like(g, p.y, static_cast<int>(8 * size_of(p.compute)));
    const Value sign_bits = g.bitwise_left_shift(minus_one, g.subtraction(width, p.y));
    const Value logical = g.bitwise_and(result, g.bitwise_xor(sign_bits, minus_one));
    result = g.select(graphs::is_outside(g, p.y, zero, width), zero, logical);
  }
  p.record.output(out, result);
  p.record.launch();
}

Value is_close(Pair& p, const phi::Scalar& rtol, const phi::Scalar& atol, bool equal_nan) {
  const DType compute = is_float(p.compute) ? p.compute : DType::float32;
  const Value r = p.record.scalar(to_scalar(rtol), compute), a = p.record.scalar(to_scalar(atol), compute);
  return graphs::is_close(p.g, p.x, p.y, r, a, equal_nan);
}

void isclose(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& y, const phi::Scalar& rtol,
             const phi::Scalar& atol, bool equal_nan, DenseTensor* out) {
  Pair p(ctx, x, y);
  p.record.output(out, is_close(p, rtol, atol, equal_nan));
  p.record.launch();
}

void allclose(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& y, const phi::Scalar& rtol,
              const phi::Scalar& atol, bool equal_nan, DenseTensor* out) {
  Pair p(ctx, x, y);
  p.record.output(out, graphs::all(p.g, is_close(p, rtol, atol, equal_nan)));
  p.record.launch();
}

// Tensors of different shapes are not equal.
void equal_all(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& y, DenseTensor* out) {
  set_dtype(out, phi::DataType::BOOL);
  Recorder record(ctx);
  Graph& g = record.graph;
  Value result = g.constant(false, DType::bool_);
  if (same_shape(dims_of(x), dims_of(y))) {
    result = graphs::all(g, graphs::are_equal(g, record.input(x), record.input(y), dtype_of(x)));
  }
  record.output(out, result);
  record.launch();
}

void define_bool_result(const phi::KernelKey&, phi::Kernel* kernel) {
  kernel->OutputAt(0).SetDataType(phi::DataType::BOOL);
}

}  // namespace

MPS_KERNEL(atan2, phi::Atan2Kernel, atan2, kFloats)
MPS_KERNEL(atan2_grad, phi::Atan2GradKernel, atan2_grad, kFloats)
MPS_KERNEL(bitwise_left_shift, phi::BitwiseLeftShiftKernel, bitwise_left_shift, kIntegers)
MPS_KERNEL(bitwise_right_shift, phi::BitwiseRightShiftKernel, bitwise_right_shift, kIntegers)
MPS_KERNEL_WITH_DEFINE(isclose, phi::IscloseKernel, isclose, kFloats, define_bool_result)
MPS_KERNEL_WITH_DEFINE(allclose, phi::AllCloseKernel, allclose, kFloatsAndInts, define_bool_result)
MPS_KERNEL_WITH_DEFINE(equal_all, phi::EqualAllKernel, equal_all, kEqualAll, define_bool_result)

}  // namespace mps::paddle

// Paddle writes these names in two ways.
#define FMaxGradKernel ElementwiseFMaxGradKernel
#define FMinGradKernel ElementwiseFMinGradKernel

#define MPS_TABLE "kernels/binary.def"
#include "kernels/ops/expand_rows.h"
