// spectral_norm: a matrix by its greatest singular value, which power iteration finds (Miyato et al., 2018).
#include "kernels/graphs/lines.h"
#include "kernels/graphs/matmul.h"
#include "kernels/ops/wide.h"
#include "paddle/phi/kernels/spectral_norm_grad_kernel.h"
#include "paddle/phi/kernels/spectral_norm_kernel.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;

// The weight as a matrix: axis `dim` first, the others as its columns.
struct Matrix {
  Matrix(const DenseTensor& weight, int dim) {
    const Dims shape = dims_of(weight);
    const size_t first = static_cast<size_t>(normalize_axis(dim, shape.size()));
    order.push_back(static_cast<int64_t>(first));
    for (size_t i = 0; i < shape.size(); ++i) {
      if (i != first) order.push_back(static_cast<int64_t>(i));
    }
    back.resize(order.size());
    for (size_t i = 0; i < order.size(); ++i) {
      ordered.push_back(shape[static_cast<size_t>(order[i])]);
      back[static_cast<size_t>(order[i])] = static_cast<int64_t>(i);
    }
    flat = {ordered[0], graphs::product_of(ordered, 1, ordered.size())};
  }
  Value take(Recorder& record, const DenseTensor& tensor) const {
    return record.graph.reshape(record.graph.transpose(wide(record, tensor), order), flat);
  }
  Value give(Graph& g, Value matrix) const { return g.transpose(g.reshape(matrix, ordered), back); }

  Ints order, back;
  Shape ordered, flat;
};

// Left and right singular vectors, [rows, 1] and [columns, 1], and the value between them.
struct Singular {
  Value u, v, value;
};

Singular iterate(Recorder& record, Value matrix, const DenseTensor& u, const DenseTensor& v, int iterations,
                 float epsilon) {
  Graph& g = record.graph;
  const Value transposed = graphs::matrix_transpose(g, matrix);
  const auto unit = [&](Value x) {
    const Value length = g.square_root(g.reduction_sum(g.square(x), {0}));
    return g.division(x, g.addition(length, graphs::number(g, length, epsilon)));
  };
  Singular found{wide(record, u, {u.numel(), 1}), wide(record, v, {v.numel(), 1}), {}};
  for (int i = 0; i < iterations; ++i) {
    found.v = unit(g.matrix_multiplication(transposed, found.u));
    found.u = unit(g.matrix_multiplication(matrix, found.v));
  }
  found.value = g.reduction_sum(g.multiplication(found.u, g.matrix_multiplication(matrix, found.v)), {0});
  return found;
}

void spectral_norm(const CustomContext& ctx, const DenseTensor& weight, const DenseTensor& u, const DenseTensor& v,
                   int dim, int iterations, float epsilon, DenseTensor* out) {
  const Matrix shape(weight, dim);
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value matrix = shape.take(record, weight);
  const Singular found = iterate(record, matrix, u, v, iterations, epsilon);
  write(record, out, shape.give(g, g.division(matrix, found.value)));
  record.launch();
}

// The vectors count as constants: the value's gradient is u v^T.
void spectral_norm_grad(const CustomContext& ctx, const DenseTensor& weight, const DenseTensor& u, const DenseTensor& v,
                        const DenseTensor& dout, int dim, int iterations, float epsilon, DenseTensor* dweight) {
  if (dweight == nullptr) return;
  const Matrix shape(weight, dim);
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value matrix = shape.take(record, weight), dy = shape.take(record, dout);
  const Singular found = iterate(record, matrix, u, v, iterations, epsilon);
  const Value along = g.reduction_sum(g.multiplication(dy, g.division(matrix, found.value)), {0, 1});
  const Value outer = g.multiplication(found.u, graphs::matrix_transpose(g, found.v));
  const Value slope = g.division(g.subtraction(dy, g.multiplication(outer, along)), found.value);
  write(record, dweight, shape.give(g, slope));
  record.launch();
}

}  // namespace

MPS_KERNEL(spectral_norm, phi::SpectralNormKernel, spectral_norm, kFloats)
MPS_KERNEL(spectral_norm_grad, phi::SpectralNormGradKernel, spectral_norm_grad, kFloats)

}  // namespace mps::paddle
