// Element by element, as MPSGraph and Metal do it.
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "tests/apple_double/mpsgraph/kernels.h"

namespace apple_double {
namespace {

template <typename T>
float wide(T value) {
  return static_cast<float>(value);
}

// Which element of an operand goes with each element of the result.
class Elements {
 public:
  Elements(const Array& operand, const Shape& shape) : shape_(shape), strides_(mps::contiguous_strides(operand.shape)) {
    const size_t missing = shape.size() - operand.shape.size();
    same_ = mps::same_shape(operand.shape, shape);
    for (size_t i = 0; i < operand.shape.size(); ++i) {
      if (operand.shape[i] == 1) strides_[i] = 0;
    }
    Ints all;
    for (size_t i = 0; i < missing; ++i) all.push_back(0);
    for (int64_t stride : strides_) all.push_back(stride);
    strides_ = all;
  }
  int64_t of(int64_t index) const {
    if (same_) return index;
    int64_t at = 0;
    for (size_t i = shape_.size(); i-- > 0;) {
      at += index % shape_[i] * strides_[i];
      index /= shape_[i];
    }
    return at;
  }

 private:
  const Shape& shape_;
  Ints strides_;
  bool same_;
};

// -- floats, computed in float32 and rounded once ---------------------------------------------------------------------

template <float (*function)(float)>
void unary_float(const Node&, Span<const Array> operands, const Array& result) {
  mps::visit(result.dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* const from = reinterpret_cast<const T*>(operands[0].data);
    T* const to = reinterpret_cast<T*>(result.data);
    for (int64_t i = 0; i < result.elements(); ++i) to[i] = static_cast<T>(function(wide(from[i])));
  });
}

template <float (*function)(float, float)>
void binary_float(const Node&, Span<const Array> operands, const Array& result) {
  const Elements x(operands[0], result.shape), y(operands[1], result.shape);
  mps::visit(result.dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* const a = reinterpret_cast<const T*>(operands[0].data);
    const T* const b = reinterpret_cast<const T*>(operands[1].data);
    T* const to = reinterpret_cast<T*>(result.data);
    for (int64_t i = 0; i < result.elements(); ++i) {
      to[i] = static_cast<T>(function(wide(a[x.of(i)]), wide(b[y.of(i)])));
    }
  });
}

template <bool (*function)(float)>
void test_float(const Node&, Span<const Array> operands, const Array& result) {
  mps::visit(operands[0].dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* const from = reinterpret_cast<const T*>(operands[0].data);
    for (int64_t i = 0; i < result.elements(); ++i) result.data[i] = function(wide(from[i])) ? 1 : 0;
  });
}

float floor_(float x) { return std::floor(x); }
float ceil_(float x) { return std::ceil(x); }
float trunc_(float x) { return std::trunc(x); }
float rint_(float x) { return std::nearbyint(x); }
float round_(float x) { return std::round(x); }
float sin_(float x) { return std::sin(x); }
float cos_(float x) { return std::cos(x); }
float tan_(float x) { return std::tan(x); }
float asin_(float x) { return std::asin(x); }
float acos_(float x) { return std::acos(x); }
float atan_(float x) { return std::atan(x); }
float sinh_(float x) { return std::sinh(x); }
float cosh_(float x) { return std::cosh(x); }
float asinh_(float x) { return std::asinh(x); }
float acosh_(float x) { return std::acosh(x); }
float atanh_(float x) { return std::atanh(x); }
float erf_(float x) { return std::erf(x); }
float exp2_(float x) { return std::exp2(x); }
float exp10_(float x) { return static_cast<float>(std::pow(10.0, static_cast<double>(x))); }
float log2_(float x) { return std::log2(x); }
float log10_(float x) { return std::log10(x); }
float rsqrt_(float x) { return static_cast<float>(1.0 / std::sqrt(static_cast<double>(x))); }
// Not documented; what programs need must not depend on it. (Ours says 0.)
float relu_(float x) { return x <= 0 ? 0.0f : x; }
// Metal: 0 for NaN, and zeros keep their sign.
float sign_(float x) { return std::isnan(x) ? 0.0f : x > 0 ? 1.0f : x < 0 ? -1.0f : x; }
float power_(float x, float y) { return std::pow(x, y); }
float modulo_(float x, float y) { return std::fmod(x, y); }
float floor_modulo_(float x, float y) { return x - y * std::floor(x / y); }
float atan2_(float x, float y) { return std::atan2(x, y); }
// These ignore NaN, unlike those whose name says that they propagate it.
float maximum_(float x, float y) { return std::fmax(x, y); }
float minimum_(float x, float y) { return std::fmin(x, y); }
bool is_nan_(float x) { return std::isnan(x); }
bool is_infinite_(float x) { return std::isinf(x); }
bool is_finite_(float x) { return std::isfinite(x); }

// -- integers
// -----------------------------------------------------------------------------------------------------------

template <typename Function>
void binary_integer(Span<const Array> operands, const Array& result, Function function) {
  const Elements x(operands[0], result.shape), y(operands[1], result.shape);
  mps::visit(result.dtype, [&](auto zero) {
    using T = decltype(zero);
    if constexpr (std::is_integral_v<T>) {
      const T* const a = reinterpret_cast<const T*>(operands[0].data);
      const T* const b = reinterpret_cast<const T*>(operands[1].data);
      T* const to = reinterpret_cast<T*>(result.data);
      for (int64_t i = 0; i < result.elements(); ++i) to[i] = function(a[x.of(i)], b[y.of(i)]);
    }
  });
}

// Truncates; the language says nothing about x / 0 and about the quotient that does not fit.
void divide_integers(const Node&, Span<const Array> operands, const Array& result) {
  binary_integer(operands, result, [](auto x, auto y) -> decltype(x) {
    using T = decltype(x);
    if constexpr (!std::is_same_v<T, bool>) {
      if (y == 0 || (std::is_signed_v<T> && x == std::numeric_limits<T>::min() && y == static_cast<T>(-1))) {
        return static_cast<T>(0x5A5A5A5A5A5A5A5A);
      }
      return static_cast<T>(x / y);
    }
    return x;
  });
}

// Remainders of integers go through float, so large ones are wrong (pytorch/pytorch#154280).
void modulo_integers(const Node&, Span<const Array> operands, const Array& result) {
  binary_integer(operands, result, [](auto x, auto y) {
    return static_cast<decltype(x)>(static_cast<int64_t>(modulo_(static_cast<float>(x), static_cast<float>(y))));
  });
}

void maximum_integers(const Node&, Span<const Array> operands, const Array& result) {
  binary_integer(operands, result, [](auto x, auto y) { return x < y ? y : x; });
}
void minimum_integers(const Node&, Span<const Array> operands, const Array& result) {
  binary_integer(operands, result, [](auto x, auto y) { return y < x ? y : x; });
}
void bitwise_and(const Node&, Span<const Array> operands, const Array& result) {
  binary_integer(operands, result, [](auto x, auto y) { return static_cast<decltype(x)>(x & y); });
}
void bitwise_or(const Node&, Span<const Array> operands, const Array& result) {
  binary_integer(operands, result, [](auto x, auto y) { return static_cast<decltype(x)>(x | y); });
}
void bitwise_xor(const Node&, Span<const Array> operands, const Array& result) {
  binary_integer(operands, result, [](auto x, auto y) { return static_cast<decltype(x)>(x ^ y); });
}

// Metal says nothing of counts that are negative or not below the width (MSL Specification, section 3.1).
template <typename T>
bool shifts_by_bits(T count) {
  return count >= T{0} && static_cast<uint64_t>(count) < 8 * sizeof(T);
}
void bitwise_left_shift(const Node&, Span<const Array> operands, const Array& result) {
  binary_integer(operands, result, [](auto x, auto y) {
    using T = decltype(x);
    return static_cast<T>(shifts_by_bits(y) ? static_cast<uint64_t>(x) << y : 0x5A5A5A5A5A5A5A5A);
  });
}
void bitwise_right_shift(const Node&, Span<const Array> operands, const Array& result) {
  binary_integer(operands, result, [](auto x, auto y) {
    using T = decltype(x);
    return shifts_by_bits(y) ? static_cast<T>(x >> y) : static_cast<T>(0x5A5A5A5A5A5A5A5A);
  });
}

// -- bool
// ---------------------------------------------------------------------------------------------------------------

template <typename Function>
void binary_bool(Span<const Array> operands, const Array& result, Function function) {
  const Elements x(operands[0], result.shape), y(operands[1], result.shape);
  for (int64_t i = 0; i < result.elements(); ++i) {
    result.data[i] = function(operands[0].data[x.of(i)] != 0, operands[1].data[y.of(i)] != 0) ? 1 : 0;
  }
}
void logical_and(const Node&, Span<const Array> operands, const Array& result) {
  binary_bool(operands, result, [](bool x, bool y) { return x && y; });
}
void logical_or(const Node&, Span<const Array> operands, const Array& result) {
  binary_bool(operands, result, [](bool x, bool y) { return x || y; });
}
void logical_xor(const Node&, Span<const Array> operands, const Array& result) {
  binary_bool(operands, result, [](bool x, bool y) { return x != y; });
}

// -- casts
// --------------------------------------------------------------------------------------------------------------

// The GPU saturates floats (pytorch/pytorch#169058) and wraps integers. What NaN becomes is not documented. bool is a
// byte, of which nobody makes 0 or 1.
template <typename To, typename From>
To cast_one(From value) {
  constexpr bool from_number = std::is_integral_v<From>;
  if constexpr (std::is_same_v<To, bool>) {
    return false;  // see cast()
  } else if constexpr (std::is_integral_v<To> && !from_number) {
    const float x = wide(value);
    if (std::isnan(x)) return static_cast<To>(0x5A5A5A5A5A5A5A5A);
    if (x >= static_cast<float>(std::numeric_limits<To>::max())) return std::numeric_limits<To>::max();
    if (x <= static_cast<float>(std::numeric_limits<To>::min())) return std::numeric_limits<To>::min();
    return static_cast<To>(x);
  } else if constexpr (std::is_integral_v<To> || std::is_same_v<To, float>) {
    return static_cast<To>(value);
  } else {
    return To(static_cast<float>(value));
  }
}

void cast(const Node&, Span<const Array> operands, const Array& result) {
  mps::visit(operands[0].dtype, [&](auto from_zero) {
    mps::visit(result.dtype, [&](auto to_zero) {
      // A byte that is neither 0 nor 1 must not be read as a C++ bool.
      using From = std::conditional_t<std::is_same_v<decltype(from_zero), bool>, uint8_t, decltype(from_zero)>;
      using To = std::conditional_t<std::is_same_v<decltype(to_zero), bool>, uint8_t, decltype(to_zero)>;
      const From* const from = reinterpret_cast<const From*>(operands[0].data);
      To* const to = reinterpret_cast<To*>(result.data);
      for (int64_t i = 0; i < result.elements(); ++i) to[i] = cast_one<To>(from[i]);
    });
  });
}

constexpr NamedKernel kKernels[] = {
    {"floor", unary_float<floor_>},
    {"ceil", unary_float<ceil_>},
    {"truncate", unary_float<trunc_>},
    {"rint", unary_float<rint_>},
    {"round", unary_float<round_>},
    {"sin", unary_float<sin_>},
    {"cos", unary_float<cos_>},
    {"tan", unary_float<tan_>},
    {"asin", unary_float<asin_>},
    {"acos", unary_float<acos_>},
    {"atan", unary_float<atan_>},
    {"sinh", unary_float<sinh_>},
    {"cosh", unary_float<cosh_>},
    {"asinh", unary_float<asinh_>},
    {"acosh", unary_float<acosh_>},
    {"atanh", unary_float<atanh_>},
    {"erf", unary_float<erf_>},
    {"exponentBase2", unary_float<exp2_>},
    {"exponentBase10", unary_float<exp10_>},
    {"logarithmBase2", unary_float<log2_>},
    {"logarithmBase10", unary_float<log10_>},
    {"reverseSquareRoot", unary_float<rsqrt_>},
    {"relu", unary_float<relu_>},
    {"sign", unary_float<sign_>},
    {"isNaN", test_float<is_nan_>},
    {"isInfinite", test_float<is_infinite_>},
    {"isFinite", test_float<is_finite_>},
    {"power", binary_float<power_>},
    {"modulo", binary_float<modulo_>},
    {"floorModulo", binary_float<floor_modulo_>},
    {"atan2", binary_float<atan2_>},
    {"maximum", binary_float<maximum_>},
    {"minimum", binary_float<minimum_>},
    {"division of integers", divide_integers},
    {"modulo of integers", modulo_integers},
    {"maximum of integers", maximum_integers},
    {"minimum of integers", minimum_integers},
    {"bitwiseAND", bitwise_and},
    {"bitwiseOR", bitwise_or},
    {"bitwiseXOR", bitwise_xor},
    {"bitwiseLeftShift", bitwise_left_shift},
    {"bitwiseRightShift", bitwise_right_shift},
    {"logicalAND", logical_and},
    {"logicalOR", logical_or},
    {"logicalXOR", logical_xor},
    {"cast", cast},
};

}  // namespace

Span<const NamedKernel> pointwise_kernels() { return {kKernels, sizeof kKernels / sizeof *kKernels}; }

}  // namespace apple_double
