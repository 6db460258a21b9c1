// Several nodes in one pass, with the bits that they give one after the other: what join_steps() of
// pointwise_region_host.cc puts in their place. float32.
//
// Included by vector_kernels.inc.cc alone, once per instruction set.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "plugin/host/vector_loops.h"
#include "plugin/host/vector_math.h"
#include "plugin/host/vector_ops.h"
#include "plugin/host/vector_streams.h"

namespace mps {
namespace {

template <typename Op>
MPS_BLOCK_FUNCTION ternary(const void* x, const void* y, const void* z, void* out, size_t n) {
  const float* const a = static_cast<const float*>(x);
  const float* const b = static_cast<const float*>(y);
  const float* const c = static_cast<const float*>(z);
  auto* const to = static_cast<decltype(Op::f(0, 0, 0))*>(out);
  MPS_NO_DEPENDENCE
  for (size_t i = 0; i < n; ++i) to[i] = Op::f(a[i], b[i], c[i]);
}

template <typename Op>
MPS_BLOCK_FUNCTION stream_ternary(const void* x, const void* y, const void* z, void* out, size_t n) {
  const float* const a = static_cast<const float*>(x);
  const float* const b = static_cast<const float*>(y);
  const float* const c = static_cast<const float*>(z);
  const auto f = [&](size_t i) __attribute__((always_inline)) { return Op::f(a[i], b[i], c[i]); };
  if constexpr (std::is_same_v<decltype(f(0)), float>) {
    stream_results<float>(out, n, f);
  } else {
    stream_truths(a, b, out, n, f);
  }
}

struct AddProduct {
  static inline __attribute__((always_inline)) float f(float x, float y, float z) { return x * y + z; }
};
struct Product {
  static inline __attribute__((always_inline)) float f(float x, float y, float z) { return x * y * z; }
};

// Limits to one side: of equal numbers the first is taken, and NaN stays.
struct AtLeast {
  static inline __attribute__((always_inline)) float f(float x, float y) { return x < y ? y : x; }
};
struct AtMost {
  static inline __attribute__((always_inline)) float f(float x, float y) { return x > y ? y : x; }
};

struct Clamp {
  static inline __attribute__((always_inline)) float f(float x, float low, float high) {
    return AtMost::f(AtLeast::f(x, low), high);
  }
};

template <typename Compare>
struct OfSize {
  static inline __attribute__((always_inline)) vector_ops::Boolean f(float x, float y) {
    return Compare::f(__builtin_fabsf(x), y);
  }
};

// Equal, as infinities can be, or nearer than that.
struct Same {
  static inline __attribute__((always_inline)) vector_ops::Boolean f(float x, float y, float below) {
    return static_cast<vector_ops::Boolean>((x == y) | (__builtin_fabsf(x - y) < below));
  }
};

struct Differ {
  static inline __attribute__((always_inline)) vector_ops::Boolean f(float x, float y, float below) {
    return static_cast<vector_ops::Boolean>((x != y) & !(__builtin_fabsf(x - y) < below));
  }
};

// Two steps in one, which rounds as the first does.
struct Distance {
  static inline __attribute__((always_inline)) float f(float x, float y) { return __builtin_fabsf(x - y); }
};

// 1 / sqrt(x), both rounded, without the divider: Goldschmidt's iteration finds the root and the half of its reciprocal
// together, and a remainder rounds each as it must be (Markstein, "Computation of elementary functions on the IBM RISC
// System/6000 processor", 1990).
struct ReciprocalRoot {
  static inline __attribute__((always_inline)) float f(float x) { return 1.0f / __builtin_sqrtf(x); }
#if defined(__FP_FAST_FMAF)
  // From 2^-60 to 2^60 no remainder is lost. A root whose mantissa is all ones has a reciprocal that is rounded
  // wrongly.
  static inline __attribute__((always_inline)) bool is_usual(float x) {
    const uint32_t bits = vector_math::bits_of(x);
    return (bits - 0x21800000u < 0x3c000000u) & ((bits & 0x007fffffu) < 0x007ffffcu);
  }
#if defined(__AVX2__)
  // From the processor's guess fewer iterations are enough.
#if defined(__AVX512F__)
  using Register = __m512;
  static constexpr int kIterations = 1;  // from 2^-14
  static inline Register guess(Register x) { return _mm512_rsqrt14_ps(x); }
  static inline Register add_product(Register x, Register y, Register z) { return _mm512_fmadd_ps(x, y, z); }
  static inline Register less_product(Register x, Register y, Register z) { return _mm512_fnmadd_ps(x, y, z); }
#else
  using Register = __m256;
  static constexpr int kIterations = 2;  // from 1.5 * 2^-12
  static inline Register guess(Register x) { return _mm256_rsqrt_ps(x); }
  static inline Register add_product(Register x, Register y, Register z) { return _mm256_fmadd_ps(x, y, z); }
  static inline Register less_product(Register x, Register y, Register z) { return _mm256_fnmadd_ps(x, y, z); }
#endif
  static inline __attribute__((always_inline)) Floats of_usual(Floats numbers) {
    const Register x = reinterpret_cast<Register>(numbers), first = guess(x);
    const Register one_half = Register{} + 0.5f, one = Register{} + 1.0f;
    Register root = x * first, half = first * one_half;
    for (int i = 0; i < kIterations; ++i) {
      const Register rest = less_product(root, half, one_half);
      root = add_product(root, rest, root);
      half = add_product(half, rest, half);
    }
    root = add_product(less_product(root, root, x), half, root);
    Register result = half + half;
    for (int i = 0; i < 2; ++i) result = add_product(less_product(root, result, one), result, result);
    return reinterpret_cast<Floats>(result);
  }
#endif
  static inline __attribute__((always_inline)) float of_usual(float x) {
    const float first = vector_math::float_of(0x5f3759dfu - (vector_math::bits_of(x) >> 1));  // within 1/29
    float root = x * first, half = 0.5f * first;
    for (int i = 0; i < 3; ++i) {
      const float rest = __builtin_fmaf(-root, half, 0.5f);
      root = __builtin_fmaf(root, rest, root);
      half = __builtin_fmaf(half, rest, half);
    }
    root = __builtin_fmaf(__builtin_fmaf(-root, root, x), half, root);
    float result = 2.0f * half;
    for (int i = 0; i < 2; ++i) result = __builtin_fmaf(__builtin_fmaf(-root, result, 1.0f), result, result);
    return result;
  }
#endif
};

// By Horner's rule, each product and each sum rounded. Vectors go side by side, as many as hide how long an operation
// takes and find room in registers.
MPS_BLOCK_FUNCTION polynomial(const void* x, const void* y, const void*, void* out, size_t n) {
  constexpr size_t kSide = kVectorBytes == 64 ? 8 : 4;
  const float* const a = static_cast<const float*>(x);
  const uint64_t* const words = static_cast<const uint64_t*>(y);
  const size_t terms = static_cast<size_t>(words[0]);
  const auto coefficient = [&](size_t k) __attribute__((always_inline)) {
    float value;
    std::memcpy(&value, words + 1 + k, sizeof value);  // the low bytes
    return value;
  };
  float* const to = static_cast<float*>(out);
  size_t i = 0;
  for (; i + kSide * kFloats <= n; i += kSide * kFloats) {
    Floats sums[kSide], factors[kSide];
    for (size_t v = 0; v < kSide; ++v) factors[v] = load_floats(a + i + v * kFloats);
    for (size_t v = 0; v < kSide; ++v) sums[v] = coefficient(0) * factors[v] + coefficient(1);
    for (size_t k = 2; k < terms; ++k) {
      for (size_t v = 0; v < kSide; ++v) sums[v] = sums[v] * factors[v] + coefficient(k);
    }
    std::memcpy(to + i, sums, sizeof sums);
  }
  for (; i < n; ++i) {
    float sum = coefficient(0);
    for (size_t k = 1; k < terms; ++k) sum = sum * a[i] + coefficient(k);
    to[i] = sum;
  }
}

}  // namespace
}  // namespace mps
