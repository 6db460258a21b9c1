// Sums of products over named axes, as einsum means them.
#pragma once

#include <algorithm>
#include <map>
#include <vector>

#include "kernels/graphs/lines.h"

namespace mps::graphs {

using Labels = std::vector<int>;  // one name for each axis

inline bool contains(const Labels& labels, int label) {
  return std::find(labels.begin(), labels.end(), label) != labels.end();
}

struct Term {
  Value value;
  Labels labels;
};

// Each name once: of axes with one name the diagonal is taken.
inline Term with_names_once(Graph& g, Term x) {
  Shape shape(g.shape(x.value)), sizes;
  const Ints strides = contiguous_strides(shape);
  Ints steps;
  Labels labels;
  for (size_t i = 0; i < x.labels.size(); ++i) {
    const auto found = std::find(labels.begin(), labels.end(), x.labels[i]);
    if (found != labels.end()) {
      steps[static_cast<size_t>(found - labels.begin())] += strides[i];
      continue;
    }
    labels.push_back(x.labels[i]);
    sizes.push_back(shape[i]);
    steps.push_back(strides[i]);
  }
  if (labels.size() == x.labels.size()) return x;
  return {g.strided_view(flat(g, x.value), sizes, steps, 0), labels};
}

// The opposite, for gradients: `x` has each name of `labels` once; elsewhere than on the diagonal the result is 0.
inline Value on_diagonals(Graph& g, Term x, const Labels& labels, Dims shape) {
  if (x.labels.size() == labels.size()) return x.value;
  const Ints strides = contiguous_strides(shape);
  Ints steps;
  steps.resize(x.labels.size(), 0);
  for (size_t i = 0; i < labels.size(); ++i) {
    const auto found = std::find(x.labels.begin(), x.labels.end(), labels[i]);
    steps[static_cast<size_t>(found - x.labels.begin())] += strides[i];
  }
  const Value nothing = zeros(g, g.dtype(x.value), {element_count(shape)});
  return g.reshape(g.strided_update(nothing, x.value, steps, 0), shape);
}

// Sums over the axes that neither of the two lists names. Low-precision floats become float32 if anything is added.
inline Term summed_to(Graph& g, Term x, const Labels& kept, const Labels& also_kept) {
  const Shape shape(g.shape(x.value));
  Ints axes;
  Shape left;
  Labels labels;
  for (size_t i = 0; i < x.labels.size(); ++i) {
    if (contains(kept, x.labels[i]) || contains(also_kept, x.labels[i])) {
      labels.push_back(x.labels[i]);
      left.push_back(shape[i]);
    } else {
      axes.push_back(static_cast<int64_t>(i));
    }
  }
  if (axes.empty()) return x;
  const Value wide = g.cast(x.value, compute_dtype(g.dtype(x.value)));
  return {g.reshape(g.reduction_sum(wide, axes), left), labels};
}

// The axes in the order of `labels`, all of which `x` has.
inline Value in_order(Graph& g, const Term& x, const Labels& labels) {
  Ints permutation;
  for (int label : labels) {
    permutation.push_back(std::find(x.labels.begin(), x.labels.end(), label) - x.labels.begin());
  }
  return g.transpose(x.value, permutation);
}

// The product of two terms, each with its names once, summed over what `out` does not name.
inline Term contracted(Graph& g, Term x, Term y, const Labels& out) {
  x = summed_to(g, x, y.labels, out);
  y = summed_to(g, y, x.labels, out);
  if (g.dtype(x.value) != g.dtype(y.value)) {
    x.value = g.cast(x.value, DType::float32);
    y.value = g.cast(y.value, DType::float32);
  }
  std::map<int, int64_t> sizes;
  for (const Term* each : {&x, &y}) {
    for (size_t i = 0; i < each->labels.size(); ++i) {
      int64_t& size = sizes.emplace(each->labels[i], 1).first->second;
      const int64_t own = g.shape(each->value)[i];
      size = own == 1 ? size : own;
    }
  }
  Labels batch, sum, left, right;
  for (int label : x.labels) {
    (contains(y.labels, label) ? (contains(out, label) ? batch : sum) : left).push_back(label);
  }
  for (int label : y.labels) {
    if (!contains(x.labels, label)) right.push_back(label);
  }
  const auto size_of_all = [&](const Labels& labels) {
    int64_t count = 1;
    for (int label : labels) count *= sizes[label];
    return count;
  };
  // What both have is stretched to one size, and axes are merged into [batch, rows, columns].
  const auto matrices = [&](const Term& term, const Labels& rows, const Labels& columns) {
    Labels order = batch;
    order.insert(order.end(), rows.begin(), rows.end());
    order.insert(order.end(), columns.begin(), columns.end());
    Shape shape, merged;
    for (int label : order) shape.push_back(sizes[label]);
    if (!batch.empty()) merged.push_back(size_of_all(batch));
    merged.push_back(size_of_all(rows));
    merged.push_back(size_of_all(columns));
    return g.reshape(g.broadcast(in_order(g, term, order), shape), merged);
  };
  const Value a = matrices(x, left, sum), b = matrices(y, sum, right);
  // Of a sum of one product each is one.
  const Value product = sum.empty() ? g.multiplication(a, b) : g.matrix_multiplication(a, b);
  Term result{product, batch};
  result.labels.insert(result.labels.end(), left.begin(), left.end());
  result.labels.insert(result.labels.end(), right.begin(), right.end());
  Shape shape;
  for (int label : result.labels) shape.push_back(sizes[label]);
  result.value = g.reshape(product, shape);
  return result;
}

}  // namespace mps::graphs
