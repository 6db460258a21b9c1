// More products: baddbmm, multi_dot, matrix_power, kron, cross, and their gradients.
#include <algorithm>
#include <cmath>

#include "kernels/graphs/lines.h"
#include "kernels/graphs/matmul.h"
#include "paddle/phi/kernels/baddbmm_grad_kernel.h"
#include "paddle/phi/kernels/baddbmm_kernel.h"
#include "paddle/phi/kernels/cross_grad_kernel.h"
#include "paddle/phi/kernels/cross_kernel.h"
#include "paddle/phi/kernels/kron_grad_kernel.h"
#include "paddle/phi/kernels/kron_kernel.h"
#include "paddle/phi/kernels/matrix_power_grad_kernel.h"
#include "paddle/phi/kernels/matrix_power_kernel.h"
#include "paddle/phi/kernels/multi_dot_grad_kernel.h"
#include "paddle/phi/kernels/multi_dot_kernel.h"
#include "plugin/core/check.h"
#include "plugin/paddle/cpu_kernel.h"
#include "plugin/paddle/recorder.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;
using Tensors = std::vector<const DenseTensor*>;

// In the dtype to compute in: what is rounded once.
Value wide(Recorder& record, const DenseTensor& tensor) {
  return record.graph.cast(record.input(tensor), graphs::compute_dtype(dtype_of(tensor)));
}

void write(Recorder& record, DenseTensor* out, Value value) {
  if (out == nullptr) return;
  Graph& g = record.graph;
  record.output(out, g.cast(g.reshape(value, dims_of(*out)), dtype_of(*out)));
}

// -- baddbmm: beta * input + alpha * (x y), of stacks of matrices
// ---------------------------------------------------------------

Value scaled(Recorder& record, Value value, float factor) {
  if (factor == 1) return value;
  return record.graph.multiplication(value, record.scalar(factor, record.graph.dtype(value)));
}

void baddbmm(const CustomContext& ctx, const DenseTensor& input, const DenseTensor& x, const DenseTensor& y, float beta,
             float alpha, DenseTensor* out) {
  Recorder record(ctx);
  Graph& g = record.graph;
  Value result = scaled(record, g.matrix_multiplication(wide(record, x), wide(record, y)), alpha);
  // With beta = 0 the input is not read: it may hold NaN.
  if (beta != 0) result = g.addition(scaled(record, wide(record, input), beta), result);
  write(record, out, result);
  record.launch();
}

void baddbmm_grad(const CustomContext& ctx, const DenseTensor& input, const DenseTensor& x, const DenseTensor& y,
                  const DenseTensor& dout, float alpha, float beta, DenseTensor* dinput, DenseTensor* dx,
                  DenseTensor* dy) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value gradient = wide(record, dout);
  const graphs::Matrices left{wide(record, x), false}, right{wide(record, y), false};
  if (dinput != nullptr) {
    write(record, dinput, graphs::sum_to_shape(g, scaled(record, gradient, beta), dims_of(input)));
  }
  if (dx != nullptr) write(record, dx, scaled(record, graphs::left_gradient(g, left, right, gradient), alpha));
  if (dy != nullptr) write(record, dy, scaled(record, graphs::right_gradient(g, left, right, gradient), alpha));
  record.launch();
}

// -- multi_dot: a chain of matrices, whose ends may be vectors
// ------------------------------------------------------------------

std::vector<Value> chain_of(Recorder& record, const Tensors& x) {
  std::vector<Value> chain;
  for (const DenseTensor* each : x) chain.push_back(wide(record, *each));
  if (dims_of(*x.front()).size() == 1) chain.front() = record.graph.reshape(chain.front(), {1, x.front()->numel()});
  if (dims_of(*x.back()).size() == 1) chain.back() = record.graph.reshape(chain.back(), {x.back()->numel(), 1});
  return chain;
}

// The product of chain[first .. last], in the order that takes the fewest multiplications.
Value product_of_chain(Graph& g, const std::vector<Value>& chain) {
  const size_t count = chain.size();
  const auto rows = [&](size_t i) { return static_cast<double>(g.shape(chain[i])[0]); };
  const auto columns = [&](size_t i) { return static_cast<double>(g.shape(chain[i])[1]); };
  std::vector<std::vector<double>> cost(count, std::vector<double>(count, 0));
  std::vector<std::vector<size_t>> cut(count, std::vector<size_t>(count, 0));
  for (size_t length = 2; length <= count; ++length) {
    for (size_t first = 0; first + length <= count; ++first) {
      const size_t last = first + length - 1;
      cost[first][last] = HUGE_VAL;
      for (size_t at = first; at < last; ++at) {
        const double all = cost[first][at] + cost[at + 1][last] + rows(first) * columns(at) * columns(last);
        if (all < cost[first][last]) {
          cost[first][last] = all;
          cut[first][last] = at;
        }
      }
    }
  }
  const auto multiply = [&](const auto& self, size_t first, size_t last) -> Value {
    if (first == last) return chain[first];
    const size_t at = cut[first][last];
    return g.matrix_multiplication(self(self, first, at), self(self, at + 1, last));
  };
  return multiply(multiply, 0, count - 1);
}

void multi_dot(const CustomContext& ctx, const Tensors& x, DenseTensor* out) {
  Recorder record(ctx);
  write(record, out, product_of_chain(record.graph, chain_of(record, x)));
  record.launch();
}

// dx[i] = (what is left of it)^T dout (what is right of it)^T
void multi_dot_grad(const CustomContext& ctx, const Tensors& x, const DenseTensor& dout, std::vector<DenseTensor*> dx) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const std::vector<Value> chain = chain_of(record, x);
  const Value gradient = g.reshape(wide(record, dout), {g.shape(chain.front())[0], g.shape(chain.back())[1]});
  for (size_t i = 0; i < dx.size(); ++i) {
    if (dx[i] == nullptr) continue;
    phi::DenseTensorMeta meta = dx[i]->meta();
    meta.dtype = dout.dtype();  // Paddle leaves it to the kernel
    dx[i]->set_meta(meta);
    std::vector<Value> turned;
    for (size_t k = i; k-- > 0;) turned.push_back(graphs::matrix_transpose(g, chain[k]));
    turned.push_back(gradient);
    for (size_t k = chain.size(); k-- > i + 1;) turned.push_back(graphs::matrix_transpose(g, chain[k]));
    write(record, dx[i], product_of_chain(g, turned));
  }
  record.launch();
}

// -- matrix_power
// ---------------------------------------------------------------------------------------------------------

Value identity_like(Graph& g, Value x) {
  const Shape shape(g.shape(x));
  const int64_t size = shape.back();
  const Value one = g.cast(g.equal(g.coordinate({size, size}, 0), g.coordinate({size, size}, 1)), g.dtype(x));
  return g.broadcast(one, shape);
}

// x^n for n > 0, by squaring.
Value matrix_power_of(Graph& g, Value x, int64_t n) {
  Value result, square = x;
  for (bool is_first = true; n > 0; n /= 2) {
    if (n % 2 == 1) result = is_first ? square : g.matrix_multiplication(result, square);
    if (n % 2 == 1) is_first = false;
    if (n > 1) square = g.matrix_multiplication(square, square);
  }
  return result;
}

// Matrices are inverted on the CPU, by Paddle's kernel.
DenseTensor inverse_of(const CustomContext& ctx, const DenseTensor& x) {
  DenseTensor inverse;
  inverse.set_meta(x.meta());
  run_cpu_kernel<int>("matrix_power", ctx, x, &inverse, -1);
  return inverse;
}

void matrix_power(const CustomContext& ctx, const DenseTensor& x, int n, DenseTensor* out) {
  if (n < 0 && x.numel() != 0) return matrix_power(ctx, inverse_of(ctx, x), -n, out);
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value base = wide(record, x);
  write(record, out, n == 0 || x.numel() == 0 ? identity_like(g, base) : matrix_power_of(g, base, n));
  record.launch();
}

// The sum over i of (x^i)^T dout (x^(n - 1 - i))^T; of the inverse y it goes on to -y^T (..) y^T.
void matrix_power_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor&, const DenseTensor& dout,
                       int n, DenseTensor* dx) {
  if (dx == nullptr) return;
  const bool inverts = n < 0 && x.numel() != 0;
  const DenseTensor base = inverts ? inverse_of(ctx, x) : x;
  Recorder record(ctx);
  Graph& g = record.graph;
  if (n == 0 || x.numel() == 0) {
    write(record, dx, graphs::zeros(g, dtype_of(*dx), dims_of(*dx)));
    record.launch();
    return;
  }
  const Value turned = graphs::matrix_transpose(g, wide(record, base));
  // By Horner: after k steps it is the sum for n = k, and `left` is dout with k factors before it.
  Value left = wide(record, dout), sum = left;
  for (int k = 1; k < std::abs(n); ++k) {
    left = g.matrix_multiplication(turned, left);
    sum = g.addition(g.matrix_multiplication(sum, turned), left);
  }
  if (inverts) sum = g.negative(g.matrix_multiplication(g.matrix_multiplication(turned, sum), turned));
  write(record, dx, sum);
  record.launch();
}

// -- kron: each element of x times all of y
// -------------------------------------------------------------------------------

// The shape with as many axes as the other has, and beside each axis one of size 1: behind it, or before it.
Shape apart(Dims shape, size_t rank, bool behind) {
  Shape wide;
  for (size_t i = 0; i < rank; ++i) {
    const size_t missing = rank - shape.size();
    const int64_t size = i < missing ? 1 : shape[i - missing];
    wide.push_back(behind ? size : 1);
    wide.push_back(behind ? 1 : size);
  }
  return wide;
}

struct Kron {
  Kron(Recorder& record, const DenseTensor& left, const DenseTensor& right)
      : rank(std::max(dims_of(left).size(), dims_of(right).size())),
        x_shape(apart(dims_of(left), rank, true)),
        y_shape(apart(dims_of(right), rank, false)),
        x(record.graph.reshape(wide(record, left), x_shape)),
        y(record.graph.reshape(wide(record, right), y_shape)) {}
  size_t rank;
  Shape x_shape, y_shape;
  Value x, y;
};

void kron(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& y, DenseTensor* out) {
  Recorder record(ctx);
  const Kron pair(record, x, y);
  write(record, out, record.graph.multiplication(pair.x, pair.y));
  record.launch();
}

void kron_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& y, const DenseTensor& dout,
               DenseTensor* dx, DenseTensor* dy) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const Kron pair(record, x, y);
  const Value gradient = g.reshape(wide(record, dout), broadcast_shapes(pair.x_shape, pair.y_shape));
  if (dx != nullptr) write(record, dx, graphs::sum_to_shape(g, g.multiplication(gradient, pair.y), pair.x_shape));
  if (dy != nullptr) write(record, dy, graphs::sum_to_shape(g, g.multiplication(gradient, pair.x), pair.y_shape));
  record.launch();
}

// -- cross: of vectors along an axis of size 3
// ----------------------------------------------------------------------------------

constexpr int kFirstOfSize3 = 9;  // what Paddle gives for an axis that the user did not name

size_t cross_axis(Dims shape, int axis) {
  if (axis != kFirstOfSize3) {
    const size_t along = static_cast<size_t>(normalize_axis(axis, shape.size()));
    MPS_CHECK(shape[along] == 3, kArgument, "bad axis of a cross product: expected size 3, got ", shape[along], ".");
    return along;
  }
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] == 3) return i;
  }
  MPS_CHECK(false, kArgument, "no axis for a cross product: expected one of size 3, got ", to_string(shape), ".");
  return 0;
}

// Components 0, 1, 2 become 1, 2, 0 (or 2, 0, 1).
Value turned(Graph& g, Value x, size_t axis, int64_t by) {
  const Value end = graphs::slice_axis(g, x, axis, by, 3 - by), begin = graphs::slice_axis(g, x, axis, 0, by);
  return g.concatenation({end, begin}, static_cast<int>(axis));
}

Value cross_product(Graph& g, Value x, Value y, size_t axis) {
  return g.subtraction(g.multiplication(turned(g, x, axis, 1), turned(g, y, axis, 2)),
                       g.multiplication(turned(g, x, axis, 2), turned(g, y, axis, 1)));
}

void cross(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& y, int axis, DenseTensor* out) {
  Recorder record(ctx);
  write(record, out, cross_product(record.graph, wide(record, x), wide(record, y), cross_axis(dims_of(x), axis)));
  record.launch();
}

void cross_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& y, const DenseTensor& dout, int axis,
                DenseTensor* dx, DenseTensor* dy) {
  const size_t along = cross_axis(dims_of(x), axis);
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value gradient = wide(record, dout);
  if (dx != nullptr) write(record, dx, cross_product(g, wide(record, y), gradient, along));
  if (dy != nullptr) write(record, dy, cross_product(g, gradient, wide(record, x), along));
  record.launch();
}

}  // namespace

MPS_KERNEL(baddbmm, phi::BaddbmmKernel, baddbmm, kFloats)
MPS_KERNEL(baddbmm_grad, phi::BaddbmmGradKernel, baddbmm_grad, kFloats)
MPS_KERNEL(multi_dot, phi::MultiDotKernel, multi_dot, kFloats)
MPS_KERNEL_KEYED(multi_dot_grad, phi::MultiDotGradKernel, multi_dot_grad, kFloats, 1)
MPS_KERNEL(matrix_power, phi::MatrixPowerKernel, matrix_power, kFloat32)
MPS_KERNEL(matrix_power_grad, phi::MatrixPowerGradKernel, matrix_power_grad, kFloat32)
MPS_KERNEL(kron, phi::KronKernel, kron, kFloatsAndInts)
MPS_KERNEL(kron_grad, phi::KronGradKernel, kron_grad, kFloatsAndInts)
MPS_KERNEL(cross, phi::CrossKernel, cross, kFloatsAndInts)
MPS_KERNEL(cross_grad, phi::CrossGradKernel, cross_grad, kFloatsAndInts)

}  // namespace mps::paddle
