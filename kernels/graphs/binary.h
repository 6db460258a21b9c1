// What ops of two tensors and their gradients are made of.
#pragma once

#include "kernels/graphs/activation.h"
#include "kernels/graphs/function.h"
#include "plugin/core/graph.h"

namespace mps::graphs {

inline bool is_bool(const Graph& g, Value x) { return g.dtype(x) == DType::bool_; }

// Of a maximum or minimum: all of dout to who wins, half of it to both if they are equal.
inline Value winner_gradient(Graph& g, Value wins, Value is_equal, Value dout) {
  const Value half = g.division(dout, like(g, dout, 2));
  return g.addition(g.multiplication(dout, mask(g, wins, dout)), g.multiplication(half, mask(g, is_equal, dout)));
}

// x where y is NaN, y where x is, else the winner.
inline Value without_nan(Graph& g, Value x, Value y, Value x_wins) {
  const Value winner = g.select(x_wins, x, y);  // y if x is NaN, since nothing is more or less than that
  return is_float(g.dtype(x)) ? g.select(is_nan(g, y), x, winner) : winner;
}
inline Value wins_over(Graph& g, Value x, Value y, Value wins) {
  return is_float(g.dtype(x)) ? g.addition(wins, is_nan(g, y)) : wins;
}

// Whether the signs of two numbers differ, and the first is not 0.
inline Value turns(Graph& g, Value rest, Value y) {
  return g.multiplication(is_true(g, rest), g.not_equal(is_negative(g, rest), is_negative(g, y)));
}

// Python's %: the sign is that of y.
inline Value remainder(Graph& g, Value x, Value y) {
  const Value rest = g.modulo(x, y);
  return g.select(turns(g, rest, y), g.addition(rest, y), rest);
}

// Python's //, by way of the exact remainder: floor(x / y) could be one too high.
inline Value floor_divide(Graph& g, Value x, Value y) {
  const Value rest = g.modulo(x, y), one = like(g, y, 1);
  if (!is_float(g.dtype(x))) {
    const Value quotient = g.division(x, y);
    return g.select(turns(g, rest, y), g.subtraction(quotient, one), quotient);
  }
  const Value plain = g.division(x, y);
  const Value exact = g.division(g.subtraction(x, rest), y);
  const Value down = g.select(turns(g, rest, y), g.subtraction(exact, one), exact);
  const Value floor = g.floor(down);
  const Value is_above = g.greater_than(g.subtraction(down, floor), like(g, y, 0.5));
  const Value whole = g.select(is_above, g.addition(floor, one), floor);
  const Value zero = g.multiplication(plain, like(g, y, 0));  // with the sign of the quotient
  const Value result = g.select(g.equal(down, like(g, y, 0)), zero, whole);
  return g.select(g.equal(y, like(g, y, 0)), plain, result);
}

// d/dy x^y = log(x) x^y, which is 0 for x = 0 and y >= 0.
inline Value pow_gradient_of_exponent(Graph& g, Value x, Value y, Value dout) {
  const Value zero = like(g, x, 0);
  const Value flat = g.multiplication(g.equal(x, zero), g.greater_than_or_equal_to(y, zero));
  return g.select(flat, zero, g.multiplication(dout, g.multiplication(g.logarithm(x), g.power(x, y))));
}

// |x| with the sign of y, of -0 too.
inline Value with_sign_of(Graph& g, Value x, Value y) {
  const Value magnitude = g.absolute(x), zero = like(g, y, 0);
  const Value negative_zero = g.multiplication(g.equal(y, zero), is_negative(g, g.reciprocal(y)));
  return g.select(g.addition(is_negative(g, y), negative_zero), g.negative(magnitude), magnitude);
}

// Paddle takes two float32 for equal if they are nearer than that; other dtypes must be the same.
inline constexpr double kEqualBelow = 1e-15;
inline Value are_equal(Graph& g, Value x, Value y, DType dtype) {
  const Value same = g.equal(x, y);
  if (dtype != DType::float32) return same;
  return g.addition(same, g.less_than(g.absolute(g.subtraction(x, y)), like(g, x, kEqualBelow)));
}

inline Value are_not_equal(Graph& g, Value x, Value y, DType dtype) {
  return dtype == DType::float32 ? g.logical_not(are_equal(g, x, y, dtype)) : g.not_equal(x, y);
}

// Whether |x - y| <= atol + rtol |y|, which is truncated for integers. NaN is close to NaN if `equal_nan`.
inline Value is_close(Graph& g, Value x, Value y, Value rtol, Value atol, bool equal_nan) {
  const Value size = g.cast(g.absolute(y), g.dtype(rtol));
  const Value allowed = g.cast(g.addition(atol, g.multiplication(rtol, size)), g.dtype(x));
  const Value distance = g.absolute(g.subtraction(x, y));
  Value close = g.addition(g.equal(x, y), g.less_than_or_equal_to(distance, allowed));
  if (is_float(g.dtype(x))) {
    const Value beyond = g.absolute(g.subtraction(distance, allowed));
    close = g.addition(close, g.less_than_or_equal_to(beyond, like(g, x, kEqualBelow)));
  }
  if (!equal_nan) return close;
  return g.addition(close, g.multiplication(is_nan(g, x), is_nan(g, y)));
}

// Whether all of a bool tensor are true, as one element.
inline Value all(Graph& g, Value x) {
  Ints axes;
  for (size_t i = 0; i < g.shape(x).size(); ++i) axes.push_back(static_cast<int64_t>(i));
  const Value wrong = g.cast(g.logical_not(x), DType::int32);
  const Value count = axes.empty() ? wrong : g.reduction_sum(wrong, axes);
  return g.equal(g.reshape(count, {}), g.constant(0, DType::int32));
}

}  // namespace mps::graphs
