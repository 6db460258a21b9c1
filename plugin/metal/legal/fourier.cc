#include "plugin/metal/legal/fourier.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "plugin/core/check.h"

namespace mps::legal {
namespace {

constexpr double kPi = 3.14159265358979323846;

Value like(Graph& g, Value x, Scalar value) { return g.constant(value, g.dtype(x)); }
Value number(Graph& g, Value x, Scalar value) { return like(g, x, value); }

Value slice_axis(Graph& g, Value x, size_t axis, int64_t start, int64_t count) {
  Ints starts, ends(g.shape(x)), steps;
  starts.resize(ends.size(), 0);
  steps.resize(ends.size(), 1);
  starts[axis] = start;
  ends[axis] = start + count;
  return g.slice(x, starts, ends, steps);
}

Value reversed(Graph& g, Value x, size_t axis) {
  const Shape shape(g.shape(x));
  Ints strides = contiguous_strides(shape);
  const int64_t offset = (shape[axis] - 1) * strides[axis];
  strides[axis] = -strides[axis];
  return g.strided_view(g.reshape(x, {element_count(shape)}), shape, strides, offset);
}

struct Complex {
  Value re, im;
};

Complex multiplication(Graph& g, Complex x, Complex y) {
  return {g.subtraction(g.multiplication(x.re, y.re), g.multiplication(x.im, y.im)),
          g.addition(g.multiplication(x.re, y.im), g.multiplication(x.im, y.re))};
}

Value conjugate(Graph& g, Value x, size_t parts) {
  const Value re = slice_axis(g, x, parts, 0, 1), im = slice_axis(g, x, parts, 1, 1);
  return g.concatenation({re, g.negative(im)}, static_cast<int>(parts));
}

class Products {
 public:
  // forward: the exponent is negative.
  Products(Graph& g, bool forward) : g_(g), forward_(forward) {}

  // [parts, before, n, behind] -> [parts_out, before, n, behind]: one part (real numbers) or two (real, imaginary).
  Value along(Value x, int64_t parts_out) const {
    const Shape shape(g_.shape(x));
    const int64_t parts = shape[0], before = shape[1], n = shape[2], behind = shape[3];
    const Value first = g_.reshape(g_.transpose(x, {0, 2, 1, 3}), {1, parts, n, before, behind});
    return g_.reshape(transform(first, forward_, parts_out), {parts_out, before, n, behind});
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
    const Value crossed = g_.multiplication(reversed(g_, x, 2), joined({g_.negative(im), im}, 2));
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
    const Value nothing = g_.constant(0, DType::float32, {rows, 2, m - n, columns});
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

// The numbers that are conjugates of those given, behind them along `axis`; `parts` is the axis of two parts.
Value with_conjugates(Graph& g, Value half, size_t axis, size_t parts, int64_t n) {
  const int64_t rest = n - n / 2 - 1;
  if (rest == 0) return half;
  const Value mirrored = reversed(g, slice_axis(g, half, axis, 1, rest), axis);
  return g.concatenation({half, conjugate(g, mirrored, parts)}, static_cast<int>(axis));
}

Value composed(Graph& g, NodeKind kind, Value x, const Fourier& what) {
  const bool takes_real = kind == NodeKind::real_to_hermitean_fft, gives_real = kind == NodeKind::hermitean_to_real_fft;
  const Shape shape(g.shape(x));
  Value parts = takes_real ? g.reshape(x, {1, shape[0], shape[1], shape[2]}) : g.transpose(x, {3, 0, 1, 2});
  if (gives_real) parts = with_conjugates(g, parts, 2, 0, what.length);
  Value found = Products(g, !what.inverse).along(parts, gives_real ? 1 : 2);
  if (takes_real) found = slice_axis(g, found, 2, 0, what.length / 2 + 1);
  return gives_real ? g.reshape(found, {shape[0], what.length, shape[2]}) : g.transpose(found, {1, 2, 3, 0});
}

// By MPSGraph's methods, but for that which gives real numbers (workarounds.def). That which takes them is left to
// negative exponents, the only ones that it is known to have been tried with.
Value by_methods(Graph& g, NodeKind kind, Value x, const Fourier& what) {
  if (kind == NodeKind::fast_fourier_transform) return g.fast_fourier_transform(x, what.inverse);
  if (kind == NodeKind::real_to_hermitean_fft) {
    const Value found = g.real_to_hermitean_fft(x, false);
    return what.inverse ? conjugate(g, found, 3) : found;
  }
  const Value found = g.fast_fourier_transform(with_conjugates(g, x, 1, 3, what.length), what.inverse);
  const Shape shape(g.shape(found));
  return g.reshape(slice_axis(g, found, 3, 0, 1), {shape[0], shape[1], shape[2]});
}

Value lowered(Graph& g, NodeKind kind, Value x, const Fourier& what, Target target) {
  const bool has_methods = target.macos >= info(NodeKind::fast_fourier_transform).macos && what.length > 1;
  const Value found = has_methods ? by_methods(g, kind, x, what) : composed(g, kind, x, what);
  return what.scale == 1 ? found : g.multiplication(found, like(g, found, what.scale));
}

}  // namespace

bool has_fourier(const Graph& graph) {
  for (uint32_t i = 0; i < graph.node_count(); ++i) {
    if (info(graph.node(i).kind).family == NodeFamily::kFourier) return true;
  }
  return false;
}

Graph lower_fourier(const Graph& graph, Target target) {
  Graph to;
  std::vector<Value> values(graph.node_count());
  for (uint32_t i = 0; i < graph.node_count(); ++i) {
    const Node& node = graph.node(i);
    const Dims attributes = graph.attributes(node);
    SmallVector<Value, 4> operands;
    for (size_t o = 0; o < node.operand_count; ++o) operands.push_back(values[graph.operand(node, o).node]);
    // Feeds are recorded even if nobody reads them: their order is their number.
    if (node.kind == NodeKind::placeholder) {
      values[i] = to.placeholder(node.dtype, graph.shape(node));
    } else if (node.kind == NodeKind::scalar) {
      values[i] = to.scalar(node.dtype);
    } else if (node.kind == NodeKind::constant) {
      values[i] = to.constant(Bits{attributes[0]}, node.dtype, graph.shape(node));
    } else if (info(node.kind).family == NodeFamily::kFourier) {
      values[i] = lowered(to, node.kind, operands[0], Fourier::of(attributes), target);
    } else {
      values[i] = to.record(node.kind, operands, attributes, graph.shape(node));
    }
  }
  for (uint32_t result : graph.results()) to.result(values[result]);
  return to;
}

}  // namespace mps::legal
