// Matrix products: matmul, bmm, mv, dot, addmm and their gradients.
#include "kernels/graphs/matmul.h"

#include "paddle/phi/kernels/addmm_grad_kernel.h"
#include "paddle/phi/kernels/addmm_kernel.h"
#include "paddle/phi/kernels/bmm_grad_kernel.h"
#include "paddle/phi/kernels/bmm_kernel.h"
#include "paddle/phi/kernels/dot_grad_kernel.h"
#include "paddle/phi/kernels/dot_kernel.h"
#include "paddle/phi/kernels/matmul_grad_kernel.h"
#include "paddle/phi/kernels/matmul_kernel.h"
#include "paddle/phi/kernels/mv_grad_kernel.h"
#include "paddle/phi/kernels/mv_kernel.h"
#include "plugin/paddle/recorder.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;

// -- matmul, bmm, mv: one product
// ---------------------------------------------------------------------------------------

void matmul(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& y, bool transpose_x, bool transpose_y,
            DenseTensor* out) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value result = graphs::product(g, graphs::left_matrices(g, record.input(x), transpose_x),
                                       graphs::right_matrices(g, record.input(y), transpose_y));
  // Paddle's shape inference does not broadcast batches against each other: the shape is the
  // graph's, less the dimensions that vectors were given.
  std::vector<int64_t> shape(g.shape(result).begin(), g.shape(result).end());
  if (dims_of(y).size() == 1) shape.pop_back();
  if (dims_of(x).size() == 1) shape.erase(shape.end() - (dims_of(y).size() == 1 ? 1 : 2));
  out->Resize(phi::make_ddim(shape));
  record.output(out, g.reshape(result, dims_of(*out)));
  record.launch();
}

void matmul_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& y, const DenseTensor& dout,
                 bool transpose_x, bool transpose_y, DenseTensor* dx, DenseTensor* dy) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const graphs::Matrices left = graphs::left_matrices(g, record.input(x), transpose_x);
  const graphs::Matrices right = graphs::right_matrices(g, record.input(y), transpose_y);
  const Value gradient = record.input(dout, graphs::shape_of_product(dims_of(x), dims_of(y), dims_of(dout)));
  if (dx != nullptr) record.output(dx, g.reshape(graphs::left_gradient(g, left, right, gradient), dims_of(*dx)));
  if (dy != nullptr) record.output(dy, g.reshape(graphs::right_gradient(g, left, right, gradient), dims_of(*dy)));
  record.launch();
}

void bmm(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& y, DenseTensor* out) {
  matmul(ctx, x, y, false, false, out);
}

void bmm_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& y, const DenseTensor& dout,
              DenseTensor* dx, DenseTensor* dy) {
  matmul_grad(ctx, x, y, dout, false, false, dx, dy);
}

void mv(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& vec, DenseTensor* out) {
  matmul(ctx, x, vec, false, false, out);
}

void mv_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& vec, const DenseTensor& dout,
             DenseTensor* dx, DenseTensor* dvec) {
  matmul_grad(ctx, x, vec, dout, false, false, dx, dvec);
}

// -- dot: along the last axis
// -------------------------------------------------------------------------------------------

void dot(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& y, DenseTensor* out) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const DType to = dtype_of(*out);
  const DType compute = graphs::compute_dtype(to);
  const Value products = g.multiplication(g.cast(record.input(x), compute), g.cast(record.input(y), compute));
  const Value total = g.reduction_sum(products, {static_cast<int64_t>(dims_of(x).size()) - 1});
  record.output(out, g.cast(g.reshape(total, dims_of(*out)), to));
  record.launch();
}

void dot_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& y, const DenseTensor& dout,
              DenseTensor* dx, DenseTensor* dy) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const DType to = dtype_of(x);
  const DType compute = graphs::compute_dtype(to);
  const Shape kept = graphs::keep_dims_shape(dims_of(x), {static_cast<int64_t>(dims_of(x).size()) - 1});
  const Value gradient = g.cast(record.input(dout, kept), compute);
  const auto output = [&](DenseTensor* result, const DenseTensor& other) {
    if (result == nullptr) return;
    record.output(result, g.cast(g.multiplication(gradient, g.cast(record.input(other), compute)), to));
  };
  output(dx, y);
  output(dy, x);
  record.launch();
}

// -- addmm: out = beta * input + alpha * (x y)
// --------------------------------------------------------------------------

// float16 and bfloat16 are computed in float32 throughout and rounded once.

// `value` times a number. A factor of 1 makes no node.
Value scaled(Recorder& record, Value value, float factor) {
  if (factor == 1) return value;
  return record.graph.multiplication(value, record.scalar(factor, record.graph.dtype(value)));
}

void addmm(const CustomContext& ctx, const DenseTensor& input, const DenseTensor& x, const DenseTensor& y, float beta,
           float alpha, DenseTensor* out) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const DType to = dtype_of(*out);
  const auto wide = [&](const DenseTensor& tensor) { return g.cast(record.input(tensor), graphs::compute_dtype(to)); };
  Value result = scaled(record, g.matrix_multiplication(wide(x), wide(y)), alpha);
  // With beta = 0 the input is not read: it may hold NaN.
  if (beta != 0) result = g.addition(scaled(record, wide(input), beta), result);
  record.output(out, g.cast(result, to));
  record.launch();
}

void addmm_grad(const CustomContext& ctx, const DenseTensor& input, const DenseTensor& x, const DenseTensor& y,
                const DenseTensor& dout, float alpha, float beta, DenseTensor* dinput, DenseTensor* dx,
                DenseTensor* dy) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const DType to = dtype_of(dout);
  const auto wide = [&](const DenseTensor& tensor) { return g.cast(record.input(tensor), graphs::compute_dtype(to)); };
  const Value gradient = wide(dout);
  if (dinput != nullptr) {
    const Value part = scaled(record, gradient, beta);
    record.output(dinput, g.cast(graphs::sum_to_shape(g, part, dims_of(input)), to));
  }
  const graphs::Matrices left{wide(x), false}, right{wide(y), false};
  if (dx != nullptr) {
    const Value part = scaled(record, graphs::left_gradient(g, left, right, gradient), alpha);
    record.output(dx, g.cast(part, to));
  }
  if (dy != nullptr) {
    const Value part = scaled(record, graphs::right_gradient(g, left, right, gradient), alpha);
    record.output(dy, g.cast(part, to));
  }
  record.launch();
}

}  // namespace

MPS_KERNEL(matmul, phi::MatmulKernel, matmul, views_of(kFloatsAndInts))
MPS_KERNEL(matmul_grad, phi::MatmulGradKernel, matmul_grad, views_of(kFloats))
MPS_KERNEL(bmm, phi::BmmKernel, bmm, kFloats)
MPS_KERNEL(bmm_grad, phi::BmmGradKernel, bmm_grad, kFloats)
MPS_KERNEL(mv, phi::MvKernel, mv, kFloats)
MPS_KERNEL(mv_grad, phi::MvGradKernel, mv_grad, kFloats)
MPS_KERNEL(dot, phi::DotKernel, dot, kFloatsAndInts)
MPS_KERNEL(dot_grad, phi::DotGradKernel, dot_grad, kFloatsAndInts)
MPS_KERNEL(addmm, phi::AddmmKernel, addmm, kFloats)
MPS_KERNEL(addmm_grad, phi::AddmmGradKernel, addmm_grad, kFloats)

}  // namespace mps::paddle
