#include "plugin/metal/legal/positions.h"

#include <limits>

#include "plugin/metal/legal/lines.h"
#include "plugin/metal/legal/numbers.h"
#include "plugin/metal/legal/shapes.h"

namespace mps::legal {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// int32 [M]: the indices, with 0 or the last row for those outside; and which are inside.
struct Indices {
  Value row{}, inside{};
};

Indices checked(Builder& b, Value indices, int64_t rows) {
  // Before macOS 13.3 int64 cannot be compared: there, indices wrap to 32 bits.
  if (b.target().macos < kInt64) indices = b.cast(indices, DType::int32);
  const Value from_0 = pointwise(b, NodeKind::maximum, {indices, b.like(indices, 0)});
  const Value row = pointwise(b, NodeKind::minimum, {from_0, b.like(indices, rows - 1)});
  return {b.cast(row, DType::int32), b.record(NodeKind::equal, {row, indices})};
}

// `x` where `condition` [M], `other` elsewhere, of [B, M, I].
Value where(Builder& b, Value condition, Value x, Value other) {
  return pointwise(b, NodeKind::select, {b.reshape(condition, {1, b.graph().elements(condition), 1}), x, other});
}

// -- scatters ---------------------------------------------------------------------------------------------------------

// Rows to scatter into, with one more behind them for what lies outside.
struct Rows {
  int64_t count = 0;  // without that one
  Value at{};         // int32 [M], from 0 to count
};

Rows rows_of(Builder& b, Value indices, int64_t count) {
  const Indices found = checked(b, indices, count);
  return {count, b.select(found.inside, found.row, b.like(found.row, count))};
}

// data [B, count, I] and updates [B, M, I] of float32 or int32.
Value combine(Builder& b, ScatterMode mode, const Rows& rows, Value data, Value updates) {
  Shape one = b.shape(data);
  one[1] = 1;
  const Value wide = b.concatenation({data, b.constant(0, b.dtype(data), one)}, 1);
  return b.slice(b.graph().scatter(mode, wide, rows.at, updates), 1, 0, rows.count);
}

Value zeros(Builder& b, DType dtype, Value like) { return b.constant(0, dtype, b.shape(like)); }

// int32 [1, count, 1]: the last update of each row, -1 where there is none.
Value last_updates(Builder& b, const Rows& rows) {
  const int64_t count = b.graph().elements(rows.at);
  const Value number = coordinate(b, {1, count, 1}, 1);
  return combine(b, ScatterMode::kMaximum, rows, b.constant(-1, DType::int32, {1, rows.count, 1}), number);
}

Value set(Builder& b, const Rows& rows, Value data, Value updates) {
  const Value last = b.reshape(last_updates(b, rows), {rows.count});
  const Value none = b.like(last, -1);
  const Value is_updated = b.record(NodeKind::not_equal, {last, none});
  const Value from = b.select(is_updated, last, b.like(last, 0));
  return where(b, is_updated, gather_inside(b, from, updates), data);
}

// NaN is kept out of the scatter, and put in where there was one.
Value extreme_of_floats(Builder& b, ScatterMode mode, const Rows& rows, Value data, Value updates) {
  const double worst = mode == ScatterMode::kMaximum ? -kInfinity : kInfinity;
  const auto is_number = [&](Value x) { return b.record(NodeKind::equal, {x, x}); };
  const auto without = [&](Value x) { return b.select(is_number(x), x, b.like(x, worst)); };
  const auto count = [&](Value x) { return b.cast(b.record(NodeKind::not_equal, {x, x}), DType::int32); };
  const Value found = combine(b, mode, rows, without(data), without(updates));
  const Value nan = combine(b, ScatterMode::kMaximum, rows, count(data), count(updates));
  const Value is_nan = b.record(NodeKind::not_equal, {nan, b.like(nan, 0)});
  return b.select(is_nan, b.like(found, std::numeric_limits<double>::quiet_NaN()), found);
}

// -- int64, as int32 --------------------------------------------------------------------------------------------------

constexpr int64_t kWord = int64_t{1} << 32;

Value shift_right(Builder& b, Value x, int64_t bits) {
  return bits == 0 ? x : b.record(NodeKind::bitwise_right_shift, {x, b.like(x, bits)});
}
Value times(Builder& b, Value x, int64_t factor) {
  return factor == 1 ? x : b.record(NodeKind::multiplication, {x, b.like(x, factor)});
}

// Digit by digit, in int32: a row gets as many as there are updates at most, and their sum must fit.
Value add_int64(Builder& b, const Rows& rows, Value data, Value updates) {
  const int64_t count = b.graph().elements(rows.at);
  const int bits = count < (int64_t{1} << 15) ? 16 : 8;
  if (count >= (int64_t{1} << 23)) {
    throw Refusal("scattering " + std::to_string(count) +
                  " numbers of int64 is too much for MPSGraph: expected fewer than " +
                  std::to_string(int64_t{1} << 23) + ".");
  }
  for (int place = 0; place < 64; place += bits) {
    const Value low = b.like(updates, (int64_t{1} << bits) - 1);
    const Value digit = b.record(NodeKind::bitwise_and, {shift_right(b, updates, place), low});
    const Value sum = combine(b, ScatterMode::kAdd, rows, zeros(b, DType::int32, data), b.cast(digit, DType::int32));
    data = b.record(NodeKind::addition, {data, times(b, b.cast(sum, DType::int64), int64_t{1} << place)});
  }
  return data;
}

// The high words first; then, among those that have the best one, the low words.
Value extreme_of_int64(Builder& b, ScatterMode mode, const Rows& rows, Value data, Value updates) {
  const auto high = [&](Value x) { return b.cast(shift_right(b, x, 32), DType::int32); };
  const auto low = [&](Value x) {  // less 2^31, so that it fits
    const Value word = b.record(NodeKind::bitwise_and, {x, b.like(x, kWord - 1)});
    return b.cast(b.record(NodeKind::subtraction, {word, b.like(word, kWord / 2)}), DType::int32);
  };
  const int64_t worst = mode == ScatterMode::kMaximum ? INT32_MIN : INT32_MAX;
  const auto where_best = [&](Value x, Value best) {
    const Value word = low(x);
    return b.select(b.record(NodeKind::equal, {high(x), best}), word, b.like(word, worst));
  };
  const Value best = combine(b, mode, rows, high(data), high(updates));
  Shape one = b.shape(best);
  one[1] = 1;
  const Value with_outside = b.concatenation({best, b.constant(0, DType::int32, one)}, 1);
  const Value best_of_each = gather_inside(b, rows.at, with_outside);
  const Value second = combine(b, mode, rows, where_best(data, best), where_best(updates, best_of_each));
  const Value word = b.cast(second, DType::int64);
  const Value low_word = b.record(NodeKind::addition, {word, b.like(word, kWord / 2)});
  return b.record(NodeKind::addition, {times(b, b.cast(best, DType::int64), kWord), low_word});
}

}  // namespace

Value gather_inside(Builder& b, Value indices, Value data) {
  const DType dtype = b.dtype(data);
  const DType moved_as = dtype == DType::uint8 ? DType::int8 : dtype;
  return convert(b, moved(b, convert(b, data, moved_as), [&](Value x) { return b.graph().gather(indices, x); }), dtype);
}

Value gather(Builder& b, Value indices, Value data) {
  const Indices found = checked(b, indices, b.shape(data)[1]);
  const Value rows = gather_inside(b, found.row, data);
  return where(b, found.inside, rows, b.like(rows, 0));
}

Value scatter(Builder& b, ScatterMode mode, Value data, Value indices, Value updates) {
  const DType dtype = b.dtype(data);
  const Rows rows = rows_of(b, indices, b.shape(data)[1]);
  if (mode == ScatterMode::kSet) return set(b, rows, data, updates);
  const DType wide = computed(b, dtype);
  data = b.cast(data, wide);
  updates = b.cast(updates, wide);
  const bool is_extreme = mode == ScatterMode::kMinimum || mode == ScatterMode::kMaximum;
  if (wide == DType::int64) {
    if (is_extreme) return extreme_of_int64(b, mode, rows, data, updates);
    if (mode == ScatterMode::kMultiply) throw Refusal("MPSGraph does not scatter products of int64.");
    return add_int64(b, rows, data, updates);
  }
  if (is_extreme && is_float(wide)) return b.cast(extreme_of_floats(b, mode, rows, data, updates), dtype);
  return convert(b, combine(b, mode, rows, data, updates), dtype);
}

}  // namespace mps::legal
