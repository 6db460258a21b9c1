// How results are written past the caches, a line at a time.
//
// Included by vector_kernels.inc.cc and its parts alone, once per instruction set.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "plugin/host/vector_loops.h"

namespace mps {
namespace {

constexpr size_t kLineBytes = 64;

// Writes a line, aligned to its size.
inline __attribute__((always_inline)) void stream_line(void* to, const void* from) {
#if defined(__AVX512F__)
  _mm512_stream_si512(static_cast<__m512i*>(to), _mm512_loadu_si512(from));
#elif defined(__AVX__)
  for (size_t i = 0; i < 2; ++i) {
    const __m256i part = _mm256_loadu_si256(static_cast<const __m256i*>(from) + i);
    _mm256_stream_si256(static_cast<__m256i*>(to) + i, part);
  }
#elif defined(__SSE2__)
  for (size_t i = 0; i < 4; ++i) {
    const __m128i part = _mm_loadu_si128(static_cast<const __m128i*>(from) + i);
    _mm_stream_si128(static_cast<__m128i*>(to) + i, part);
  }
#else
  std::memcpy(to, from, kLineBytes);
#endif
}

// out[i] = f(i), with whole lines written past the caches: fill_line(i, line) makes that of out[i] and those after it.
template <typename T, typename F, typename FillLine>
inline __attribute__((always_inline)) void stream_lines(void* out, size_t n, F f, FillLine fill_line) {
  constexpr size_t kPerLine = kLineBytes / sizeof(T);
  T* const to = static_cast<T*>(out);
  const size_t head =
      std::min(n, (kLineBytes - reinterpret_cast<uintptr_t>(out) % kLineBytes) % kLineBytes / sizeof(T));
  size_t i = 0;
  for (; i < head; ++i) to[i] = f(i);
  for (; i + kPerLine <= n; i += kPerLine) {
    T line[kPerLine];
    fill_line(i, line);
    stream_line(to + i, line);
  }
  for (; i < n; ++i) to[i] = f(i);
}

template <typename T, typename F>
inline __attribute__((always_inline)) void stream_results(void* out, size_t n, F f) {
  stream_lines<T>(out, n, f, [&](size_t i, T* line) __attribute__((always_inline)) {
    MPS_KEEP_LOOP
    for (size_t j = 0; j < kLineBytes / sizeof(T); ++j) line[j] = f(i + j);
  });
}

}  // namespace
}  // namespace mps
