// Which of several rows are equal, and in which order rows come: what unique is made of.
#pragma once

#include "kernels/graphs/lines.h"

namespace mps::graphs {

// Along axis 0 of `x`, whether an element differs from the one before it; the first one does not.
inline Value differs_from_previous(Graph& g, Value x) {
  const Shape shape(g.shape(x));
  const Value first = g.constant(false, DType::bool_, with_axis(shape, 0, 1));
  if (shape[0] == 1) return first;
  const Value here = slice_axis(g, x, 0, 1, shape[0] - 1), before = slice_axis(g, x, 0, 0, shape[0] - 1);
  return g.concatenation({first, g.not_equal(here, before)}, 0);
}

// In each column of `x`, [rows, columns], how many different values are less than each: int32. A NaN differs from all.
inline Value column_ranks(Graph& g, Value x) {
  const Shape shape(g.shape(x));
  const Value order = g.arg_sort(x, 0, /*descending=*/false, shape[0]);
  const Value at = positions_along(g, order, 0, shape);
  const Value steps = g.cast(differs_from_previous(g, take_at(g, x, at)), DType::int32);
  return put_at(g, ScatterMode::kSet, zeros(g, DType::int32, shape), at, g.scan(NodeKind::cumulative_sum, steps, 0));
}

// How many different rows of `x`, [rows, columns], come before each, in the order of the first column, then of the next
// ones: int32, [rows]. Columns are merged in pairs, so that the graph grows with the logarithm of their number.
inline Value row_ranks(Graph& g, Value x) {
  const int64_t rows = g.shape(x)[0];
  Value ranks = column_ranks(g, x);
  const DType dtype = position_dtype(rows * rows);
  while (g.shape(ranks)[1] > 1) {
    const int64_t columns = g.shape(ranks)[1], pairs = columns / 2;
    const Value first = g.cast(slice_axis(g, ranks, 1, 0, pairs, 2), dtype);
    const Value second = g.cast(slice_axis(g, ranks, 1, 1, pairs, 2), dtype);
    const Value merged = column_ranks(g, g.addition(g.multiplication(first, number(g, first, rows)), second));
    ranks = columns % 2 == 0 ? merged : g.concatenation({merged, slice_axis(g, ranks, 1, columns - 1, 1)}, 1);
  }
  return flat(g, ranks);
}

// Of rows that follow one another in `x`, [rows, columns], how many other rows came before each: int32, [rows].
inline Value run_ranks(Graph& g, Value x) {
  const int64_t rows = g.shape(x)[0];
  const Value steps = g.cast(differs_from_previous(g, x), DType::int32);
  const Value step = g.reshape(g.reduction(NodeKind::reduction_maximum, steps, {1}), {rows});
  return g.scan(NodeKind::cumulative_sum, step, 0);
}

}  // namespace mps::graphs
