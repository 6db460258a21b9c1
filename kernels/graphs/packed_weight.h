// Weights in 8 or 4 bits, in the orders that Paddle's CUDA kernels read: what weight_quantize makes and
// weight_only_linear multiplies with.
//
// A weight has K rows and n columns of whole numbers. Its bytes lie in one of three orders. Where a kernel only
// multiplies, it is the few rows of activations that are brought into the order of the weights, not the other way
// round.
#pragma once

#include "kernels/graphs/lines.h"

namespace mps::graphs {

enum class WeightOrder {
  kPlain,    // column by column
  kTurned,   // column by column, in runs of 64 of two or four columns in turn, and permuted within 16 or 32 rows
  kPermuted  // row by row, permuted within 4 or 8 columns
};

struct PackedWeight {
  WeightOrder order;
  int bits;
  int64_t rows, columns;

  int64_t columns_together() const { return order != WeightOrder::kTurned ? 1 : bits == 8 ? 2 : 4; }
};

namespace packed {

constexpr int64_t kRun = 64;

// The same numbers, looked at in other axes.
inline Value turned(Graph& g, Value x, Dims shape, Dims permutation) {
  return g.transpose(g.reshape(x, shape), permutation);
}

// [.., rows] in the order of rows -> in that of a turned weight.
inline Value rows_in_order(Graph& g, Value x, int bits, int64_t count, int64_t rows) {
  if (bits == 8) return g.reshape(turned(g, x, {count, rows / 16, 2, 8}, {0, 1, 3, 2}), {count, rows});
  const Value tiles = turned(g, x, {count, rows / 32, 4, 4, 2}, {0, 1, 3, 2, 4});
  return g.reshape(turned(g, tiles, {count, rows / 8, 4, 2}, {0, 1, 3, 2}), {count, rows});
}
inline Value rows_from_order(Graph& g, Value x, int bits, int64_t count, int64_t rows) {
  if (bits == 8) return g.reshape(turned(g, x, {count, rows / 16, 8, 2}, {0, 1, 3, 2}), {count, rows});
  const Value runs = turned(g, x, {count, rows / 8, 2, 4}, {0, 1, 3, 2});
  return g.reshape(turned(g, runs, {count, rows / 32, 4, 4, 2}, {0, 1, 3, 2, 4}), {count, rows});
}

// int32 numbers from 0 to 255 as the bytes that they are.
inline Value bytes_of(Graph& g, Value x) {
  const Value above = g.greater_than(x, number(g, x, 127));
  return g.cast(g.select(above, g.subtraction(x, number(g, x, 256)), x), DType::int8);
}

// Pairs of 4-bit numbers along the last axis, the even one below.
inline Value pairs(Graph& g, Value x) {
  const Value lines = g.reshape(x, {g.elements(x) / 2, 2});
  const Value low = slice_axis(g, lines, 1, 0, 1), high = slice_axis(g, lines, 1, 1, 1);
  return g.addition(low, g.multiplication(high, number(g, high, 16)));
}

inline Value low_half(Graph& g, Value bytes) { return g.bitwise_and(bytes, number(g, bytes, 15)); }
inline Value high_half(Graph& g, Value bytes) { return low_half(g, g.bitwise_right_shift(bytes, number(g, bytes, 4))); }

}  // namespace packed

// Signed whole numbers, int32 [rows, columns], as int8 in the order of the weight.
inline Value pack(Graph& g, Value codes, const PackedWeight& weight) {
  using namespace packed;
  const int64_t rows = weight.rows, columns = weight.columns;
  if (weight.order == WeightOrder::kPlain) return g.cast(g.transpose(codes, {1, 0}), DType::int8);
  const Value unsigned_codes = g.addition(codes, number(g, codes, weight.bits == 8 ? 128 : 8));
  if (weight.order == WeightOrder::kPermuted) {
    if (weight.bits == 8) return bytes_of(g, turned(g, unsigned_codes, {rows * columns / 4, 2, 2}, {0, 2, 1}));
    return bytes_of(g, pairs(g, turned(g, unsigned_codes, {rows * columns / 8, 4, 2}, {0, 2, 1})));
  }
  const Value by_columns = rows_in_order(g, g.transpose(unsigned_codes, {1, 0}), weight.bits, columns, rows);
  const int64_t together = weight.columns_together();
  const Value runs = turned(g, by_columns, {columns / together, together, rows / kRun, kRun}, {0, 2, 1, 3});
  return bytes_of(g, weight.bits == 8 ? runs : pairs(g, runs));
}

// Some columns of a weight, int8 [count, rows], signed. Rows are in the order that in_order_of() brings activations
// into. `first` and `count` are multiples of columns_together().
inline Value codes_of(Graph& g, Value bytes, const PackedWeight& weight, int64_t first, int64_t count) {
  using namespace packed;
  const int64_t rows = weight.rows, columns = weight.columns;
  const auto less = [&](Value x, int64_t middle) { return g.subtraction(x, number(g, x, middle)); };
  // Without the sign bit, and with it turned: from 0 to 255 in a signed byte, 128 less.
  const auto less_128 = [&](Value x) { return g.bitwise_xor(x, number(g, x, -128)); };
  if (weight.order == WeightOrder::kPlain) {
    return slice_axis(g, g.reshape(bytes, {columns, rows}), 0, first, count);
  }
  if (weight.order == WeightOrder::kPermuted) {
    Value all;
    if (weight.bits == 8) {
      all = less_128(g.reshape(turned(g, bytes, {rows * columns / 4, 2, 2}, {0, 2, 1}), {rows, columns}));
    } else {
      const Value flat_bytes = g.reshape(bytes, {rows * columns / 2, 1});
      const Value halves = g.concatenation({low_half(g, flat_bytes), high_half(g, flat_bytes)}, 1);
      all = less(g.reshape(turned(g, halves, {rows * columns / 8, 2, 4}, {0, 2, 1}), {rows, columns}), 8);
    }
    return g.transpose(slice_axis(g, all, 1, first, count), {1, 0});
  }
  const int64_t together = weight.columns_together(), run = kRun * weight.bits / 8;
  const Value blocks = g.reshape(bytes, {columns / together, rows / kRun, together, run});
  const Value some = slice_axis(g, blocks, 0, first / together, count / together);
  const Value lines = g.reshape(g.transpose(some, {0, 2, 1, 3}), {count, rows * weight.bits / 8});
  if (weight.bits == 8) return less_128(lines);
  return less(g.concatenation({low_half(g, lines), high_half(g, lines)}, 1), 8);
}

// [count, rows] in the order of the rows that codes_of() gives, and back.
inline Value in_order_of(Graph& g, Value x, const PackedWeight& weight, int64_t count) {
  if (weight.order != WeightOrder::kTurned) return x;
  const int64_t rows = weight.rows;
  const Value turned = packed::rows_in_order(g, x, weight.bits, count, rows);
  if (weight.bits == 8) return turned;
  return g.reshape(packed::turned(g, turned, {count, rows / 2, 2}, {0, 2, 1}), {count, rows});
}
inline Value from_order_of(Graph& g, Value x, const PackedWeight& weight, int64_t count) {
  if (weight.order != WeightOrder::kTurned) return x;
  const int64_t rows = weight.rows;
  const Value turned =
      weight.bits == 8 ? x : g.reshape(packed::turned(g, x, {count, 2, rows / 2}, {0, 2, 1}), {count, rows});
  return packed::rows_from_order(g, turned, weight.bits, count, rows);
}

// Multiplies float32 numbers in that order, [count, rows], by scales [groups, count], one for each group of rows.
inline Value by_group(Graph& g, Value x, Value scales, const PackedWeight& weight, int64_t count) {
  const int64_t groups = g.shape(scales)[0];
  if (groups == 1) return g.multiplication(x, g.reshape(scales, {count, 1}));
  const int64_t halves = weight.order == WeightOrder::kTurned && weight.bits == 4 ? 2 : 1;
  const Value parts = g.reshape(x, {count, halves, groups, weight.rows / groups / halves});
  const Value factors = g.reshape(g.transpose(scales, {1, 0}), {count, 1, groups, 1});
  return g.reshape(g.multiplication(parts, factors), {count, weight.rows});
}

}  // namespace mps::graphs
