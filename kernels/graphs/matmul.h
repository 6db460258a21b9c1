// Matrix products as paddle.matmul means them: optional transposes, broadcast batches, vectors.
#pragma once

#include "kernels/graphs/broadcast.h"
#include "plugin/core/graph.h"

namespace mps::graphs {

// Swaps the last two axes.
inline Value matrix_transpose(Graph& g, Value x) {
  const size_t rank = g.shape(x).size();
  Ints permutation;
  for (size_t i = 0; i < rank; ++i) permutation.push_back(static_cast<int64_t>(i));
  std::swap(permutation[rank - 1], permutation[rank - 2]);
  return g.transpose(x, permutation);
}

inline Value transpose_if(Graph& g, Value x, bool transpose) { return transpose ? matrix_transpose(g, x) : x; }

// An operand of a product as a stack of matrices. A vector is a row on the left and a column on the
// right, and its transpose flag means nothing.
struct Matrices {
  Value value;     // [..., rows, columns] before the transpose
  bool transpose;  // whether the product takes it transposed
};

inline Matrices left_matrices(Graph& g, Value x, bool transpose) {
  const Shape shape(g.shape(x));
  if (shape.size() == 1) return {g.reshape(x, {1, shape[0]}), false};
  return {x, transpose};
}

inline Matrices right_matrices(Graph& g, Value y, bool transpose) {
  const Shape shape(g.shape(y));
  if (shape.size() == 1) return {g.reshape(y, {shape[0], 1}), false};
  return {y, transpose};
}

// [..., M, N] as [M', N]: the rows of all matrices under one another.
inline Value merge_rows(Graph& g, Value x) {
  const Shape shape(g.shape(x));
  int64_t rows = 1;
  for (size_t i = 0; i + 1 < shape.size(); ++i) rows *= shape[i];
  return g.reshape(x, {rows, shape.back()});
}

// The shape of a product of tensors of these shapes with the dimensions of size 1 that vectors were given put back.
inline Shape shape_of_product(Dims x, Dims y, Dims out) {
  Shape shape(out);
  if (x.size() == 1) {
    const int64_t columns = y.size() == 1 ? 1 : shape.back();
    if (y.size() != 1) shape.resize(shape.size() - 1);
    shape.push_back(1);
    shape.push_back(columns);
  } else if (y.size() == 1) {
    shape.push_back(1);
  }
  return shape;
}

// True if x is a stack of matrices that all meet one matrix y: then the stack is one tall matrix,
// and one product does.
inline bool meets_one_matrix(const Graph& g, Matrices x, Matrices y) {
  return g.shape(x.value).size() > 2 && !x.transpose && g.shape(y.value).size() == 2;
}

// The product, still with the dimensions of size 1 that vectors were given.
inline Value product(Graph& g, Matrices x, Matrices y) {
  const Value b = transpose_if(g, y.value, y.transpose);
  if (!meets_one_matrix(g, x, y)) {
    return g.matrix_multiplication(transpose_if(g, x.value, x.transpose), b);
  }
  Shape shape(g.shape(x.value));
  shape.back() = g.shape(b)[1];
  return g.reshape(g.matrix_multiplication(merge_rows(g, x.value), b), shape);
}

// A matrix product whose batches are then summed to `shape`. In float32, so that it rounds once.
inline Value product_summed_to(Graph& g, Value a, Value b, Dims shape) {
  const DType dtype = g.dtype(a);
  const Shape batches =
      broadcast_shapes({g.shape(a).data(), g.shape(a).size() - 2}, {g.shape(b).data(), g.shape(b).size() - 2});
  const bool sums = !same_shape(batches, {shape.data(), shape.size() - 2});
  const DType compute = sums ? compute_dtype(dtype) : dtype;
  const Value result = g.matrix_multiplication(g.cast(a, compute), g.cast(b, compute));
  return g.cast(sum_to_shape(g, result, shape), dtype);
}

// Gradients of product(x, y) for `dout` of its shape, in the shapes of x.value and y.value.
// With A = op(X), B = op(Y): dA = dO B^T and dB = A^T dO; a transposed operand takes the transposed
// expression.
inline Value left_gradient(Graph& g, Matrices x, Matrices y, Value dout) {
  const Shape shape(g.shape(x.value));
  if (meets_one_matrix(g, x, y)) {
    const Value b = transpose_if(g, y.value, !y.transpose);
    return g.reshape(g.matrix_multiplication(merge_rows(g, dout), b), shape);
  }
  if (x.transpose) {
    const Value b = transpose_if(g, y.value, y.transpose);
    return product_summed_to(g, b, matrix_transpose(g, dout), shape);
  }
  return product_summed_to(g, dout, transpose_if(g, y.value, !y.transpose), shape);
}

inline Value right_gradient(Graph& g, Matrices x, Matrices y, Value dout) {
  const Shape shape(g.shape(y.value));
  if (meets_one_matrix(g, x, y)) {
    // The sum over the stack is part of the one product.
    const Value rows = merge_rows(g, x.value), gradient = merge_rows(g, dout);
    return y.transpose ? g.matrix_multiplication(matrix_transpose(g, gradient), rows)
                       : g.matrix_multiplication(matrix_transpose(g, rows), gradient);
  }
  if (y.transpose) {
    const Value a = transpose_if(g, x.value, x.transpose);
    return product_summed_to(g, matrix_transpose(g, dout), a, shape);
  }
  return product_summed_to(g, transpose_if(g, x.value, !x.transpose), dout, shape);
}

}  // namespace mps::graphs
