// Discrete Fourier transforms of any length, as products with small matrices: the mixed-radix scheme of Cooley and
// Tukey, whose factors of up to 64 make it a few matrix products with twiddle factors between them; prime factors to
// 256 are one product each, and what is left over is a convolution with a chirp (Bluestein, "A linear filtering
// approach to the computation of the discrete Fourier transform", 1970).
//
// MPSGraph's own fastFourierTransformWithTensor is macOS 14's, and its results are complex tensors, which no other of
// its methods takes before that; a second way for older systems would be needed anyhow.
//
// The graph has no table of constants: each factor is calculated in it, from an angle of at most pi / 4 that is reduced
// exactly in integers, so that it is off by 1e-7 at most, as one rounded to float32 is by 3e-8. That is as much work as
// one transform of a single line, and shared by all lines. Against a transform in float64 the result is off by some
// 2e-7 of its norm (with chirps 5e-7).
#pragma once

#include <algorithm>
#include <cmath>

#include "kernels/graphs/complex.h"

namespace mps::graphs {

class Fourier {
 public:
  // forward: the exponent is negative. Nothing is divided by the length.
  Fourier(Graph& g, bool forward) : g_(g), forward_(forward) {}

  // Along `axis` of `x`, [parts, shape..]: one part (real numbers) or two (real, imaginary). Gives as many parts as
  // asked for, the real ones first.
  Value along(Value x, size_t axis, int64_t parts_out = 2) const {
    const Shape shape(g_.shape(x));
    const Shape lines = around(Dims(shape.data() + 1, shape.size() - 1), axis);
    const int64_t parts = shape[0], before = lines[0], n = lines[1], behind = lines[2];
    const Value first = g_.transpose(g_.reshape(x, {parts, before, n, behind}), {0, 2, 1, 3});
    Shape result(shape);
    result[0] = parts_out;
    return g_.reshape(transform(g_.reshape(first, {1, parts, n, before, behind}), forward_, parts_out), result);
  }

 private:
  static constexpr int64_t kRadix = 64, kLargestProduct = 256;

  // The next factor of `n`, or 0 if what is left needs a chirp: with as few stages as there can be, factors of one size
  // make the least work.
  static int64_t factor_of(int64_t n) {
    if (n <= kRadix) return n;
    const double stages = std::ceil(std::log(static_cast<double>(n)) / std::log(static_cast<double>(kRadix)));
    const double even = std::pow(static_cast<double>(n), 1 / stages);
    for (int64_t f = static_cast<int64_t>(even); f <= kRadix; ++f) {
      if (n % f == 0) return f;
    }
    for (int64_t f = kRadix; f > 1; --f) {
      if (n % f == 0) return f;
    }
    for (int64_t f = kRadix + 1; f <= std::min(kLargestProduct, n); ++f) {
      if (n % f == 0) return f;
    }
    return 0;
  }

  Value times(Value x, int64_t by) const { return g_.multiplication(x, number(g_, x, by)); }
  Value joined(Complex x, int axis) const { return g_.concatenation({x.re, x.im}, axis); }
  Complex parted(Value x, size_t axis) const { return {slice_axis(g_, x, axis, 0, 1), slice_axis(g_, x, axis, 1, 1)}; }

  // exp(-2 pi i turn / n), or its conjugate, for integers 0 <= turn < n. The angle is taken from the nearest quarter.
  Complex roots(Value turn, int64_t n, bool forward) const {
    const Value four = times(turn, 4);
    const Value share = g_.division(g_.cast(four, DType::float32), g_.constant(n, DType::float32));
    const Value quarter = g_.cast(g_.rint(share), g_.dtype(turn));
    const Value rest = g_.cast(g_.subtraction(four, times(quarter, n)), DType::float32);
    const Value angle = g_.multiplication(rest, like(g_, rest, kPi / 2 / static_cast<double>(n)));
    const Value c = g_.cos(angle), s = g_.sin(angle);
    const auto is = [&](int64_t i) { return g_.equal(quarter, number(g_, quarter, i)); };
    const auto either = [&](int64_t i, int64_t j) { return g_.addition(is(i), is(j)); };
    const auto negated = [&](Value where, Value x) { return g_.select(where, g_.negative(x), x); };
    const Value crossed = either(1, 3);
    const Value re = negated(either(1, 2), g_.select(crossed, s, c));
    const Value im = negated(either(2, 3), g_.select(crossed, c, s));
    return {re, forward ? g_.negative(im) : im};
  }

  // The transform of length f as a real matrix, [places and parts of the result, parts and places of the operand].
  Value matrix(int64_t f, int64_t parts, int64_t parts_out, bool forward) const {
    const Shape square{f, f}, block{f, 1, 1, f};
    const Value turn = g_.multiplication(g_.coordinate(square, 0), g_.coordinate(square, 1));
    const Complex w = roots(g_.modulo(turn, number(g_, turn, f)), f, forward);
    const Value re = g_.reshape(w.re, block), im = g_.reshape(w.im, block);
    Value rows = parts == 2 ? joined({re, g_.negative(im)}, 2) : re;
    if (parts_out == 2) rows = g_.concatenation({rows, parts == 2 ? joined({im, re}, 2) : im}, 1);
    return g_.reshape(rows, {f * parts_out, parts * f});
  }

  // [rows, parts * f, columns] -> [rows, f * parts_out, columns].
  Value product(Value x, int64_t f, int64_t parts, int64_t parts_out, bool forward) const {
    const Shape shape(g_.shape(x));
    const Value by = matrix(f, parts, parts_out, forward);
    if (shape[2] != 1) return g_.matrix_multiplication(by, x);
    const Value lines = g_.reshape(x, {shape[0], shape[1]});  // products with columns are slow
    return g_.reshape(g_.matrix_multiplication(lines, g_.transpose(by, {1, 0})), {shape[0], f * parts_out, 1});
  }

  // x [rows, f, 2, rest, columns] by exp(-2 pi i j k / (f rest)), j and k being the places in f and rest.
  Value twiddled(Value x, bool forward) const {
    const Shape shape(g_.shape(x));
    const int64_t f = shape[1], rest = shape[3];
    const Shape plane{f, rest}, there{1, f, 1, rest, 1};
    const Complex w = roots(g_.multiplication(g_.coordinate(plane, 0), g_.coordinate(plane, 1)), f * rest, forward);
    const Value re = g_.reshape(w.re, there), im = g_.reshape(w.im, there);
    const Value crossed = g_.multiplication(reverse(g_, x, {2}), joined({g_.negative(im), im}, 2));
    return g_.addition(g_.multiplication(x, re), crossed);
  }

  // [rows, parts, n, before, behind] -> [rows, parts_out, before, n, behind]. Each stage takes a factor off n and adds
  // it to the rows; the frequencies come out with their digits reversed.
  Value transform(Value x, bool forward, int64_t parts_out) const {
    const Shape shape(g_.shape(x));
    const int64_t columns = shape[3] * shape[4];
    int64_t rows = shape[0], parts = shape[1], rest = shape[2];
    Shape digits{rows};
    for (int64_t f = factor_of(rest); f != 0 && f != rest; f = factor_of(rest)) {
      const int64_t left = rest / f;
      x = product(g_.reshape(x, {rows, parts * f, left * columns}), f, parts, 2, forward);
      x = twiddled(g_.reshape(x, {rows, f, 2, left, columns}), forward);
      digits.push_back(f);
      rows *= f;
      rest = left;
      parts = 2;
    }
    digits.push_back(rest);
    if (factor_of(rest) != 0) {
      x = product(g_.reshape(x, {rows, parts * rest, columns}), rest, parts, parts_out, forward);
    } else {
      x = chirped(g_.reshape(x, {rows, parts, rest, columns}), forward, parts_out);
    }
    const int64_t count = static_cast<int64_t>(digits.size());
    Shape order{0, count, count + 1};
    for (int64_t i = count - 1; i > 0; --i) order.push_back(i);
    order.push_back(count + 2);
    digits.push_back(parts_out);
    digits.push_back(shape[3]);
    digits.push_back(shape[4]);
    return g_.reshape(g_.transpose(g_.reshape(x, digits), order), {shape[0], parts_out, shape[3], shape[2], shape[4]});
  }

  // [rows, parts, n, columns] -> [rows, n, parts_out, columns]: with jk = (j^2 + k^2 - (k - j)^2) / 2 the transform is
  // a convolution with a chirp, done by transforms of a power of two.
  Value chirped(Value x, bool forward, int64_t parts_out) const {
    const Shape shape(g_.shape(x));
    const int64_t rows = shape[0], parts = shape[1], n = shape[2], columns = shape[3];
    int64_t m = 1;
    while (m < 2 * n - 1) m *= 2;
    const DType dtype = m / 2 < 46341 ? DType::int32 : DType::int64;  // that holds the square of half of it
    const Value up = g_.cast(g_.coordinate({m}, 0), dtype);
    const Value distance = g_.minimum(up, g_.subtraction(number(g_, up, m), up));
    const Value turn = g_.modulo(g_.square(distance), number(g_, up, 2 * n));
    const Complex all = roots(g_.cast(turn, DType::int32), 2 * n, forward);
    const auto at = [&](Value v, int64_t count) {
      return g_.reshape(slice_axis(g_, v, 0, 0, count), {1, 1, count, 1});
    };
    const Complex chirp = {at(all.re, n), at(all.im, n)};
    const Complex line = times_chirp(x, parts, chirp);
    const Value nothing = zeros(g_, DType::float32, {rows, 2, m - n, columns});
    const Value padded = g_.concatenation({joined(line, 1), nothing}, 2);
    const Value meets = g_.less_than(distance, number(g_, up, n)), zero = g_.constant(0, DType::float32);
    const auto kernel = [&](Value v) { return g_.reshape(g_.select(meets, v, zero), {1, 1, m, 1}); };
    const Value filter = joined({kernel(all.re), g_.negative(kernel(all.im))}, 1);

    const Value there = transform(g_.reshape(padded, {rows, 2, m, 1, columns}), true, 2);
    const Value by = transform(g_.reshape(filter, {1, 2, m, 1, 1}), true, 2);
    const Value product = joined(multiplication(g_, parted(there, 1), parted(by, 1)), 1);
    const Value back =
        g_.reshape(transform(g_.reshape(product, {rows, 2, m, 1, columns}), false, 2), {rows, 2, m, columns});
    const Value whole = g_.division(slice_axis(g_, back, 2, 0, n), like(g_, back, m));
    const Complex found = multiplication(g_, parted(whole, 1), chirp);
    return g_.transpose(parts_out == 2 ? joined(found, 1) : found.re, {0, 2, 1, 3});
  }

  Complex times_chirp(Value x, int64_t parts, Complex chirp) const {
    if (parts == 2) return multiplication(g_, parted(x, 1), chirp);
    return {g_.multiplication(x, chirp.re), g_.multiplication(x, chirp.im)};
  }

  Graph& g_;
  const bool forward_;
};

// [2, shape..] with `axis` of half of n numbers, of which the others are conjugates -> all n along it. `axis` counts
// the shape's.
inline Value with_conjugates(Graph& g, Value half, size_t axis, int64_t n) {
  const int64_t known = n / 2 + 1, rest = n - known;
  const size_t at = axis + 1;
  const Value first = slice_axis(g, half, at, 0, known);
  if (rest == 0) return first;
  const Value mirrored = reverse(g, slice_axis(g, half, at, 1, rest), {static_cast<int64_t>(at)});
  const Value re = slice_axis(g, mirrored, 0, 0, 1), im = slice_axis(g, mirrored, 0, 1, 1);
  return g.concatenation({first, g.concatenation({re, g.negative(im)}, 0)}, static_cast<int>(at));
}

// `x` with zeros behind it along `axis`, or without what is behind `size`.
inline Value resized(Graph& g, Value x, size_t axis, int64_t size) {
  const Shape shape(g.shape(x));
  if (size <= shape[axis]) return slice_axis(g, x, axis, 0, size);
  const Value nothing = zeros(g, g.dtype(x), with_axis(shape, axis, size - shape[axis]));
  return g.concatenation({x, nothing}, static_cast<int>(axis));
}

}  // namespace mps::graphs
