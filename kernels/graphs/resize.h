// Resizing along one axis: each element of the result is a weighted sum of a few elements of the operand.
#pragma once

#include "kernels/graphs/lines.h"

namespace mps::graphs {

enum class Interpolation { kNearest, kLinear, kCubic };

// Where the elements of the result lie in the operand: position p at p * ratio, or with pixels that are areas at
// (p + 1/2) * ratio - 1/2.
struct Resizing {
  Interpolation interpolation = Interpolation::kLinear;
  bool align_corners = false;
  bool areas = false;
  bool antialias = false;
  int64_t from = 1, to = 1;  // lengths
  float ratio = 1;
};

// One element of the sum: its index, int32 [to], and its weight, float32 [to]. Without a weight it is the only one.
struct Tap {
  Value index{}, weight{};
  bool weighted = false;
};
using Taps = SmallVector<Tap, 4>;

inline Value add_number(Graph& g, Value x, double y) { return g.addition(x, number(g, x, y)); }
inline Value times_number(Graph& g, Value x, double y) { return g.multiplication(x, number(g, x, y)); }

inline Value clamped(Graph& g, Value x, double low, double high) {
  return g.minimum(g.maximum(x, number(g, x, low)), number(g, x, high));
}

// Keys' cubic convolution with a = -3/4: for a distance of up to 1, and of up to 2.
inline Value cubic_near(Graph& g, Value x) {
  const Value inner = add_number(g, times_number(g, x, 1.25), -2.25);
  return add_number(g, g.multiplication(g.multiplication(inner, x), x), 1);
}
inline Value cubic_far(Graph& g, Value x) {
  const Value inner = add_number(g, g.multiplication(add_number(g, times_number(g, x, -0.75), 3.75), x), -6);
  return add_number(g, g.multiplication(inner, x), 3);
}

inline Taps taps_of(Graph& g, const Resizing& r) {
  const Value p = g.cast(g.coordinate({r.to}, 0), DType::float32);
  const double last = static_cast<double>(r.from - 1);
  const auto index = [&](Value at) { return g.cast(clamped(g, at, 0, last), DType::int32); };
  if (r.interpolation == Interpolation::kNearest) {
    const Value at = times_number(g, p, r.ratio);
    return {{index(g.floor(r.align_corners ? add_number(g, at, 0.5) : at)), {}, false}};
  }
  Value at =
      r.areas ? add_number(g, times_number(g, add_number(g, p, 0.5), r.ratio), -0.5) : times_number(g, p, r.ratio);
  if (r.interpolation == Interpolation::kLinear) {
    at = g.maximum(at, number(g, at, 0));
    const Value lower = g.floor(at), part = g.subtraction(at, lower);
    return {{index(lower), g.subtraction(number(g, part, 1), part), true},
            {index(add_number(g, lower, 1)), part, true}};
  }
  const Value lower = g.floor(at), part = g.subtraction(at, lower), rest = g.subtraction(number(g, part, 1), part);
  return {{index(add_number(g, lower, -1)), cubic_far(g, add_number(g, part, 1)), true},
          {index(lower), cubic_near(g, part), true},
          {index(add_number(g, lower, 1)), cubic_near(g, rest), true},
          {index(add_number(g, lower, 2)), cubic_far(g, add_number(g, rest, 1)), true}};
}

// `x` times a weight for each element along `axis`.
inline Value weighted(Graph& g, Value x, size_t axis, const Tap& tap) {
  if (!tap.weighted) return x;
  Shape shape;
  shape.resize(g.shape(x).size(), 1);
  shape[axis] = g.elements(tap.weight);
  return g.multiplication(x, g.reshape(tap.weight, shape));
}

// -- antialiased: each result is a mean of all elements under a filter, which a smaller image makes as much wider.

// [to, from]: the share of each element in each result.
inline Value smoothing(Graph& g, const Resizing& resizing) {
  const auto real = [&](double value) { return g.constant(value, DType::float32); };
  const Shape row{resizing.to, 1}, column{1, resizing.from};
  const auto middle = [&](Dims shape, int axis) {
    return g.addition(g.cast(g.coordinate(shape, axis), DType::float32), real(0.5));
  };
  const auto ratio = static_cast<double>(resizing.ratio);
  const Value distance = g.subtraction(middle(column, 1), g.multiplication(middle(row, 0), real(ratio)));
  const Value t = g.absolute(ratio > 1 ? g.division(distance, real(ratio)) : distance);
  Value weight;
  if (resizing.interpolation == Interpolation::kCubic) {
    // Keys, "Cubic convolution interpolation for digital image processing", 1981, with a = -1/2; the outer piece by its
    // roots, where its sum would cancel.
    const Value square = g.square(t), to_end = g.subtraction(t, real(2));
    const Value far = g.multiplication(g.multiplication(g.subtraction(t, real(1)), real(-0.5)), g.square(to_end));
    const Value near =
        g.addition(g.multiplication(g.subtraction(g.multiplication(t, real(1.5)), real(2.5)), square), real(1));
    weight = g.select(g.less_than(t, real(1)), near, g.select(g.less_than(t, real(2)), far, real(0)));
  } else {
    weight = g.maximum(g.subtraction(real(1), t), real(0));
  }
  return g.division(weight, g.reduction_sum(weight, {1}));
}

inline Value times_along(Graph& g, Value matrix, Value x, size_t axis) {
  const Shape shape(g.shape(x));
  const int64_t rows = g.shape(matrix)[0];
  const Value lines = g.reshape(x, around(shape, axis));
  return g.reshape(g.matrix_multiplication(g.reshape(matrix, {1, rows, shape[axis]}), lines),
                   with_axis(shape, axis, rows));
}

// -- along an axis

inline Value resize_axis(Graph& g, Value x, size_t axis, const Resizing& resizing) {
  if (resizing.antialias) return times_along(g, smoothing(g, resizing), x, axis);
  Value sum{};
  bool first = true;
  for (const Tap& tap : taps_of(g, resizing)) {
    const Value part = weighted(g, take(g, x, axis, tap.index), axis, tap);
    sum = first ? part : g.addition(sum, part);
    first = false;
  }
  return sum;
}

// The gradient of the operand for one of the result.
inline Value resize_axis_gradient(Graph& g, Value dout, size_t axis, const Resizing& resizing) {
  if (resizing.antialias) return times_along(g, g.transpose(smoothing(g, resizing), {1, 0}), dout, axis);
  Value sum = zeros(g, g.dtype(dout), with_axis(g.shape(dout), axis, resizing.from));
  for (const Tap& tap : taps_of(g, resizing)) {
    sum = put(g, ScatterMode::kAdd, sum, axis, tap.index, weighted(g, dout, axis, tap));
  }
  return sum;
}

}  // namespace mps::graphs
