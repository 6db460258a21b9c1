// Axes, and what is picked or written along them by position.
#pragma once

#include <climits>

#include "kernels/graphs/broadcast.h"
#include "plugin/core/graph.h"

namespace mps::graphs {

// Axes that may count from the end; none means all. Of a 0-D tensor every axis is none.
template <typename Axes>
Ints axes_of(const Axes& given, size_t rank, bool reduce_all = false) {
  Ints axes;
  if (reduce_all || given.empty()) {
    for (size_t i = 0; i < rank; ++i) axes.push_back(static_cast<int64_t>(i));
    return axes;
  }
  for (auto axis : given) {
    if (rank != 0) axes.push_back(normalize_axis(axis, rank));
  }
  return axes;
}

inline int64_t product_of(Dims shape, size_t from, size_t to) {
  int64_t count = 1;
  for (size_t i = from; i < to; ++i) count *= shape[i];
  return count;
}

// [before the axis, the axis, behind it]: what gather and scatter take.
inline Shape around(Dims shape, size_t axis) {
  return {product_of(shape, 0, axis), shape[axis], product_of(shape, axis + 1, shape.size())};
}

inline Shape with_axis(Dims shape, size_t axis, int64_t size) {
  Shape changed(shape);
  changed[axis] = size;
  return changed;
}

// `count` elements along `axis` from `start` on.
inline Value slice_axis(Graph& g, Value x, size_t axis, int64_t start, int64_t count, int64_t step = 1) {
  Ints starts, ends(g.shape(x)), steps;
  starts.resize(ends.size(), 0);
  steps.resize(ends.size(), 1);
  starts[axis] = start;
  ends[axis] = count == 0 ? start : start + (count - 1) * step + 1;
  steps[axis] = step;
  return g.slice(x, starts, ends, steps);
}

// `x` backwards along the axes.
inline Value reverse(Graph& g, Value x, Dims axes) {
  const Shape shape(g.shape(x));
  if (element_count(shape) == 0) return x;
  Ints strides = contiguous_strides(shape);
  int64_t offset = 0;
  for (int64_t axis : axes) {
    int64_t& stride = strides[static_cast<size_t>(axis)];
    offset += (shape[static_cast<size_t>(axis)] - 1) * stride;
    stride = -stride;
  }
  return g.strided_view(g.reshape(x, {element_count(shape)}), shape, strides, offset);
}

inline Value flat(Graph& g, Value x) { return g.reshape(x, {g.elements(x)}); }

// A constant like `x` in dtype and broadcast with it.
inline Value number(Graph& g, Value x, Scalar value) { return g.constant(value, g.dtype(x)); }

// Element `at` of the last axis, which stays with size 1.
inline Value part(Graph& g, Value x, int64_t at) { return slice_axis(g, x, g.shape(x).size() - 1, at, 1); }

// The number of what is `inner` in the `outer`th of groups of `size`.
inline Value within(Graph& g, Value outer, int64_t size, Value inner) {
  return g.addition(g.multiplication(outer, number(g, outer, size)), inner);
}

// Python's positions: those below 0 count from the end of `size`.
inline Value from_the_end(Graph& g, Value index, int64_t size) {
  const Value below = g.less_than(index, number(g, index, 0));
  return g.select(below, g.addition(index, number(g, index, size)), index);
}

// Rows `index` (of any shape, taken flat) of `x` along `axis`: [.., index elements, ..].
inline Value take(Graph& g, Value x, size_t axis, Value index) {
  const Shape shape(g.shape(x));
  const Value rows = g.gather(flat(g, index), g.reshape(x, around(shape, axis)));
  return g.reshape(rows, with_axis(shape, axis, g.elements(index)));
}

// `updates`, [.., index elements, ..], combined into the rows `index` of `x` along `axis`.
inline Value put(Graph& g, ScatterMode mode, Value x, size_t axis, Value index, Value updates) {
  const Shape shape(g.shape(x));
  const Shape rows = around(shape, axis);
  const Value changed =
      g.scatter(mode, g.reshape(x, rows), flat(g, index), g.reshape(updates, {rows[0], g.elements(index), rows[2]}));
  return g.reshape(changed, shape);
}

// The dtype that holds positions in `count` elements.
inline DType position_dtype(int64_t count) { return count <= INT_MAX ? DType::int32 : DType::int64; }

// Where element `index[i, j ..]` along `axis` of line [i, j ..] lies in dense data of this shape. `index` has as many
// axes as the data, and is no longer along the others.
inline Value positions_along(Graph& g, Value index, size_t axis, Dims data) {
  const Shape shape(g.shape(index)), from(data);
  const Ints strides = contiguous_strides(from);
  const DType dtype = position_dtype(element_count(from));
  const auto times = [&](Value x, int64_t stride) {
    return stride == 1 ? x : g.multiplication(x, number(g, x, stride));
  };
  Value at = times(g.cast(index, dtype), strides[axis]);
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i == axis || shape[i] == 1) continue;
    Shape line;
    line.resize(shape.size(), 1);
    line[i] = shape[i];
    at = g.addition(at, times(g.cast(g.coordinate(line, static_cast<int>(i)), dtype), strides[i]));
  }
  return at;
}

// Elements of `x` at positions in it, in the shape of `at`.
inline Value take_at(Graph& g, Value x, Value at) {
  const Value found = g.gather(flat(g, at), g.reshape(x, {1, g.elements(x), 1}));
  return g.reshape(found, Shape(g.shape(at)));
}

// `updates`, of the shape of `at`, combined into the elements of `x` at these positions.
inline Value put_at(Graph& g, ScatterMode mode, Value x, Value at, Value updates) {
  const Shape shape(g.shape(x));
  const Value changed = g.scatter(mode, g.reshape(x, {1, g.elements(x), 1}), flat(g, at),
                                  g.reshape(updates, {1, g.elements(updates), 1}));
  return g.reshape(changed, shape);
}

inline Value zeros(Graph& g, DType dtype, Dims shape) { return g.constant(int64_t{0}, dtype, shape); }

}  // namespace mps::graphs
