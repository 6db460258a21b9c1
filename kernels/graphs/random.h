// Distributions: numbers made of random words (int32, every bit as likely as not).
#pragma once

#include "kernels/graphs/function.h"
#include "kernels/graphs/lines.h"

namespace mps::graphs {

// [0, 1) in steps of 2^-24, all of which float32 has.
inline Value unit_interval(Graph& g, Value words) {
  const Value high = g.bitwise_right_shift(words, like(g, words, 8));
  const Value numbers = g.cast(g.bitwise_and(high, like(g, words, 0xFFFFFF)), DType::float32);
  return g.multiplication(numbers, like(g, numbers, 0x1p-24));
}

// (0, 1): next to 0 in steps of 2^-31, where logarithms want them, and up to 1 - 2^-24.
inline Value open_unit_interval(Graph& g, Value words) {
  const Value numbers = g.cast(g.bitwise_and(words, like(g, words, 0x7FFFFFFF)), DType::float32);
  const Value half = like(g, numbers, 0.5), below_1 = like(g, numbers, 1 - 0x1p-24);
  return g.minimum(g.multiplication(g.addition(numbers, half), like(g, numbers, 0x1p-31)), below_1);
}

// -log(u): of mean 1.
inline Value exponential(Graph& g, Value words) { return g.negative(g.logarithm(open_unit_interval(g, words))); }

// The first or second of the rows of words.
inline Value row(Graph& g, Value words, int64_t index) {
  const Shape shape(g.shape(words));
  return g.reshape(slice_axis(g, words, 0, index, 1), {shape.data() + 1, shape.size() - 1});
}

// From two words each, normal numbers in pairs: a radius and an angle (Box and Muller, 1958).
struct Pair {
  Value x, y;
};
inline Pair normal_pair(Graph& g, Value radius_words, Value angle_words) {
  const Value two = g.constant(2, DType::float32);
  const Value radius = g.square_root(g.multiplication(exponential(g, radius_words), two));
  const Value turns = g.cast(angle_words, DType::float32);
  const Value angle = g.multiplication(turns, like(g, turns, kPi * 0x1p-31));  // [-pi, pi]
  return {g.multiplication(radius, g.cos(angle)), g.multiplication(radius, g.sin(angle))};
}

// `count` normal numbers from words [2, (count + 1) / 2].
inline Value normal(Graph& g, Value words, int64_t count) {
  const Pair pair = normal_pair(g, row(g, words, 0), row(g, words, 1));
  return slice_axis(g, g.concatenation({pair.x, pair.y}, 0), 0, 0, count);
}

// The high 32 bits of the product of two words without sign, in digits of 16 bits.
inline Value high_product(Graph& g, Value x, Value y) {
  const auto low = [&](Value word) { return g.bitwise_and(word, like(g, word, 0xFFFF)); };
  const auto high = [&](Value word) { return low(g.bitwise_right_shift(word, like(g, word, 16))); };
  const Value first = g.addition(g.multiplication(high(x), low(y)), high(g.multiplication(low(x), low(y))));
  const Value second = g.addition(g.multiplication(low(x), high(y)), low(first));
  return g.addition(g.multiplication(high(x), high(y)), g.addition(high(first), high(second)));
}

// 0 <= number < range, for words [2, ...] and a range (int32) without sign: what is before the point in range times a
// fraction of 64 bits, so that no number is more likely than another by more than 2^-32 (Lemire, 2019).
inline Value below_range(Graph& g, Value words, Value range) {
  const Value upper = row(g, words, 0), lower = row(g, words, 1);
  const Value product = g.multiplication(upper, range);
  const Value sum = g.addition(product, high_product(g, lower, range));
  const Value sign = like(g, sum, int64_t{1} << 31);  // turned, so that the order is that of numbers without sign
  const Value carry = g.less_than(g.bitwise_xor(sum, sign), g.bitwise_xor(product, sign));
  return g.addition(high_product(g, upper, range), g.cast(carry, DType::int32));
}

// The same for a range below 2^16 and one word each: no number is more likely than another by more than 2^-16 of
// itself.
inline constexpr int64_t kSmallRange = 1 << 16;
inline Value below_small_range(Graph& g, Value words, Value range) {
  const auto low = [&](Value word) { return g.bitwise_and(word, like(g, word, 0xFFFF)); };
  const auto high = [&](Value word) { return low(g.bitwise_right_shift(word, like(g, word, 16))); };
  const Value rest = high(g.multiplication(low(words), range));
  return high(g.addition(g.multiplication(high(words), range), rest));
}

}  // namespace mps::graphs
