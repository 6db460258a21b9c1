// One row of activations times rows of 4 bits. A part of quantized_kernels.inc.cc: every instruction set has its own.
#pragma once

#include <algorithm>
#include <cstdint>

#include "plugin/host/quantized_kernels.h"
#include "plugin/host/vector_loops.h"

namespace mps {
namespace {

#if defined(__AVX512F__)

// The scales of the lanes of kRowUnit elements, which are so many blocks or a part of one.
template <int kBlocks>
inline __m512 scales_of(const float* absmax) {
  if (kBlocks == 1) return _mm512_set1_ps(absmax[0]);
  if (kBlocks == 2) return _mm512_mask_broadcastss_ps(_mm512_set1_ps(absmax[0]), 0xff00, _mm_load_ss(absmax + 1));
  const __m512i of_lane = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
  return _mm512_permutexvar_ps(of_lane, _mm512_castps128_ps512(_mm_loadu_ps(absmax)));
}

template <int kRows, int kBlocks>
void dot_row_of(const float* x, const uint8_t* codes, const float* absmax, int64_t blocksize, const float* book,
                int64_t n, float* sums) {
  const __m512 numbers = _mm512_loadu_ps(book);
  const int64_t step = std::max(blocksize, kRowUnit), blocks = n / blocksize;
  __m512 totals[kRows];
  for (int j = 0; j < kRows; ++j) totals[j] = _mm512_setzero_ps();
  for (int64_t begin = 0; begin < n; begin += step, absmax += kBlocks) {
    __m512 part[kRows];
    for (int j = 0; j < kRows; ++j) part[j] = _mm512_setzero_ps();
    for (int64_t i = begin; i < begin + step; i += kRowUnit) {
      __m512i bytes[kRows];
      for (int j = 0; j < kRows; ++j) bytes[j] = _mm512_loadu_si512(codes + j * (n / 2) + i / 2);
      for (unsigned half = 0; half < 8; ++half) {
        const __m512 with = _mm512_loadu_ps(x + i + 16 * half);
        for (int j = 0; j < kRows; ++j) {
          const __m512i code = _mm512_srli_epi32(bytes[j], 4 * half);
          part[j] = _mm512_fmadd_ps(_mm512_permutexvar_ps(code, numbers), with, part[j]);
        }
      }
    }
    for (int j = 0; j < kRows; ++j) {
      totals[j] = _mm512_fmadd_ps(part[j], scales_of<kBlocks>(absmax + j * blocks), totals[j]);
    }
  }
  for (int j = 0; j < kRows; ++j) sums[j] = _mm512_reduce_add_ps(totals[j]);
}

#elif defined(__AVX2__)

// Sixteen lanes in two registers.
struct Lanes {
  __m256 low, high;
};
inline Lanes both(float number) { return {_mm256_set1_ps(number), _mm256_set1_ps(number)}; }
inline Lanes load_lanes(const float* from) { return {_mm256_loadu_ps(from), _mm256_loadu_ps(from + 8)}; }
inline Lanes add_products(Lanes x, Lanes y, Lanes z) {
  return {_mm256_fmadd_ps(x.low, y.low, z.low), _mm256_fmadd_ps(x.high, y.high, z.high)};
}

// As above.
template <int kBlocks>
inline Lanes scales_of(const float* absmax) {
  if (kBlocks == 1) return both(absmax[0]);
  if (kBlocks == 2) return {_mm256_set1_ps(absmax[0]), _mm256_set1_ps(absmax[1])};
  const auto pair = [&](int i) { return _mm256_set_m128(_mm_set1_ps(absmax[i + 1]), _mm_set1_ps(absmax[i])); };
  return {pair(0), pair(2)};
}

// The entries that the low four bits of each lane name: an instruction knows eight, the fourth bit chooses which.
inline __m256 numbers_named(__m256i codes, Lanes book) {
  const __m256 of_low = _mm256_permutevar8x32_ps(book.low, codes), of_high = _mm256_permutevar8x32_ps(book.high, codes);
  return _mm256_blendv_ps(of_low, of_high, _mm256_castsi256_ps(_mm256_slli_epi32(codes, 28)));
}

template <int kRows, int kBlocks>
void dot_row_of(const float* x, const uint8_t* codes, const float* absmax, int64_t blocksize, const float* book,
                int64_t n, float* sums) {
  const Lanes numbers = load_lanes(book);
  const int64_t step = std::max(blocksize, kRowUnit), blocks = n / blocksize;
  Lanes totals[kRows];
  for (int j = 0; j < kRows; ++j) totals[j] = both(0);
  for (int64_t begin = 0; begin < n; begin += step, absmax += kBlocks) {
    Lanes part[kRows];
    for (int j = 0; j < kRows; ++j) part[j] = both(0);
    for (int64_t i = begin; i < begin + step; i += kRowUnit) {
      __m256i low[kRows], high[kRows];
      for (int j = 0; j < kRows; ++j) {
        const __m256i* const bytes = reinterpret_cast<const __m256i*>(codes + j * (n / 2) + i / 2);
        low[j] = _mm256_loadu_si256(bytes);
        high[j] = _mm256_loadu_si256(bytes + 1);
      }
      for (int half = 0; half < 8; ++half) {
        const Lanes with = load_lanes(x + i + 16 * half);
        for (int j = 0; j < kRows; ++j) {
          const Lanes w = {numbers_named(low[j], numbers), numbers_named(high[j], numbers)};
          part[j] = add_products(w, with, part[j]);
          low[j] = _mm256_srli_epi32(low[j], 4);
          high[j] = _mm256_srli_epi32(high[j], 4);
        }
      }
    }
    for (int j = 0; j < kRows; ++j) {
      totals[j] = add_products(part[j], scales_of<kBlocks>(absmax + j * blocks), totals[j]);
    }
  }
  for (int j = 0; j < kRows; ++j) {
    float lanes[8];
    _mm256_storeu_ps(lanes, _mm256_add_ps(totals[j].low, totals[j].high));
    sums[j] = 0;
    for (float lane : lanes) sums[j] += lane;
  }
}

#else

template <int kRows, int kBlocks>
void dot_row_of(const float* x, const uint8_t* codes, const float* absmax, int64_t blocksize, const float* book,
                int64_t n, float* sums) {
  for (int j = 0; j < kRows; ++j, codes += n / 2, absmax += n / blocksize) {
    float lanes[kRowUnit / 8] = {};
    for (int64_t i = 0; i < n; i += kRowUnit) {
      for (int64_t lane = 0; lane < kRowUnit / 8; ++lane) {
        float part = 0;
        for (int64_t half = 0; half < 8; ++half) {
          const int byte = codes[i / 2 + 4 * lane + half / 2];
          part += book[half % 2 == 0 ? byte & 15 : byte >> 4] * x[i + half * (kRowUnit / 8) + lane];
        }
        lanes[lane] += part * absmax[(i + 8 * lane) / blocksize];
      }
    }
    sums[j] = 0;
    for (float lane : lanes) sums[j] += lane;
  }
}

#endif

template <int kBlocks>
void dot_row_by_blocks(const float* x, const uint8_t* codes, const float* absmax, int64_t blocksize, const float* book,
                       int64_t n, int64_t rows, float* sums) {
#if defined(__AVX512F__)
  constexpr int64_t kAtOnce = 4;  // they share the activations in registers
#else
  constexpr int64_t kAtOnce = 2;
#endif
  int64_t j = 0;
  for (; j + kAtOnce <= rows; j += kAtOnce) {
    dot_row_of<kAtOnce, kBlocks>(x, codes + j * (n / 2), absmax + j * (n / blocksize), blocksize, book, n, sums + j);
  }
  for (; j < rows; ++j) {
    dot_row_of<1, kBlocks>(x, codes + j * (n / 2), absmax + j * (n / blocksize), blocksize, book, n, sums + j);
  }
}

void dot_row(const float* x, const uint8_t* codes, const float* absmax, int64_t blocksize, const float* book, int64_t n,
             int64_t rows, float* sums) {
  const auto dot = blocksize == 32   ? dot_row_by_blocks<4>
                   : blocksize == 64 ? dot_row_by_blocks<2>
                                     : dot_row_by_blocks<1>;
  dot(x, codes, absmax, blocksize, book, n, rows, sums);
}

}  // namespace
}  // namespace mps
