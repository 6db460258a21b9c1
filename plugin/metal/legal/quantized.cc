#include "plugin/metal/legal/quantized.h"

#include <algorithm>
#include <vector>

#include "plugin/metal/legal/matmul.h"
#include "plugin/metal/legal/numbers.h"
#include "plugin/metal/legal/order.h"
#include "plugin/metal/legal/positions.h"
#include "plugin/metal/legal/shapes.h"

namespace mps::legal {
namespace {

// The least absmax that is divided by (graph.h).
constexpr double kLeastAbsmax = 1e-38f;
// So many products of int8 add up to no more than 2^24, which float32 holds exactly.
constexpr int64_t kExactColumns = 1024;

Value multiply(Builder& b, Value x, Value y) { return pointwise(b, NodeKind::multiplication, {x, y}); }
Value plus(Builder& b, Value x, Value y) { return pointwise(b, NodeKind::addition, {x, y}); }
Value minus(Builder& b, Value x, Value y) { return pointwise(b, NodeKind::subtraction, {x, y}); }
Value times(Builder& b, Value x, int64_t factor) { return multiply(b, x, b.like(x, factor)); }
Value divided(Builder& b, Value x, int64_t divisor) {
  return pointwise(b, NodeKind::division, {x, b.like(x, divisor)});
}
Value remainder(Builder& b, Value x, int64_t divisor) { return minus(b, x, times(b, divided(b, x, divisor), divisor)); }

// One number per block, for each of `count` elements.
Value repeated(Builder& b, Value blocks, int64_t blocksize, int64_t count) {
  const int64_t number = b.graph().elements(blocks);
  blocksize = std::min(blocksize, count);  // a block may be far longer than what is in it
  const Value wide = broadcast(b, b.reshape(blocks, {number, 1}), {number, blocksize});
  return b.slice(b.reshape(wide, {number * blocksize}), 0, 0, count);
}

// A table of numbers, followed at int32 places in it.
Value look_up(Builder& b, Value table, Value places) {
  const int64_t count = b.graph().elements(places);
  const Value data = b.reshape(table, {1, b.graph().elements(table), 1});
  return b.reshape(gather_inside(b, b.reshape(places, {count}), data), {count});
}

// int32 [count], of bytes.
Value places_of(Builder& b, Value codes, int64_t entries, int64_t count) {
  const Value bytes = convert(b, codes, DType::int32);
  if (entries == 256) return b.reshape(bytes, {count});
  const int64_t number = b.graph().elements(bytes);
  const Value column = b.reshape(bytes, {number, 1});
  const Value halves = b.concatenation({divided(b, column, 16), remainder(b, column, 16)}, 1);
  return b.slice(b.reshape(halves, {2 * number}), 0, 0, count);
}

// float32 [count]
Value dequantized(Builder& b, Value codes, Value absmax, Value book, int64_t blocksize, int64_t count) {
  const Value numbers = look_up(b, book, places_of(b, codes, b.graph().elements(book), count));
  return multiply(b, numbers, repeated(b, absmax, blocksize, count));
}

// Of int32 matrices whose numbers are those of int8: [M, K] and [N, K] give [M, N].
Value exact_product(Builder& b, Value x, Value y) {
  const int64_t inner = b.shape(x)[1];
  const auto part_of = [&](Value value, int64_t start, int64_t size) {
    return convert(b, b.slice(value, 1, start, size), DType::float32);
  };
  Value sum{};
  for (int64_t start = 0; start < inner; start += kExactColumns) {
    const int64_t size = std::min(kExactColumns, inner - start);
    const Value columns = transpose(b, part_of(y, start, size), {1, 0});
    const Value part = convert(b, matrix_multiplication(b, part_of(x, start, size), columns), DType::int32);
    sum = start == 0 ? part : plus(b, sum, part);
  }
  return sum;
}

}  // namespace

Value quantize_blockwise(Builder& b, Value x, Value absmax, Value points, Value codes, int64_t blocksize) {
  const int64_t count = b.graph().elements(x), entries = b.graph().elements(codes);
  const Value divisor = pointwise(b, NodeKind::maximum, {absmax, b.like(absmax, kLeastAbsmax)});
  const Value scale = pointwise(b, NodeKind::division, {b.like(absmax, 1), divisor});
  Value scaled = multiply(b, convert(b, x, DType::float32), repeated(b, scale, blocksize, count));
  const int64_t filled = entries == 16 ? (count + 1) / 2 * 2 : count;
  if (filled != count) scaled = b.concatenation({scaled, b.constant(0, DType::float32, {1})}, 0);
  const Value below =
      search_sorted(b, b.reshape(points, {1, entries - 1}), b.reshape(scaled, {1, filled}), /*right=*/false);
  Value found = look_up(b, convert(b, codes, DType::int32), below);
  if (entries == 16) {
    const Value pairs = b.reshape(found, {filled / 2, 2});
    found = plus(b, times(b, b.slice(pairs, 1, 0, 1), 16), b.slice(pairs, 1, 1, 1));
  }
  return b.reshape(convert(b, found, DType::uint8), {entries == 16 ? filled / 2 : count});
}

Value dequantize_blockwise(Builder& b, Value codes, Value absmax, Value book, int64_t blocksize, DType to, Dims shape) {
  const Shape target(shape);
  return b.reshape(convert(b, dequantized(b, codes, absmax, book, blocksize, element_count(target)), to), target);
}

Value dequantize(Builder& b, Value x, Value scale, size_t axis) {
  const Shape shape = b.shape(x), lines = around(shape, axis);
  const Value dense = b.reshape(x, lines);
  if (b.target().macos >= kDequantize) return b.reshape(b.graph().dequantize(dense, scale, 1), shape);
  const Value factors = broadcast(b, b.reshape(scale, {1, lines[1], 1}), lines);
  return b.reshape(multiply(b, convert(b, dense, DType::float32), factors), shape);
}

Value quantized_matrix_multiplication(Builder& b, Value x, const Graph::QuantizedMatrix& matrix, bool transposed) {
  const int64_t count = matrix.rows * matrix.columns;
  const Value flat = dequantized(b, matrix.codes, matrix.absmax, matrix.book, matrix.blocksize, count);
  const Value w = b.reshape(flat, {matrix.rows, matrix.columns});
  const Value wide = convert(b, x, DType::float32);
  const Value product = matrix_multiplication(b, wide, transposed ? transpose(b, w, {1, 0}) : w);
  return convert(b, product, b.dtype(x));
}

Value int8_matrix_multiplication(Builder& b, Value x, Value y) {
  return exact_product(b, convert(b, x, DType::int32), convert(b, y, DType::int32));
}

Value ternary_matrix_multiplication(Builder& b, Value x, Value packed, int64_t rows) {
  const Value bytes = convert(b, packed, DType::int32);
  std::vector<Value> quarters;
  for (int64_t divisor = 1; divisor <= 64; divisor *= 4) {
    quarters.push_back(remainder(b, divided(b, bytes, divisor), 4));
  }
  const Value codes = b.slice(b.concatenation(quarters, 0), 0, 0, rows);
  return exact_product(b, convert(b, x, DType::int32), minus(b, codes, b.like(codes, 1)));
}

}  // namespace mps::legal
