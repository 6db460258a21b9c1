// Maxima and sums of rectangles of images, whose edges only the device knows.
//
// They are read from tables of windows that are 1, 2, 4 .. elements long along each axis: a table with windows of twice
// the length is made of two elements of the one before. So it takes log(height) * log(width) steps, of the longest
// rectangle, and memory for some images and some results.
#pragma once

#include <vector>

#include "kernels/graphs/lines.h"

namespace mps::graphs {

// First elements and how many there are, int32; a length of 0 is an empty rectangle.
struct Range {
  Value begin{}, length{};
};

// The part of begin .. end (float32, whole numbers, the end excluded) that lies in 0 .. size.
inline Range range_within(Graph& g, Value begin, Value end, int64_t size) {
  const auto bounded = [&](Value at) {
    const Value inside = g.minimum(g.maximum(at, number(g, at, 0)), number(g, at, static_cast<double>(size)));
    return g.cast(inside, DType::int32);
  };
  const Value first = bounded(begin), length = g.subtraction(bounded(end), first);
  return {first, g.maximum(length, number(g, length, 0))};
}

// How many lengths 1, 2, 4 .. there are up to `size`.
inline int64_t lengths_up_to(int64_t size) {
  int64_t count = 0;
  while ((int64_t{1} << count) <= size) ++count;
  return count;
}

// Each element along `axis` becomes the one `step` behind it. What comes around the end is read by no window within the
// image.
inline Value moved(Graph& g, Value x, size_t axis, int64_t step) {
  const int64_t size = g.shape(x)[axis], from = (step % size + size) % size;
  if (from == 0) return x;
  return g.concatenation({slice_axis(g, x, axis, from, size - from), slice_axis(g, x, axis, 0, from)},
                         static_cast<int>(axis));
}

// Rectangles of the images with the numbers `image`, int32. All broadcast to one shape, that of the results.
struct Rectangles {
  Value image{};
  Range rows{}, columns{};
  Shape shape;
  int64_t row_lengths, column_lengths;  // as of lengths_up_to() the longest range
};

// -- sums: a length is a sum of different powers of two, so each rectangle is as many windows, which do not overlap.

// In single-channel images [M, height, width]: where the windows of 2^i rows and 2^j columns lie in all images taken
// flat; -1 where a rectangle has none of them.
inline Value windows_of(Graph& g, const Rectangles& rectangles, Dims images, int64_t i, int64_t j) {
  const DType dtype = position_dtype(element_count(images));
  const auto part = [&](const Range& range, int64_t power) {  // shorter windows come first
    const int64_t length = int64_t{1} << power;
    const Value before = g.modulo(range.length, number(g, range.length, length));
    const Value rest = g.modulo(range.length, number(g, range.length, 2 * length));
    return std::pair<Value, Value>{g.cast(g.addition(range.begin, before), dtype),
                                   g.greater_than_or_equal_to(rest, number(g, rest, length))};
  };
  const auto [row, has_rows] = part(rectangles.rows, i);
  const auto [column, has_columns] = part(rectangles.columns, j);
  const Value at = within(g, within(g, g.cast(rectangles.image, dtype), images[1], row), images[2], column);
  const Value has = g.multiplication(has_rows, has_columns);
  return g.broadcast(g.select(has, at, number(g, at, -1)), rectangles.shape);
}

// The sums of rectangles of `images` [M, height, width].
inline Value sums_of(Graph& g, const Rectangles& rectangles, Value images) {
  const Shape shape(g.shape(images));
  Value sum = zeros(g, g.dtype(images), rectangles.shape), high = images;
  for (int64_t i = 0; i < rectangles.row_lengths; ++i) {
    if (i > 0) high = g.addition(high, moved(g, high, 1, int64_t{1} << (i - 1)));
    Value table = high;
    for (int64_t j = 0; j < rectangles.column_lengths; ++j) {
      if (j > 0) table = g.addition(table, moved(g, table, 2, int64_t{1} << (j - 1)));
      sum = g.addition(sum, take_at(g, table, windows_of(g, rectangles, shape, i, j)));
    }
  }
  return sum;
}

// The gradient of images of this shape: what each rectangle gives to all of its elements, added up.
inline Value sums_gradient(Graph& g, const Rectangles& rectangles, Value gradient, Dims images) {
  const Shape shape(images);
  const Value each = g.broadcast(gradient, rectangles.shape);
  const int64_t last = rectangles.row_lengths - 1;
  Value sum{};
  for (int64_t i = last; i >= 0; --i) {
    Value table = zeros(g, g.dtype(gradient), shape);
    for (int64_t j = rectangles.column_lengths - 1; j >= 0; --j) {
      table = put_at(g, ScatterMode::kAdd, table, windows_of(g, rectangles, shape, i, j), each);
      if (j > 0) table = g.addition(table, moved(g, table, 2, -(int64_t{1} << (j - 1))));
    }
    sum = i == last ? table : g.addition(sum, table);
    if (i > 0) sum = g.addition(sum, moved(g, sum, 1, -(int64_t{1} << (i - 1))));
  }
  return sum;
}

// -- maxima: two windows of the longest length that fits cover a range; they may overlap.

// Greatest elements and where each lies in its image, int32: the first in the order of rows of equal ones.
struct Maxima {
  Value value{}, place{};
};

inline Maxima greater_of(Graph& g, const Maxima& x, const Maxima& y) {
  const Value equal_before = g.multiplication(g.equal(y.value, x.value), g.less_than(y.place, x.place));
  const Value takes_y = g.addition(g.greater_than(y.value, x.value), equal_before);
  return {g.select(takes_y, y.value, x.value), g.select(takes_y, y.place, x.place)};
}

// The tables of the next length along `axis`, from those of windows of `length`.
inline Maxima doubled(Graph& g, const Maxima& x, size_t axis, int64_t length) {
  const Maxima behind{moved(g, x.value, axis, length), moved(g, x.place, axis, length)};
  const Value takes = g.greater_than(behind.value, x.value);  // all places behind come later
  return {g.select(takes, behind.value, x.value), g.select(takes, behind.place, x.place)};
}

// The power of the longest window within each range, int32; -1 of an empty one.
inline Value powers_of(Graph& g, const Range& range, int64_t lengths) {
  Value power = number(g, range.length, -1);
  for (int64_t i = 0; i < lengths; ++i) {
    const Value fits = g.greater_than_or_equal_to(range.length, number(g, range.length, int64_t{1} << i));
    power = g.addition(power, g.cast(fits, DType::int32));
  }
  return power;
}

// 2^power, of powers below `lengths`; 1 of others.
inline Value length_of(Graph& g, Value power, int64_t lengths) {
  Value length = number(g, power, 1);
  for (int64_t i = 1; i < lengths; ++i) {
    length = g.select(g.equal(power, number(g, power, i)), number(g, power, int64_t{1} << i), length);
  }
  return length;
}

// Reads the maxima of rectangles, [their number, channels], from tables [tables * N, height, width, channels]: `which`
// of them each rectangle has its windows in, and -1 if in none.
inline Maxima read_corners(Graph& g, const Rectangles& rectangles, const Maxima& tables, int64_t images, Value which,
                           Value height, Value width) {
  const Shape shape(g.shape(tables.value));
  const DType dtype = position_dtype(element_count(shape));
  const auto begin_of = [&](const Range& range, Value length, bool at_end) {
    return at_end ? g.subtraction(g.addition(range.begin, range.length), length) : range.begin;
  };
  const Value has = g.greater_than_or_equal_to(which, number(g, which, 0));
  const auto corner = [&](bool last_rows, bool last_columns) {
    const Value image = within(g, g.cast(which, dtype), images, g.cast(rectangles.image, dtype));
    const Value row = within(g, image, shape[1], g.cast(begin_of(rectangles.rows, height, last_rows), dtype));
    const Value at = within(g, row, shape[2], g.cast(begin_of(rectangles.columns, width, last_columns), dtype));
    const Value line = flat(g, g.broadcast(g.select(has, at, number(g, at, -1)), rectangles.shape));
    const auto read = [&](Value x) {
      const Value lines = g.reshape(x, {1, product_of(shape, 0, 3), shape[3]});
      return g.reshape(g.gather(line, lines), {g.elements(line), shape[3]});
    };
    return Maxima{read(tables.value), read(tables.place)};
  };
  const Maxima upper = greater_of(g, corner(false, false), corner(false, true));
  return greater_of(g, upper, greater_of(g, corner(true, false), corner(true, true)));
}

// Of `images` [N, height, width, channels]: the maxima of rectangles, [their number, channels]. Nothing in an empty
// rectangle, and nothing that is not above `lowest`, is greatest: there the place is -1, and the value 0 or `lowest`.
//
// Tables are made and read together as long as they have no more than `kept` elements.
inline Maxima maxima_of(Graph& g, const Rectangles& rectangles, Value images, Scalar lowest, int64_t kept) {
  const Shape shape(g.shape(images)), plane{1, shape[1], shape[2], 1};
  const int64_t count = element_count(rectangles.shape), heights = rectangles.row_lengths;
  const int64_t tables = heights * rectangles.column_lengths;
  const int64_t together = std::max<int64_t>(1, kept / std::max<int64_t>(1, element_count(shape)));
  const Value row = g.coordinate(plane, 1);
  const Value place = g.addition(g.multiplication(row, number(g, row, shape[2])), g.coordinate(plane, 2));
  const Value above = g.greater_than(images, number(g, images, lowest));  // NaN is not
  Maxima wide{g.select(above, images, number(g, images, lowest)), g.select(above, place, number(g, place, -1))};
  Maxima found{zeros(g, g.dtype(images), {count, shape[3]}), g.constant(-1, DType::int32, {count, shape[3]})};
  const Value row_power = powers_of(g, rectangles.rows, heights);
  const Value column_power = powers_of(g, rectangles.columns, rectangles.column_lengths);
  const Value height = length_of(g, row_power, heights), width = length_of(g, column_power, rectangles.column_lengths);
  const auto is = [&](Value power) { return g.greater_than_or_equal_to(power, number(g, power, 0)); };
  const Value number_of = g.addition(g.multiplication(column_power, number(g, column_power, heights)), row_power);
  const Value table_of =
      g.select(g.multiplication(is(row_power), is(column_power)), number_of, number(g, number_of, -1));
  std::vector<Value> values, places;
  Maxima high = wide;
  for (int64_t t = 0; t < tables; ++t) {  // all heights of a width, then those of the next
    const int64_t i = t % heights, j = t / heights;
    if (i == 0 && j > 0) wide = doubled(g, wide, 2, int64_t{1} << (j - 1));
    high = i == 0 ? wide : doubled(g, high, 1, int64_t{1} << (i - 1));
    values.push_back(high.value);
    places.push_back(high.place);
    const auto made = static_cast<int64_t>(values.size());
    if (made < together && t + 1 < tables) continue;
    const Value which = g.subtraction(table_of, number(g, table_of, t + 1 - made));
    const Value here = g.multiplication(is(which), g.less_than(which, number(g, which, made)));
    const Maxima all{g.concatenation(values, 0), g.concatenation(places, 0)};
    const Maxima best =
        read_corners(g, rectangles, all, shape[0], g.select(here, which, number(g, which, -1)), height, width);
    const Value takes = g.reshape(g.broadcast(here, rectangles.shape), {count, 1});
    found = {g.select(takes, best.value, found.value), g.select(takes, best.place, found.place)};
    values.clear();
    places.clear();
  }
  return found;
}

}  // namespace mps::graphs
