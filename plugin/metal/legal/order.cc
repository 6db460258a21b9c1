#include "plugin/metal/legal/order.h"

#include <algorithm>
#include <climits>
#include <limits>
#include <vector>

#include "plugin/metal/legal/lines.h"
#include "plugin/metal/legal/numbers.h"
#include "plugin/metal/legal/positions.h"
#include "plugin/metal/legal/shapes.h"

namespace mps::legal {
namespace {

// A line has fewer elements than this; numbers go up to twice as many, and one more than that fits into int32.
constexpr int64_t kLongestLine = int64_t{1} << 30;

Value as_number(Builder& b, Value condition) { return b.cast(condition, DType::int32); }
Value is_set(Builder& b, Value number) { return b.record(NodeKind::not_equal, {number, b.like(number, 0)}); }

// Lines [outer, length, inner] of keys that rise in the order that is asked for, without NaN, and of numbers.
struct Pairs {
  Value key{}, number{};
};

template <typename F>
Pairs both(Pairs pairs, F f) {
  return {f(pairs.key), f(pairs.number)};
}

Scalar greatest(DType dtype) {
  if (dtype == DType::float32) return std::numeric_limits<double>::infinity();
  return dtype == DType::int32 ? int64_t{INT32_MAX} : INT64_MAX;
}

// NaN is the greatest: it gets infinity's key, and a number behind, or before, those of all others.
Pairs pairs_of(Builder& b, Value x, bool descending) {
  const Value place = coordinate(b, b.shape(x), 1);
  if (b.dtype(x) != DType::float32) {
    // The greatest first: -1 - x never overflows.
    return {descending ? b.record(NodeKind::subtraction, {b.like(x, -1), x}) : x, place};
  }
  const Value is_number = b.record(NodeKind::equal, {x, x});
  const int64_t beyond = descending ? -kLongestLine : kLongestLine;
  const Value number = b.select(is_number, place, b.record(NodeKind::addition, {place, b.like(place, beyond)}));
  const Value key = b.select(is_number, x, b.like(x, std::numeric_limits<double>::infinity()));
  return {descending ? b.record(NodeKind::subtraction, {b.like(key, 0), key}) : key, number};
}

Value place_of(Builder& b, Value number) {
  const Value size = b.like(number, kLongestLine);
  const Value after = b.record(NodeKind::greater_than_or_equal_to, {number, size});
  const Value before = b.record(NodeKind::less_than, {number, b.like(number, 0)});
  const Value place = b.select(after, b.record(NodeKind::subtraction, {number, size}), number);
  return b.select(before, b.record(NodeKind::addition, {number, size}), place);
}

// The first `count`, one after the other: find the least and put it away.
Value select_first(Builder& b, Pairs pairs, int64_t count) {
  const Value none = b.like(pairs.number, INT32_MAX), last = b.like(pairs.key, greatest(b.dtype(pairs.key)));
  std::vector<Value> found;
  for (int64_t i = 0; i < count; ++i) {
    const Value least = b.graph().reduction(NodeKind::reduction_minimum, pairs.key, {1});
    const Value numbers = b.select(b.record(NodeKind::equal, {pairs.key, least}), pairs.number, none);
    found.push_back(b.graph().reduction(NodeKind::reduction_minimum, numbers, {1}));
    const Value is_it = b.record(NodeKind::equal, {pairs.number, found.back()});
    pairs = {b.select(is_it, last, pairs.key), b.select(is_it, none, pairs.number)};
  }
  return b.concatenation(found, 1);
}

// Each with each, if those are not too many: how many come before an element is its place.
constexpr int64_t kMostComparisons = int64_t{1} << 22;

Value sort_by_rank(Builder& b, Pairs pairs, int64_t count) {
  const Shape lines = b.shape(pairs.key);
  const int64_t length = lines[1], inner = lines[2], results = lines[0] * count * inner;
  const auto rows = [&](Value x) { return b.reshape(x, {lines[0], length, 1, inner}); };
  const auto columns = [&](Value x) { return b.reshape(x, {lines[0], 1, length, inner}); };
  const auto compare = [&](NodeKind kind, Value x) { return b.record(kind, {columns(x), rows(x)}); };
  const Value by_number = as_number(b, compare(NodeKind::less_than, pairs.number));
  const Value by_key = as_number(b, compare(NodeKind::less_than, pairs.key));
  const Value is_before = b.select(compare(NodeKind::equal, pairs.key), by_number, by_key);
  const Value rank = b.reshape(b.graph().reduction(NodeKind::reduction_sum, is_before, {2}), lines);
  // Where in the results; behind their end if it is not among the first `count`.
  const auto plus = [&](Value x, Value y) { return b.record(NodeKind::addition, {x, y}); };
  const auto times = [&](Value x, int64_t factor) {
    return b.record(NodeKind::multiplication, {x, b.like(x, factor)});
  };
  const Value line = plus(times(coordinate(b, lines, 0), count * inner), coordinate(b, lines, 2));
  const Value is_wanted = b.record(NodeKind::less_than, {rank, b.like(rank, count)});
  const Value at = b.select(is_wanted, plus(line, times(rank, inner)), b.like(rank, results));
  const int64_t elements = element_count(lines);
  const Value none = b.constant(0, DType::int32, {1, results + 1, 1});
  const Value placed =
      b.graph().scatter(ScatterMode::kAdd, none, b.reshape(at, {elements}), b.reshape(pairs.number, {1, elements, 1}));
  return b.reshape(b.slice(placed, 1, 0, results), {lines[0], count, inner});
}

// One stage of a bitonic network (Batcher, 1968): elements `distance` apart are put in order, the greater one behind
// in the first block of `block` elements, before in the next, and so on.
Pairs exchange(Builder& b, Pairs pairs, int64_t block, int64_t distance) {
  const Shape lines = b.shape(pairs.key);
  const int64_t couples = lines[1] / (2 * distance);
  const Shape shape = {lines[0], couples, 2, distance * lines[2]};
  const auto half = [&](int64_t i) {
    return both(pairs, [&](Value x) { return b.slice(b.reshape(x, shape), 2, i, 1); });
  };
  const Pairs first = half(0), second = half(1);
  const Value by_number = as_number(b, b.record(NodeKind::greater_than, {first.number, second.number}));
  const Value by_key = as_number(b, b.record(NodeKind::greater_than, {first.key, second.key}));
  const Value is_greater = b.select(b.record(NodeKind::equal, {first.key, second.key}), by_number, by_key);
  // 0 in blocks that rise, 1 in those that fall.
  const Value at = b.graph().coordinate({couples}, 0);
  const Value number = b.record(NodeKind::division, {at, b.like(at, block / (2 * distance))});
  const Value two = b.like(at, 2);
  const Value even = b.record(NodeKind::multiplication, {b.record(NodeKind::division, {number, two}), two});
  const Value falls = b.reshape(b.record(NodeKind::subtraction, {number, even}), {1, couples, 1, 1});
  const Value swaps = b.record(NodeKind::not_equal, {is_greater, falls});
  const auto joined = [&](Value x, Value y) {
    return b.reshape(b.concatenation({b.select(swaps, y, x), b.select(swaps, x, y)}, 2), lines);
  };
  return {joined(first.key, second.key), joined(first.number, second.number)};
}

// `length`: a power of two; `pairs` are filled up to it with what comes after all others.
Pairs sort(Builder& b, Pairs pairs, int64_t length) {
  Shape rest = b.shape(pairs.key);
  const int64_t count = rest[1];
  rest[1] = length - count;
  if (rest[1] > 0) {
    const Value places = coordinate(b, rest, 1);
    const Value filler = b.record(NodeKind::addition, {places, b.like(places, kLongestLine + count)});
    const Value last = b.constant(greatest(b.dtype(pairs.key)), b.dtype(pairs.key), rest);
    pairs = {b.concatenation({pairs.key, last}, 1), b.concatenation({pairs.number, filler}, 1)};
  }
  for (int64_t block = 2; block <= length; block *= 2) {
    for (int64_t distance = block / 2; distance > 0; distance /= 2) pairs = exchange(b, pairs, block, distance);
  }
  return pairs;
}

// Whether x comes before y, as 0 or 1; NaN comes after all else.
Value precedes(Builder& b, Value x, Value y) {
  const Value is_less = as_number(b, b.record(NodeKind::less_than, {x, y}));
  if (b.dtype(x) != DType::float32) return is_less;
  return b.select(b.record(NodeKind::equal, {y, y}), is_less, as_number(b, b.record(NodeKind::equal, {x, x})));
}

}  // namespace

Value arg_sort(Builder& b, Value x, size_t axis, bool descending, int64_t count) {
  Shape result = b.shape(x);
  const int64_t length = result[axis];
  if (length >= kLongestLine) {
    throw Refusal("lines of " + std::to_string(length) + " elements are too long to be sorted: expected fewer than " +
                  std::to_string(kLongestLine) + ".");
  }
  const Pairs pairs = pairs_of(b, b.reshape(b.cast(x, computed(b, b.dtype(x))), around(result, axis)), descending);
  result[axis] = count;
  int64_t power = 1, stages = 0;
  for (int64_t steps = 1; power < length; ++steps, power *= 2) stages += steps;
  // Finding one element passes over the line about as often as a stage of the network does.
  if (count <= std::max<int64_t>(stages, 1)) return b.reshape(place_of(b, select_first(b, pairs, count)), result);
  const Value numbers = length * b.graph().elements(x) <= kMostComparisons
                            ? sort_by_rank(b, pairs, count)
                            : b.slice(sort(b, pairs, power).number, 1, 0, count);
  return b.reshape(place_of(b, numbers), result);
}

// Bisection by steps that are powers of two: so many elements are known to come before the value.
Value search_sorted(Builder& b, Value sequence, Value values, bool right) {
  const DType wide = computed(b, b.dtype(values));
  const int64_t length = b.shape(sequence)[1];
  const Shape shape = b.shape(values);
  const Value flat = b.reshape(b.cast(sequence, wide), {1, b.graph().elements(sequence), 1});
  values = b.cast(values, wide);
  const Value line = coordinate(b, shape, 0);
  const Value first = b.record(NodeKind::multiplication, {line, b.like(line, length)});
  Value found = b.like(first, 0);
  int64_t step = 1;
  while (step * 2 <= length) step *= 2;
  for (; step > 0; step /= 2) {
    const Value next = b.record(NodeKind::addition, {found, b.like(found, step)});
    const Value fits = b.record(NodeKind::less_than_or_equal_to, {next, b.like(next, length)});
    const Value last = b.select(fits, b.record(NodeKind::subtraction, {next, b.like(next, 1)}), b.like(next, 0));
    const Value at = b.reshape(b.record(NodeKind::addition, {first, last}), {element_count(shape)});
    const Value x = b.reshape(gather_inside(b, at, flat), shape);
    Value before = right ? precedes(b, values, x) : precedes(b, x, values);
    if (right) before = b.record(NodeKind::subtraction, {b.like(before, 1), before});
    before = b.select(fits, before, b.like(before, 0));
    found = b.select(is_set(b, before), next, found);
  }
  return found;
}

}  // namespace mps::legal
