// Discrete Fourier transforms along an axis of tensors. Complex numbers are pairs of real ones, [shape.., 2]; `axis`
// counts the shape's axes.
#pragma once

#include "kernels/graphs/complex.h"

namespace mps::graphs {

inline Value fast_fourier_transform(Graph& g, Value x, size_t axis, bool forward, double scale = 1) {
  const Shape shape(g.shape(x));
  const Shape lines = around(Dims(shape.data(), shape.size() - 1), axis);
  const Value rows = g.reshape(x, {lines[0], lines[1], lines[2], 2});
  return g.reshape(g.fast_fourier_transform(rows, !forward, scale), shape);
}

// Of real numbers, [shape..]: the first n / 2 + 1 of n results.
inline Value real_to_hermitean_fft(Graph& g, Value x, size_t axis, bool forward, double scale = 1) {
  const Shape shape(g.shape(x));
  Shape half = with_axis(shape, axis, shape[axis] / 2 + 1);
  half.push_back(2);
  return g.reshape(g.real_to_hermitean_fft(g.reshape(x, around(shape, axis)), !forward, scale), half);
}

// Of n numbers, the first n / 2 + 1 of which are given and the others are conjugates: real numbers, [shape..].
inline Value hermitean_to_real_fft(Graph& g, Value x, size_t axis, int64_t n, bool forward, double scale = 1) {
  const Shape all(g.shape(x));
  const Dims shape(all.data(), all.size() - 1);
  const Shape lines = around(shape, axis);
  const Value rows = g.reshape(x, {lines[0], lines[1], lines[2], 2});
  return g.reshape(g.hermitean_to_real_fft(rows, n, !forward, scale), with_axis(shape, axis, n));
}

// Half of n numbers, of which the others are conjugates -> all n along `axis`.
inline Value with_conjugates(Graph& g, Value half, size_t axis, int64_t n) {
  const int64_t known = n / 2 + 1, rest = n - known;
  const Value first = slice_axis(g, half, axis, 0, known);
  if (rest == 0) return first;
  const Value mirrored = reverse(g, slice_axis(g, half, axis, 1, rest), {static_cast<int64_t>(axis)});
  return g.concatenation({first, to_pairs(g, conjugate(g, from_pairs(g, mirrored)))}, static_cast<int>(axis));
}

// `x` with zeros behind it along `axis`, or without what is behind `size`.
inline Value resized(Graph& g, Value x, size_t axis, int64_t size) {
  const Shape shape(g.shape(x));
  if (size <= shape[axis]) return slice_axis(g, x, axis, 0, size);
  const Value nothing = zeros(g, g.dtype(x), with_axis(shape, axis, size - shape[axis]));
  return g.concatenation({x, nothing}, static_cast<int>(axis));
}

// Half of n numbers along `axis`, multiplied by `weight` where they stand for a conjugate too.
inline Value weighted_where_conjugate(Graph& g, Value half, size_t axis, int64_t n, double weight) {
  Shape line;
  line.resize(g.shape(half).size(), 1);
  line[axis] = n / 2 + 1;
  const Value place = g.coordinate(line, static_cast<int>(axis));
  const Value single =
      g.addition(g.equal(place, number(g, place, 0)), g.equal(number(g, place, n), g.addition(place, place)));
  return g.multiplication(half, g.select(single, like(g, half, 1), like(g, half, weight)));
}

// The real part of the transform of n numbers, of which all are given or the first n / 2 + 1, the others being 0.
inline Value real_part_of_fft(Graph& g, Value x, size_t axis, int64_t n, bool forward, double scale) {
  if (g.shape(x)[axis] == n) return from_pairs(g, fast_fourier_transform(g, x, axis, forward, scale)).re;
  // With half of a number's conjugate added to half of it, the sum has its real part twice by half.
  return hermitean_to_real_fft(g, weighted_where_conjugate(g, x, axis, n, 0.5), axis, n, forward, scale);
}

}  // namespace mps::graphs
