// float16 and bfloat16, sixteen elements at a time.
//
// Included by vector_kernels.inc.cc alone, once per instruction set.
#pragma once

#include <cstdint>
#include <cstring>

#include "plugin/core/half.h"
#include "plugin/host/vector_loops.h"

namespace mps {
namespace {

// Sixteen elements at a time.
struct Float16 {
#if defined(__AVX512F__)
  static void load(const uint16_t* x, float* out) {
    const __m256i half = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x));
    _mm512_storeu_ps(out, _mm512_maskz_cvtph_ps(0xffff, half));
  }
  static void store(const float* x, uint16_t* out) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out),
                        _mm512_maskz_cvtps_ph(0xffff, _mm512_loadu_ps(x), _MM_FROUND_TO_NEAREST_INT));
  }
#elif defined(__F16C__)
  static void load(const uint16_t* x, float* out) {
    for (size_t i = 0; i < 16; i += 8) {
      const __m128i half = _mm_loadu_si128(reinterpret_cast<const __m128i*>(x + i));
      _mm256_storeu_ps(out + i, _mm256_cvtph_ps(half));
    }
  }
  static void store(const float* x, uint16_t* out) {
    for (size_t i = 0; i < 16; i += 8) {
      const __m128i half = _mm256_cvtps_ph(_mm256_loadu_ps(x + i), _MM_FROUND_TO_NEAREST_INT);
      _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i), half);
    }
  }
#else
  static void load(const uint16_t* x, float* out) {
    for (size_t i = 0; i < 16; ++i) out[i] = half_to_float(x[i]);
  }
  static void store(const float* x, uint16_t* out) {
    for (size_t i = 0; i < 16; ++i) out[i] = float_to_half(x[i]);
  }
#endif
};

struct Bfloat16 {
  static void load(const uint16_t* x, float* out) {
    for (size_t i = 0; i < 16; ++i) out[i] = bfloat16_to_float(x[i]);
  }
  static void store(const float* x, uint16_t* out) {
    for (size_t i = 0; i < 16; ++i) out[i] = float_to_bfloat16(x[i]);
  }
};

// Calls f(from, to) on sixteen elements at a time, on padded copies of the last ones.
template <typename From, typename To, typename F>
inline __attribute__((always_inline)) void by_sixteen(const void* x, void* out, size_t n, F f) {
  const From* const a = static_cast<const From*>(x);
  To* const to = static_cast<To*>(out);
  size_t i = 0;
  for (; i + 16 <= n; i += 16) f(a + i, to + i);
  if (i == n) return;
  From from_tail[16] = {};
  To to_tail[16];
  std::memcpy(from_tail, a + i, (n - i) * sizeof(From));
  f(from_tail, to_tail);
  std::memcpy(to + i, to_tail, (n - i) * sizeof(To));
}

}  // namespace
}  // namespace mps
