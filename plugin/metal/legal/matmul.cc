#include "plugin/metal/legal/matmul.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "plugin/metal/legal/lines.h"
#include "plugin/metal/legal/numbers.h"
#include "plugin/metal/legal/shapes.h"
#include "plugin/metal/legal/workarounds.h"

namespace mps::legal {
namespace {

size_t rank(Builder& b, Value x) { return b.graph().shape(x).size(); }
int64_t size(Builder& b, Value x, size_t from_end) { return b.shape(x)[rank(b, x) - from_end]; }

// float32 matrices of one rank, 2 or 3.
Value product(Builder& b, Value x, Value y) { return b.graph().matrix_multiplication(x, y); }

// Joins what `f` makes of pieces of `length` of at most `most` each, by concatenation along `axis`.
template <typename F>
Value in_pieces(Builder& b, int64_t length, int64_t most, size_t axis, F f) {
  std::vector<Value> parts;
  for (int64_t start = 0; start < length; start += most) parts.push_back(f(start, std::min(most, length - start)));
  return b.concatenation(parts, axis);
}

Value with_few_rows_and_columns(Builder& b, Value x, Value y) {
  constexpr int64_t kMost = kMatmulColumnsLimit;
  const size_t row = rank(b, x) - 2, column = row + 1;
  if (!applies(Workaround::matmul_columns, b.target())) return product(b, x, y);
  return in_pieces(b, size(b, x, 2), kMost, row, [&](int64_t first_row, int64_t rows) {
    const Value part = b.slice(x, row, first_row, rows);
    return in_pieces(b, size(b, y, 1), kMost, column, [&](int64_t first, int64_t columns) {
      return product(b, part, b.slice(y, column, first, columns));
    });
  });
}

Value with_short_inner_axis(Builder& b, Value x, Value y) {
  const size_t row = rank(b, x) - 2, column = row + 1;
  const int64_t inner = size(b, x, 1);
  if (inner <= kMatmulInnerLimit) return with_few_rows_and_columns(b, x, y);
  Value sum{};
  for (int64_t start = 0; start < inner; start += kMatmulInnerPiece) {
    const int64_t length = std::min(kMatmulInnerPiece, inner - start);
    const Value part = with_few_rows_and_columns(b, b.slice(x, column, start, length), b.slice(y, row, start, length));
    sum = start == 0 ? part : b.record(NodeKind::addition, {sum, part});
  }
  return sum;
}

// Any float32 matrices, with batches of any rank that broadcast.
Value multiply(Builder& b, Value x, Value y) {
  const Shape xs = b.shape(x), ys = b.shape(y);
  const int64_t m = xs[xs.size() - 2], k = xs.back(), n = ys.back();
  const Dims x_batch(xs.data(), xs.size() - 2), y_batch(ys.data(), ys.size() - 2);
  Shape result = broadcast_shapes(x_batch, y_batch);
  const int64_t count = element_count(result);
  const auto whole = [&](Value value, Dims batch, int64_t rows, int64_t columns) {
    if (element_count(batch) != count) {
      Shape target = broadcast_shapes(x_batch, y_batch);
      target.push_back(rows);
      target.push_back(columns);
      value = broadcast(b, value, target);
    }
    return b.reshape(value, {count, rows, columns});
  };
  result.push_back(m);
  result.push_back(n);
  if (element_count(y_batch) == 1 && element_count(x_batch) == count) {
    return b.reshape(with_short_inner_axis(b, b.reshape(x, {count * m, k}), b.reshape(y, {k, n})), result);
  }
  return b.reshape(with_short_inner_axis(b, whole(x, x_batch, m, k), whole(y, y_batch, k, n)), result);
}

// Matrices of integers of `bits` bits, modulo 2^bits.
//
// x = sum of x[i] * 256^i with digits below 256 in size. A product of digits is below 2^16, so a sum of 256 of them is
// at most 2^24 and exact in float32. The inner axis is cut into pieces of that length, which become a batch; their
// products are added up as integers. Digits beyond the bits of the result are not needed.
constexpr int64_t kDigitBase = 256, kDigitTerms = 256;

std::vector<Value> digits(Builder& b, Value x, int count) {
  const Shape shape = b.shape(x);
  x = b.reshape(x, {element_count(shape)});
  std::vector<Value> found;
  const Value base = b.like(x, kDigitBase);
  for (int i = 0; i + 1 < count; ++i) {
    const Value rest = b.record(NodeKind::division, {x, base});  // truncates: the digit has the sign of x
    found.push_back(b.record(NodeKind::subtraction, {x, b.record(NodeKind::multiplication, {rest, base})}));
    x = rest;
  }
  found.push_back(x);
  for (Value& digit : found) digit = b.reshape(b.cast(digit, DType::float32), shape);
  return found;
}

// [..., m, k] -> [..., pieces, m, terms], or [..., k, n] -> [..., pieces, terms, n]; filled up with zeros.
Value in_inner_pieces(Builder& b, Value x, bool inner_is_last) {
  Shape shape = b.shape(x);
  const size_t axis = shape.size() - (inner_is_last ? 1 : 2);
  const int64_t inner = shape[axis], terms = std::min(inner, kDigitTerms), pieces = (inner + terms - 1) / terms;
  if (pieces * terms != inner) {
    Shape missing = shape;
    missing[axis] = pieces * terms - inner;
    x = concatenation(b, {x, b.constant(0, b.dtype(x), missing)}, axis);
  }
  Shape cut(shape);
  cut[axis] = pieces;
  cut.push_back(1);
  for (size_t i = cut.size() - 1; i > axis + 1; --i) cut[i] = cut[i - 1];
  cut[axis + 1] = terms;
  x = b.reshape(x, cut);
  if (!inner_is_last) return x;
  Ints order;
  for (size_t i = 0; i < cut.size(); ++i) order.push_back(static_cast<int64_t>(i));
  std::swap(order[axis - 1], order[axis]);
  return transpose(b, x, order);
}

Value multiply_integers(Builder& b, Value x, Value y, DType dtype) {
  const DType wide = computed(b, dtype);
  // Of a narrow dtype everything fits into one digit more than it has bytes: the highest one keeps the sign.
  const int count = static_cast<int>(size_of(dtype));
  const std::vector<Value> xs = digits(b, in_inner_pieces(b, b.cast(x, wide), true), count);
  const std::vector<Value> ys = digits(b, in_inner_pieces(b, b.cast(y, wide), false), count);
  Value total{};
  bool first = true;
  Shape result;
  for (int place = 0; place < count; ++place) {
    for (int i = 0; i <= place; ++i) {
      const size_t at = static_cast<size_t>(i), other = static_cast<size_t>(place - i);
      Value part = b.cast(multiply(b, xs[at], ys[other]), wide);  // [..., pieces, m, n]
      result = b.shape(part);
      part = reduction(b, NodeKind::reduction_sum, part, {static_cast<int64_t>(result.size()) - 3});
      part = b.reshape(part, {b.graph().elements(part)});
      part = b.record(NodeKind::multiplication, {part, b.like(part, int64_t{1} << (8 * place))});
      total = first ? part : b.record(NodeKind::addition, {total, part});
      first = false;
    }
  }
  Shape without_pieces;
  for (size_t i = 0; i < result.size(); ++i) {
    if (i + 3 != result.size()) without_pieces.push_back(result[i]);
  }
  return b.cast(b.reshape(total, without_pieces), dtype);
}

}  // namespace

Value matrix_multiplication(Builder& b, Value x, Value y) {
  const DType dtype = b.dtype(x);
  if (!is_float(dtype)) return multiply_integers(b, x, y, dtype);
  return b.cast(multiply(b, b.cast(x, DType::float32), b.cast(y, DType::float32)), dtype);
}

}  // namespace mps::legal
