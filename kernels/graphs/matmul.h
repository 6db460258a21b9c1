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

inline Value transpose_if(Graph& g, Value x, bool transpose) {
  return transpose ? matrix_transpose(g, x) : x;
}

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

// The product, still with the dimensions of size 1 that vectors were given.
inline Value product(Graph& g, Matrices x, Matrices y) {
  return g.matrix_multiplication(transpose_if(g, x.value, x.transpose),
                                 transpose_if(g, y.value, y.transpose));
}

// Gradients of product(x, y) for `dout` of its shape, in the shapes of x.value and y.value.
// With A = op(X), B = op(Y): dA = dO B^T and dB = A^T dO; a transposed operand takes the transposed
// expression.
inline Value left_gradient(Graph& g, Matrices x, Matrices y, Value dout) {
  const Value dx = x.transpose
                       ? g.matrix_multiplication(transpose_if(g, y.value, y.transpose),
                                                 matrix_transpose(g, dout))
                       : g.matrix_multiplication(dout, transpose_if(g, y.value, !y.transpose));
  const Shape shape(g.shape(x.value));
  return sum_to_shape(g, dx, shape);
}

inline Value right_gradient(Graph& g, Matrices x, Matrices y, Value dout) {
  const Value dy = y.transpose
                       ? g.matrix_multiplication(matrix_transpose(g, dout),
                                                 transpose_if(g, x.value, x.transpose))
                       : g.matrix_multiplication(transpose_if(g, x.value, !x.transpose), dout);
  const Shape shape(g.shape(y.value));
  return sum_to_shape(g, dy, shape);
}

}  // namespace mps::graphs
