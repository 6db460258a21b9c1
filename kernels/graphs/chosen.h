// What a mask chooses, packed together. How many those are is data: it must be read before the result has a shape.
#pragma once

#include "kernels/graphs/lines.h"

namespace mps::graphs {

// How many elements of the mask are true: one number of position_dtype().
inline Value count_chosen(Graph& g, Value mask) {
  const Value line = flat(g, mask);
  return g.reduction_sum(g.cast(line, position_dtype(g.elements(mask))), {0});
}

// For each element of the mask, flat, its place among those chosen; -1 for the others.
inline Value places_of_chosen(Graph& g, Value mask) {
  const Value line = flat(g, mask);
  const DType dtype = position_dtype(g.elements(mask));
  const Value place = g.scan(NodeKind::cumulative_sum, g.cast(line, dtype), 0, /*exclusive=*/true);
  return g.select(line, place, number(g, place, -1));
}

// The chosen rows of `rows`, [mask elements, width]: [count, width].
inline Value pack_chosen(Graph& g, Value places, Value rows, int64_t count) {
  const Shape shape(g.shape(rows));
  const Value nothing = zeros(g, g.dtype(rows), {1, count, shape[1]});
  const Value packed = g.scatter(ScatterMode::kSet, nothing, places, g.reshape(rows, {1, shape[0], shape[1]}));
  return g.reshape(packed, {count, shape[1]});
}

// Where the chosen elements of a mask of this shape lie: [count, rank]. Packed is the position of each among all
// elements, and its coordinates are what that is made of.
inline Value coordinates_of_chosen(Graph& g, Value mask, int64_t count, DType dtype) {
  const Shape shape(g.shape(mask));
  const int64_t elements = element_count(shape);
  const Value all = g.cast(g.reshape(g.coordinate({elements}, 0), {elements, 1}), position_dtype(elements));
  const Value chosen = pack_chosen(g, places_of_chosen(g, mask), all, count);
  SmallVector<Value, 16> columns;
  int64_t inner = elements;
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    const Value outer_lines = number(g, chosen, inner);
    inner /= shape[axis];
    // What the axes before this one leave, in steps of those behind it.
    Value rest = chosen;
    if (axis > 0) rest = g.subtraction(chosen, g.multiplication(g.division(chosen, outer_lines), outer_lines));
    columns.push_back(g.cast(inner == 1 ? rest : g.division(rest, number(g, chosen, inner)), dtype));
  }
  return g.concatenation(columns, 1);
}

}  // namespace mps::graphs
