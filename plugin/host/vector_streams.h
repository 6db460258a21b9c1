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
inline __attribute__((always_inline)) void fill_line(F f, size_t i, T* line) {
  MPS_KEEP_LOOP
  for (size_t j = 0; j < kLineBytes / sizeof(T); ++j) line[j] = f(i + j);
}

template <typename T, typename F>
inline __attribute__((always_inline)) void stream_results(void* out, size_t n, F f) {
  stream_lines<T>(out, n, f, [&](size_t i, T* line) __attribute__((always_inline)) { fill_line(f, i, line); });
}

// out[i] = f(i), a truth, of elements of two arrays. That reads far more than it writes, and so is at what a core can
// read: it must never wait, not even at the end of a block, for lines that it has not asked for.
template <typename T, typename F>
inline __attribute__((always_inline)) void stream_truths(const T* a, const T* b, void* out, size_t n, F f) {
  constexpr size_t kAhead = 1024 / sizeof(T), kPerLine = kLineBytes / sizeof(T);
  // There are no vectors of enumerators.
  const auto truth = [&](size_t i) __attribute__((always_inline)) { return static_cast<uint8_t>(f(i)); };
  stream_lines<uint8_t>(out, n, truth, [&](size_t i, uint8_t* line) __attribute__((always_inline)) {
    for (size_t j = 0; j < kLineBytes; j += kPerLine) {
      __builtin_prefetch(a + i + kAhead + j, 0, 2);
      __builtin_prefetch(b + i + kAhead + j, 0, 2);
    }
    fill_line(truth, i, line);
  });
}

}  // namespace
}  // namespace mps
