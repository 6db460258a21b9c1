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

// Where the chosen elements of a mask lie: for each of its axes, [count]. Packed is the position of each among all
// elements, and its coordinates are what that is made of.
inline SmallVector<Value, 16> coordinates_of_chosen(Graph& g, Value mask, int64_t count, DType dtype) {
  const Shape shape(g.shape(mask));
  const int64_t elements = element_count(shape);
  const Value all = g.cast(g.reshape(g.coordinate({elements}, 0), {elements, 1}), position_dtype(elements));
  const Value chosen = flat(g, pack_chosen(g, places_of_chosen(g, mask), all, count));
  SmallVector<Value, 16> coordinates;
  Value rest = chosen;  // what the axes before this one leave
  int64_t inner = elements;
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    inner /= shape[axis];
    const Value step = number(g, chosen, inner);
    const Value here = inner == 1 ? rest : g.division(rest, step);
    coordinates.push_back(g.cast(here, dtype));
    if (inner != 1) rest = g.subtraction(rest, g.multiplication(here, step));
  }
  return coordinates;
}

// The coordinates as rows, [rank, count], or as columns, [count, rank].
inline Value rows_of(Graph& g, const SmallVector<Value, 16>& coordinates) {
  SmallVector<Value, 16> rows;
  for (Value line : coordinates) rows.push_back(g.reshape(line, {1, g.elements(line)}));
  return g.concatenation(rows, 0);
}
inline Value columns_of(Graph& g, const SmallVector<Value, 16>& coordinates) {
  SmallVector<Value, 16> columns;
  for (Value line : coordinates) columns.push_back(g.reshape(line, {g.elements(line), 1}));
  return g.concatenation(columns, 1);
}

}  // namespace mps::graphs
