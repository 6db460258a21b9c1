// What numbers of few bits need around their nodes: the largest number of every block, a nested absmax, rows of int8.
#pragma once

#include <limits>

#include "plugin/core/graph.h"

namespace mps::graphs {

// float32 [blocks]: the greatest absolute value of every `blocksize` elements of the flat `x`.
inline Value block_absmax(Graph& g, Value x, int64_t blocksize) {
  const int64_t count = g.elements(x), whole = count / blocksize;
  const auto greatest = [&](int64_t begin, int64_t blocks, int64_t size) {
    const Value part = g.reshape(g.slice(x, {begin}, {begin + blocks * size}, {1}), {blocks, size});
    const Value found = g.reduction(NodeKind::reduction_maximum, g.cast(g.absolute(part), DType::float32), {1});
    return g.reshape(found, {blocks});
  };
  const int64_t rest = count - whole * blocksize;
  if (rest == 0) return greatest(0, whole, blocksize);
  if (whole == 0) return greatest(0, 1, rest);
  return g.concatenation({greatest(0, whole, blocksize), greatest(whole * blocksize, 1, rest)}, 0);
}

// A matrix of int8 and what it was divided by: q = rint(x * 127 / stats).
struct Int8 {
  Value numbers{}, stats{}, outliers{};
};

// float32 [..], 127 / stats, and 0 where those are 0.
inline Value int8_scale(Graph& g, Value stats) {
  const Value zero = g.constant(0, DType::float32), full = g.constant(127, DType::float32);
  return g.select(g.equal(stats, zero), zero, g.division(full, stats));
}

inline constexpr double kMostFloat32 = std::numeric_limits<float>::max();

// x [M, K]; stats are the greatest absolute values along `axis`, [M, 1] or [1, K]. From `threshold` on (0: none) a
// number is an outlier: it does not count, and its column is marked in outliers [1, K]. By rows all of that column
// becomes 0. By columns only the outlier does, and products with 127 are rounded to x's dtype before they are divided
// (unless it is too short for them), as bitsandbytes does both.
inline Int8 quantize_int8(Graph& g, Value x, int64_t axis, float threshold) {
  const bool by_rows = axis == 1;
  const auto number = [&](double value) { return g.constant(value, DType::float32); };
  Value wide = g.cast(x, DType::float32), size = g.absolute(wide);
  Int8 result;
  if (threshold > 0) {
    const Value is_outlier = g.greater_than_or_equal_to(size, number(static_cast<double>(threshold)));
    size = g.select(is_outlier, number(0), size);
    if (!by_rows) wide = g.select(is_outlier, number(0), wide);
    result.outliers = g.reduction(NodeKind::reduction_maximum, g.cast(is_outlier, DType::int32), {0});
  }
  result.stats = g.reduction(NodeKind::reduction_maximum, size, {axis});
  Value numbers{};
  if (by_rows) {
    numbers = g.rint(g.multiplication(wide, int8_scale(g, result.stats)));
    if (threshold > 0) {
      numbers = g.select(g.not_equal(result.outliers, g.constant(0, DType::int32)), number(0), numbers);
    }
  } else {
    const Value product = g.multiplication(wide, number(127));
    const Value rounded = g.cast(g.cast(product, g.dtype(x)), DType::float32);
    const Value full = g.select(g.less_than(g.absolute(rounded), number(kMostFloat32)), rounded, product);
    numbers = g.rint(g.select(g.equal(result.stats, number(0)), number(0), g.division(full, result.stats)));
  }
  result.numbers = g.cast(numbers, DType::int8);
  return result;
}

// What sums [M, N] of products of int8 stand for, with row stats [M, 1] and column stats [1, N]: float32.
inline Value dequantize_product(Graph& g, Value sums, Value rows, Value columns) {
  const Value scaled = g.multiplication(g.multiplication(g.cast(sums, DType::float32), rows), columns);
  return g.multiplication(scaled, g.constant(1.0 / (127.0 * 127.0), DType::float32));
}

}  // namespace mps::graphs
