// Modified Bessel functions of the first kind, of order 0 and 1, in float32.
//
// Up to 8 by their power series in x^2 / 4, whose terms are all positive, so that nothing cancels. Beyond, e^-x sqrt(x)
// I(x) is smooth in u = 8 / x and is a polynomial of it, fitted by Chebyshev nodes in float64; it is off by less than
// 2e-10.
#pragma once

#include "kernels/graphs/function.h"

namespace mps::graphs {

inline constexpr double kBesselSplit = 8;
inline constexpr int kBesselTerms = 22;  // (8 / 2)^44 / 22!^2 is 2e-16
inline constexpr double kBessel0[] = {0.39894228036908813,    0.0062334776423415466, 0.0004381890526345189,
                                      5.793425684919407e-05,  7.407210686035967e-06, 1.0216727668052885e-05,
                                      -7.210212877404612e-06, 4.0473417516422e-06};
inline constexpr double kBessel1[] = {0.39894228044120644,    -0.018700424849742003,  -0.0007303635514451544,
                                      -8.091410460922098e-05, -9.958741459523945e-06, -1.1945547938818828e-05,
                                      8.172053347767436e-06,  -4.579117819338997e-06};

// By Horner; the coefficients rise.
template <typename Coefficients>
Value polynomial(Graph& g, Value x, const Coefficients& coefficients, int count) {
  Value sum = like(g, x, coefficients[count - 1]);
  for (int i = count - 2; i >= 0; --i) sum = g.addition(g.multiplication(sum, x), like(g, x, coefficients[i]));
  return sum;
}

// I_order(|x|) for |x| <= 8.
inline Value bessel_near(Graph& g, Value size, int order) {
  double coefficients[kBesselTerms];
  double term = order == 0 ? 1 : 0.5;
  for (int k = 0; k < kBesselTerms; ++k) {
    coefficients[k] = term;
    term /= 4.0 * (k + 1) * (k + 1 + order);
  }
  const Value sum = polynomial(g, g.square(size), coefficients, kBesselTerms);
  return order == 0 ? sum : g.multiplication(sum, size);
}

// e^-|x| I_order(|x|) for |x| > 8.
inline Value bessel_far(Graph& g, Value size, int order) {
  const Value u = g.division(like(g, size, kBesselSplit), size);
  const Value smooth = order == 0 ? polynomial(g, u, kBessel0, 8) : polynomial(g, u, kBessel1, 8);
  return g.division(smooth, g.square_root(size));
}

// I_order(x), or with `scaled` e^-|x| I_order(x).
inline Value bessel(Graph& g, Value x, int order, bool scaled) {
  const Value size = g.absolute(x), split = like(g, x, kBesselSplit);
  const Value low = g.minimum(size, split), high = g.maximum(size, split);  // each part where it holds
  Value near = bessel_near(g, low, order), far = bessel_far(g, high, order);
  if (scaled) {
    near = g.multiplication(near, g.exponent(g.negative(low)));
  } else {
    // In two steps: e^x overflows before the function does.
    const Value half = g.exponent(g.multiplication(high, like(g, x, 0.5)));
    far = g.multiplication(g.multiplication(half, far), half);
  }
  const Value result = g.select(g.less_than_or_equal_to(size, split), near, far);
  return order == 0 ? result : g.multiplication(result, g.sign(x));
}

// I_1(x) / x, which is 1/2 at 0; for the gradients.
inline Value bessel1_by_x(Graph& g, Value x, Value bessel1) {
  const Value zero = like(g, x, 0);
  return g.select(g.equal(x, zero), like(g, x, 0.5), g.division(bessel1, x));
}

}  // namespace mps::graphs
