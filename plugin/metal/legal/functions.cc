#include "plugin/metal/legal/functions.h"

#include <initializer_list>
#include <limits>

namespace mps::legal {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kPi = 3.14159265358979323846;

// Arithmetic in the shape of x; numbers become constants.
class Float {
 public:
  Float(Builder& b, Value x) : b_(&b), value_(x) {}
  Value value() const { return value_; }
  Float like(double number) const { return {*b_, b_->like(value_, number)}; }
  Float of(NodeKind kind) const { return {*b_, b_->record(kind, {value_})}; }
  Float with(NodeKind kind, Float y) const { return {*b_, b_->record(kind, {value_, y.value_})}; }
  // Of a comparison: the one or the other.
  Float choose(Float x, Float y) const { return {*b_, b_->select(value_, x.value_, y.value_)}; }

 private:
  Builder* b_;
  Value value_;
};

Float operator+(Float x, Float y) { return x.with(NodeKind::addition, y); }
Float operator-(Float x, Float y) { return x.with(NodeKind::subtraction, y); }
Float operator*(Float x, Float y) { return x.with(NodeKind::multiplication, y); }
Float operator/(Float x, Float y) { return x.with(NodeKind::division, y); }
Float operator<(Float x, Float y) { return x.with(NodeKind::less_than, y); }
Float operator<=(Float x, Float y) { return x.with(NodeKind::less_than_or_equal_to, y); }
Float operator==(Float x, Float y) { return x.with(NodeKind::equal, y); }
Float operator+(Float x, double y) { return x + x.like(y); }
Float operator-(Float x, double y) { return x - x.like(y); }
Float operator*(Float x, double y) { return x * x.like(y); }
Float operator-(double x, Float y) { return y.like(x) - y; }
Float operator/(double x, Float y) { return y.like(x) / y; }
Float operator<(Float x, double y) { return x < x.like(y); }
Float operator<=(Float x, double y) { return x <= x.like(y); }
Float operator==(Float x, double y) { return x == x.like(y); }

Float absolute(Float x) { return x.of(NodeKind::absolute); }
Float exponent(Float x) { return x.of(NodeKind::exponent); }
Float logarithm(Float x) { return x.of(NodeKind::logarithm); }
Float square_root(Float x) { return x.of(NodeKind::square_root); }

// c0 + c1 x + c2 x^2 ...
Float polynomial(Float x, std::initializer_list<double> coefficients) {
  const double* c = coefficients.end();
  Float sum = x.like(*--c);
  while (c != coefficients.begin()) sum = sum * x + *--c;
  return sum;
}

// sin(pi x) and cos(pi x) for |x| <= 1/2: the argument of sin stays below pi / 4.
Float sine_of_pi(Float x) {
  const Float a = absolute(x);
  const Float far = ((0.5 - a) * kPi).of(NodeKind::cos);
  const Float sine = (a <= 0.25).choose((a * kPi).of(NodeKind::sin), far);
  return (x < 0.0).choose(0.0 - sine, sine);
}
Float cosine_of_pi(Float x) { return sine_of_pi(0.5 - absolute(x)); }

// Polynomials are Chebyshev fits of about 2^-28 in relative error.
Float positive_lgamma(Float x) {
  const Float log = logarithm(x);
  // [3/4, 3], and by log(gamma(x)) = log(gamma(x + 1)) - log(x) below
  const Float below = x < 0.75;
  const Float from_1 = below.choose(x, x - 1.0), from_2 = below.choose(x - 1.0, x - 2.0);
  const Float factor =
      polynomial(from_2, {0.422784335, -0.100317288, 0.0329649738, -0.0123846473, 0.00499914153, -0.002103708,
                          0.000912150343, -0.000424849613, 0.000191842455, -3.99473285e-05, 2.53884448e-05,
                          -7.07489594e-05, 1.58276252e-05, 3.03402667e-05, 9.67854012e-07, -1.0188759e-05});
  const Float product = from_1 * from_2 * factor;
  const Float near = below.choose(product - log, product) + 0.0;  // not -0 at 1
  // [3, 8]
  const Float middle = polynomial(
      x - 5.5, {3.95781397, 1.61109316, 0.0996711923, -0.00660152332, 0.000653780045, -7.74146518e-05, 1.01585111e-05,
                -1.44672354e-06, 2.12802634e-07, -2.63235354e-08, 4.04032735e-09, -1.40697241e-09, 2.30179796e-10});
  // Stirling's series
  const Float r = 1.0 / x;
  const Float series = polynomial(r * r, {1.0 / 12, -1.0 / 360, 1.0 / 1260}) * r;
  const Float far = x * (log - 1.0) - log * 0.5 + (series + 0.918938533204672742);
  return (x <= 3.0).choose(near, (x <= 8.0).choose(middle, far));
}

}  // namespace

// exp(x) - 1 = 2 t / (1 - t) with t = tanh(x / 2), which loses nothing near 0. Further off 1 - t makes the error of t
// larger than what is lost by the difference.
Value expm1(Builder& b, Span<const Value> operands) {
  const Float x(b, operands[0]);
  const Float t = (x * 0.5).of(NodeKind::tanh);
  return (absolute(x) < 0.6).choose((t + t) / (1.0 - t), exponent(x) - 1.0).value();
}

// log(u) with u = 1 + x, times what rounding did to x (Kahan).
Value log1p(Builder& b, Span<const Value> operands) {
  const Float x(b, operands[0]);
  const Float u = x + 1.0, rounded = u - 1.0;
  const Float result = logarithm(u) * (x / rounded);
  return (rounded == 0.0).choose(x, (u == kInfinity).choose(u, result)).value();
}

// x P(w) with w = -log(1 - x^2) (Giles, "Approximating the erfinv function", 2010). From 1 on infinite.
Value erfinv(Builder& b, Span<const Value> operands) {
  const Float x(b, operands[0]);
  const Float a = absolute(x);
  const Float w = 0.0 - logarithm((1.0 - a) * (a + 1.0));
  const Float near =
      polynomial(w - 2.5, {1.50140935, 0.246640289, -0.00417732004, -0.0012527485, 0.000218257724, -4.95969179e-06,
                           -3.42341427e-06, 4.65417411e-07, 1.59843061e-08, -8.7390107e-09, 4.67193251e-10});
  const Float far = polynomial(square_root(w) - 3.2,
                               {3.03363657, 1.00469242, 0.00597325606, -0.00429375497, 0.00294909433, -0.00199470173,
                                0.00108804485, -0.000356772358, -3.38000064e-05, 9.9056712e-05, -3.30502614e-05});
  const Float result = x * (w < 5.0).choose(near, far);
  return (x.like(1.0) <= a).choose(x * kInfinity, result).value();
}

// Below 0 by reflection: gamma(x) gamma(-x) = -pi / (x sin(pi x)). The terms cancel near the zeros there.
Value lgamma(Builder& b, Span<const Value> operands) {
  const Float x(b, operands[0]);
  const Float a = absolute(x);
  const Float positive = positive_lgamma(a);
  const Float sine = absolute(sine_of_pi(a - a.of(NodeKind::rint)));
  constexpr double kLogOfPi = 1.14472988584940017414;
  const Float reflected = (kLogOfPi - logarithm(sine)) - logarithm(a) - positive;
  const Float below_0 = (sine == 0.0).choose(x.like(kInfinity), reflected);
  // Next to 0 both sides are -log |x|; the sine would be a denormal there, with few digits.
  const Float result = (x < 0.0).choose((a < 1e-7).choose(positive, below_0), positive);
  return (a == kInfinity).choose(a, result).value();
}

// From 4.5 on a series, moved there by psi(x + 1) = psi(x) + 1 / x; below 1/2 by reflection. The terms cancel near the
// zeros.
Value digamma(Builder& b, Span<const Value> operands) {
  const Float x(b, operands[0]);
  const Float reflects = x < 0.5;
  const Float y = reflects.choose(1.0 - x, x);
  const Float steps = 1.0 / y + 1.0 / (y + 1.0) + (1.0 / (y + 2.0) + 1.0 / (y + 3.0));
  const Float far = y + 4.0, r = 1.0 / far;
  const Float series = polynomial(r * r, {1.0 / 12, -1.0 / 120, 1.0 / 252, -1.0 / 240}) * r * r;
  const Float positive = (logarithm(far) - r * 0.5 - series) - steps;
  const Float turn = x - x.of(NodeKind::rint);
  const Float reflected = positive - cosine_of_pi(turn) * kPi / sine_of_pi(turn);
  const Float pole = (turn == 0.0).choose(x.like(kNaN), reflected);
  const Float result = (x == 0.0).choose(-1.0 / x, reflects.choose(pole, positive));
  return (x == kInfinity).choose(x, result).value();
}

}  // namespace mps::legal
