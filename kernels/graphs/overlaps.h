// How much boxes x0, y0, x1, y1 overlap, as Paddle's detectors measure it.
#pragma once

#include "kernels/graphs/lines.h"

namespace mps::graphs {

// Each of boxes `rows`, [B, R, 4 or more], with each of `columns`, [B, C, 4 or more]: what two share, over what they
// cover together: [B, R, C]. 0 if they are apart, and NaN for two points in one place. Boxes that are not normalized
// are of pixels, and hold their last one too.
inline Value overlaps(Graph& g, Value rows, Value columns, bool normalized) {
  const auto edge = [&](Value boxes, int64_t at, bool of_rows) {
    const Shape shape(g.shape(boxes));
    const Value line = slice_axis(g, boxes, 2, at, 1);
    return g.reshape(line, of_rows ? Shape{shape[0], shape[1], 1} : Shape{shape[0], 1, shape[1]});
  };
  const auto length = [&](Value low, Value high) {
    const Value difference = g.subtraction(high, low);
    return normalized ? difference : g.addition(difference, number(g, difference, 1));
  };
  const auto area = [&](Value boxes, bool of_rows) {
    Value product{}, reversed{};
    for (int64_t axis = 0; axis < 2; ++axis) {
      const Value low = edge(boxes, axis, of_rows), high = edge(boxes, axis + 2, of_rows);
      const Value size = length(low, high), below = g.less_than(high, low);
      product = axis == 0 ? size : g.multiplication(product, size);
      reversed = axis == 0 ? below : g.addition(reversed, below);
    }
    return g.select(reversed, number(g, product, 0), product);
  };
  Value both{}, apart{};
  for (int64_t axis = 0; axis < 2; ++axis) {
    const Value row_low = edge(rows, axis, true), row_high = edge(rows, axis + 2, true);
    const Value column_low = edge(columns, axis, false), column_high = edge(columns, axis + 2, false);
    const Value separate = g.addition(g.greater_than(column_low, row_high), g.less_than(column_high, row_low));
    const Value shared = length(g.maximum(row_low, column_low), g.minimum(row_high, column_high));
    both = axis == 0 ? shared : g.multiplication(both, shared);
    apart = axis == 0 ? separate : g.addition(apart, separate);
  }
  const Value either = g.subtraction(g.addition(area(rows, true), area(columns, false)), both);
  return g.select(apart, number(g, both, 0), g.division(both, either));
}

// Whether the box of a column comes before that of a row: bool [1, count, count].
inline Value comes_before(Graph& g, int64_t count) {
  return g.less_than(g.coordinate({1, 1, count}, 2), g.coordinate({1, count, 1}, 1));
}

}  // namespace mps::graphs
