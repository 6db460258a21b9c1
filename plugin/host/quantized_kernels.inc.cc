// The body of every table of QuantizedKernels; see there.
#include "plugin/host/quantized_kernels.h"

#include <algorithm>
#include <cstring>

#include "plugin/host/quantized_row.h"
#include "plugin/host/vector_loops.h"

namespace mps {
namespace {

constexpr float kLeastAbsmax = 1e-38f;
inline float reciprocal(float absmax) { return 1.0f / (absmax < kLeastAbsmax ? kLeastAbsmax : absmax); }

// -- quantise
// ---------------------------------------------------------------------------------------------------------

constexpr int64_t kUnit = 32;  // elements that are quantised at a time

#if defined(__AVX512F__)

// How many of 15 points are less than each of sixteen numbers; NaN is greater than all.
inline __m512i count_of_15(__m512 x, __m512 points) {
  __m512i found = _mm512_setzero_si512();
  for (int step = 8; step > 0; step /= 2) {
    const __m512i last = _mm512_add_epi32(found, _mm512_set1_epi32(step - 1));
    const __mmask16 beyond = _mm512_cmp_ps_mask(x, _mm512_permutexvar_ps(last, points), _CMP_NLE_UQ);
    found = _mm512_mask_add_epi32(found, beyond, found, _mm512_set1_epi32(step));
  }
  return found;
}

// Of 255 points: the upper five bits by every eighth point, which two registers hold.
inline __m512i count_of_255(__m512 x, const float* points, __m512 low, __m512 high) {
  __m512i found = _mm512_setzero_si512();
  for (int step = 16; step > 0; step /= 2) {
    const __m512i last = _mm512_add_epi32(found, _mm512_set1_epi32(step - 1));
    const __mmask16 beyond = _mm512_cmp_ps_mask(x, _mm512_permutex2var_ps(low, last, high), _CMP_NLE_UQ);
    found = _mm512_mask_add_epi32(found, beyond, found, _mm512_set1_epi32(step));
  }
  found = _mm512_slli_epi32(found, 3);
  for (int step = 4; step > 0; step /= 2) {
    const __m512i last = _mm512_add_epi32(found, _mm512_set1_epi32(step - 1));
    const __mmask16 beyond = _mm512_cmp_ps_mask(x, _mm512_i32gather_ps(last, points, 4), _CMP_NLE_UQ);
    found = _mm512_mask_add_epi32(found, beyond, found, _mm512_set1_epi32(step));
  }
  return found;
}

class Counter {
 public:
  explicit Counter(const CodeTable& table) : table_(table) {
    alignas(64) float every_eighth[32] = {};
    if (table.halves) {
      std::memcpy(every_eighth, table.points, 15 * sizeof(float));
      for (int i = 0; i < 16; ++i) codes_[i] = table.codes[i];
    } else {
      for (int i = 0; i < 31; ++i) every_eighth[i] = table.points[8 * i + 7];
      for (int i = 0; i < 256; ++i) is_identity_ &= table.codes[i] == i;
    }
    low_ = _mm512_load_ps(every_eighth);
    high_ = _mm512_load_ps(every_eighth + 16);
  }
  // The codes of up to kUnit elements.
  void codes(const float* x, float scale, uint8_t* out, int64_t n) const {
    for (int64_t i = 0; i < n; i += 16) {
      const __mmask16 there = n - i >= 16 ? 0xffff : static_cast<__mmask16>((1 << (n - i)) - 1);
      const __m512 scaled = _mm512_mul_ps(_mm512_maskz_loadu_ps(there, x + i), _mm512_set1_ps(scale));
      __m512i found;
      if (table_.halves) {
        found = _mm512_permutexvar_epi32(count_of_15(scaled, low_), _mm512_load_si512(codes_));
      } else {
        found = count_of_255(scaled, table_.points, low_, high_);
      }
      _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i), _mm512_cvtepi32_epi8(found));
    }
    if (table_.halves || is_identity_) return;
    for (int64_t i = 0; i < n; ++i) out[i] = table_.codes[out[i]];
  }

 private:
  const CodeTable& table_;
  __m512 low_, high_;
  bool is_identity_ = true;
  alignas(64) int32_t codes_[16] = {};
};

#else

class Counter {
 public:
  explicit Counter(const CodeTable& table) : table_(table) {}
  // The codes of up to kUnit elements.
  void codes(const float* x, float scale, uint8_t* out, int64_t n) const {
    if (table_.starts == nullptr) return halve(x, scale, out, n);
    float scaled[kUnit];
    int32_t places[kUnit];
    for (int64_t i = 0; i < n; ++i) {
      scaled[i] = x[i] * scale;
      places[i] = CodeStarts::place_of(scaled[i]);
    }
    switch (table_.starts->steps()) {
      case 0:
      case 1:
        return step<1>(scaled, places, out, n);
      case 2:
        return step<2>(scaled, places, out, n);
      default:
        return step<CodeStarts::kMostSteps>(scaled, places, out, n);
    }
  }

 private:
  void halve(const float* x, float scale, uint8_t* out, int64_t n) const {
    for (int64_t i = 0; i < n; ++i) {
      const float scaled = x[i] * scale;
      int found = 0;
      for (int step = table_.halves ? 8 : 128; step > 0; step /= 2) {
        found += scaled <= table_.points[found + step - 1] ? 0 : step;
      }
      out[i] = table_.codes[found];
    }
  }

  template <int steps>
  void step(const float* scaled, const int32_t* places, uint8_t* out, int64_t n) const {
    const uint8_t* const starts = table_.starts->starts();
    const float* const points = table_.starts->points();
    for (int64_t i = 0; i < n; ++i) {
      uint32_t found = starts[places[i]];
      for (int step = 0; step < steps; ++step) found += scaled[i] > points[found] ? 1 : 0;
      out[i] = table_.codes[found];
    }
  }

  const CodeTable& table_;
};

#endif

inline void pack_halves(const uint8_t* codes, uint8_t* out, int64_t bytes) {
  for (int64_t i = 0; i < bytes; ++i) out[i] = static_cast<uint8_t>(codes[2 * i] << 4 | codes[2 * i + 1]);
}

void quantize(const float* x, const float* absmax, int64_t blocksize, const CodeTable& table, uint8_t* out, int64_t n) {
  const Counter counter(table);
  uint8_t codes[kUnit + 1];
  int64_t pending = 0;  // codes of the last byte that have no partner yet: 0 or 1
  for (int64_t begin = 0; begin < n; begin += blocksize) {
    const float scale = reciprocal(*absmax++);
    const int64_t end = std::min(n, begin + blocksize);
    for (int64_t i = begin; i < end; i += kUnit) {
      const int64_t count = std::min(kUnit, end - i);
      if (!table.halves) {
        if (count == kUnit) {
          counter.codes(x + i, scale, out + i, kUnit);
        } else {
          counter.codes(x + i, scale, codes, count);
          std::memcpy(out + i, codes, static_cast<size_t>(count));
        }
        continue;
      }
      counter.codes(x + i, scale, codes + pending, count);
      const int64_t ready = pending + count;
      pack_halves(codes, out, ready / 2);
      out += ready / 2;
      pending = ready % 2;
      codes[0] = codes[ready - 1];
    }
  }
  if (pending == 0) return;
  const float zero = 0;
  counter.codes(&zero, 1, codes + 1, 1);
  pack_halves(codes, out, 1);
}

// -- dequantise
// -------------------------------------------------------------------------------------------------------

#if defined(__AVX512F__)

struct Halves {
  __m512 even, odd;
};

// The numbers of sixteen bytes: their upper halves, their lower ones.
inline Halves numbers_of(const uint8_t* bytes, __m512 book) {
  const __m512i wide = _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes)));
  return {_mm512_permutexvar_ps(_mm512_srli_epi32(wide, 4), book), _mm512_permutexvar_ps(wide, book)};
}

inline int64_t dequantize_wide(const uint8_t* codes, float absmax, const float* book, float* out, int64_t n) {
  const __m512 numbers = _mm512_loadu_ps(book), scale = _mm512_set1_ps(absmax);
  const __m512i first = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const __m512i second = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  int64_t i = 0;
  for (; i + 32 <= n; i += 32) {
    const Halves found = numbers_of(codes + i / 2, numbers);
    _mm512_storeu_ps(out + i, _mm512_mul_ps(_mm512_permutex2var_ps(found.even, first, found.odd), scale));
    _mm512_storeu_ps(out + i + 16, _mm512_mul_ps(_mm512_permutex2var_ps(found.even, second, found.odd), scale));
  }
  return i;
}

#else

inline int64_t dequantize_wide(const uint8_t*, float, const float*, float*, int64_t) { return 0; }

#endif

void dequantize(const uint8_t* codes, const float* absmax, int64_t blocksize, const CodeBook& book, float* out,
                int64_t n) {
  for (int64_t begin = 0; begin < n; begin += blocksize) {
    const float scale = *absmax++;
    const int64_t count = std::min(blocksize, n - begin);
    float* const to = out + begin;
    if (!book.halves) {
      for (int64_t i = 0; i < count; ++i) to[i] = book.numbers[codes[begin + i]] * scale;
      continue;
    }
    if (begin % 2 != 0) {  // blocks of an odd size: the byte is shared with the block before
      for (int64_t i = 0; i < count; ++i) {
        const int byte = codes[(begin + i) / 2];
        to[i] = book.numbers[(begin + i) % 2 == 0 ? byte >> 4 : byte & 15] * scale;
      }
      continue;
    }
    const uint8_t* const from = codes + begin / 2;
    int64_t i = dequantize_wide(from, scale, book.numbers, to, count);
    const int64_t done = i;
    for (; i + 2 <= count; i += 2) std::memcpy(to + i, book.pairs + 2 * from[i / 2], 2 * sizeof(float));
    if (i < count) to[i] = book.numbers[from[i / 2] >> 4];
    for (i = done; i < count; ++i) to[i] *= scale;
  }
}

// -- dot products
// -----------------------------------------------------------------------------------------------------

#if defined(__AVX512F__)

template <int kRows>
void dot_halves_of(const float* x, const uint8_t* codes, const float* absmax, int64_t blocksize, const float* book,
                   int64_t n, float* sums) {
  static_assert(kDotLanes == 16, "one register of lanes");
  const __m512 numbers = _mm512_loadu_ps(book);
  __m512 totals[kRows];
  for (int m = 0; m < kRows; ++m) totals[m] = _mm512_loadu_ps(sums + m * kDotLanes);
  for (int64_t begin = 0; begin < n; begin += blocksize) {
    const int64_t end = std::min(n, begin + blocksize);
    __m512 even[kRows], odd[kRows];
    for (int m = 0; m < kRows; ++m) even[m] = odd[m] = _mm512_setzero_ps();
    for (int64_t i = begin; i < end; i += kDotUnit) {
      const Halves w = numbers_of(codes + i / 2, numbers);
      for (int m = 0; m < kRows; ++m) {
        const float* const at = x + m * n + i / 2;
        even[m] = _mm512_fmadd_ps(w.even, _mm512_loadu_ps(at), even[m]);
        odd[m] = _mm512_fmadd_ps(w.odd, _mm512_loadu_ps(at + n / 2), odd[m]);
      }
    }
    const __m512 scale = _mm512_set1_ps(*absmax++);
    for (int m = 0; m < kRows; ++m) totals[m] = _mm512_fmadd_ps(_mm512_add_ps(even[m], odd[m]), scale, totals[m]);
  }
  for (int m = 0; m < kRows; ++m) _mm512_storeu_ps(sums + m * kDotLanes, totals[m]);
}

#else

template <int kRows>
void dot_halves_of(const float* x, const uint8_t* codes, const float* absmax, int64_t blocksize, const float* book,
                   int64_t n, float* sums) {
  for (int64_t begin = 0; begin < n; begin += blocksize) {
    const int64_t end = std::min(n, begin + blocksize);
    float part[kRows][kDotLanes] = {};
    for (int64_t i = begin; i < end; i += kDotUnit) {
      float even[kDotLanes], odd[kDotLanes];
      for (int64_t j = 0; j < kDotLanes; ++j) {
        even[j] = book[codes[i / 2 + j] >> 4];
        odd[j] = book[codes[i / 2 + j] & 15];
      }
      for (int m = 0; m < kRows; ++m) {
        const float* const at = x + m * n + i / 2;
        for (int64_t j = 0; j < kDotLanes; ++j) part[m][j] += even[j] * at[j] + odd[j] * at[n / 2 + j];
      }
    }
    const float scale = *absmax++;
    for (int m = 0; m < kRows; ++m) {
      for (int64_t j = 0; j < kDotLanes; ++j) sums[m * kDotLanes + j] += part[m][j] * scale;
    }
  }
}

#endif

void dot_halves(const float* x, const uint8_t* codes, const float* absmax, int64_t blocksize, const float* book,
                int64_t n, int64_t rows, float* sums) {
  using Dot = void (*)(const float*, const uint8_t*, const float*, int64_t, const float*, int64_t, float*);
  static constexpr Dot kByRows[] = {dot_halves_of<1>, dot_halves_of<2>, dot_halves_of<3>, dot_halves_of<4>,
                                    dot_halves_of<5>, dot_halves_of<6>, dot_halves_of<7>, dot_halves_of<8>};
  static_assert(sizeof kByRows / sizeof kByRows[0] == kRowsAtOnce, "a function for each number of rows");
  kByRows[rows - 1](x, codes, absmax, blocksize, book, n, sums);
}

// As many int16 as a register holds, their products with others in pairs, and the sum of those.
#if defined(__AVX512BW__)
struct Shorts {
  static constexpr int64_t kCount = 32;
  using Register = __m512i;
  static Register zero() { return _mm512_setzero_si512(); }
  static Register widened(const int8_t* y) {
    return _mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(y)));
  }
  static Register add_products(Register sums, const int16_t* x, Register y) {
    return _mm512_add_epi32(sums, _mm512_madd_epi16(_mm512_loadu_si512(x), y));
  }
  static int32_t total(Register sums) { return _mm512_reduce_add_epi32(sums); }
};
#elif defined(__AVX2__)
struct Shorts {
  static constexpr int64_t kCount = 16;
  using Register = __m256i;
  static Register zero() { return _mm256_setzero_si256(); }
  static Register widened(const int8_t* y) {
    return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(y)));
  }
  static Register add_products(Register sums, const int16_t* x, Register y) {
    const __m256i numbers = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x));
    return _mm256_add_epi32(sums, _mm256_madd_epi16(numbers, y));
  }
  static int32_t total(Register sums) {
    int32_t lanes[8], sum = 0;
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(lanes), sums);
    for (int32_t lane : lanes) sum += lane;
    return sum;
  }
};
#endif

template <int rows>
void dot_int8_of(const int16_t* x, const int8_t* y, int64_t n, int32_t* sums) {
  int64_t i = 0;
  int32_t found[rows] = {};
#if defined(__AVX2__)
  Shorts::Register lanes[rows];
  for (int m = 0; m < rows; ++m) lanes[m] = Shorts::zero();
  for (; i + Shorts::kCount <= n; i += Shorts::kCount) {
    const Shorts::Register numbers = Shorts::widened(y + i);
    for (int m = 0; m < rows; ++m) lanes[m] = Shorts::add_products(lanes[m], x + m * n + i, numbers);
  }
  for (int m = 0; m < rows; ++m) found[m] = Shorts::total(lanes[m]);
#endif
  for (; i < n; ++i) {
    for (int m = 0; m < rows; ++m) found[m] += x[m * n + i] * y[i];
  }
  std::memcpy(sums, found, sizeof found);
}

void dot_int8(const int16_t* x, const int8_t* y, int64_t n, int64_t rows, int32_t* sums) {
  using Dot = void (*)(const int16_t*, const int8_t*, int64_t, int32_t*);
  static constexpr Dot kByRows[] = {dot_int8_of<1>, dot_int8_of<2>, dot_int8_of<3>, dot_int8_of<4>};
  static_assert(sizeof kByRows / sizeof kByRows[0] == kInt8RowsAtOnce, "a function for each number of rows");
  kByRows[rows - 1](x, y, n, sums);
}

void dot_quarters(const int8_t* x, const uint8_t* packed, int64_t n, int32_t* out) {
  int64_t i = 0;
  int32_t sums[4] = {};
#if defined(__AVX512BW__)
  const __m512i mask = _mm512_set1_epi8(3), ones = _mm512_set1_epi16(1);
  __m512i wide[4] = {};
  // Pairs of products are at most 2 * 3 * 128 in size, and int16 holds the sum of 32 of those.
  for (constexpr int64_t kRun = 32 * 64; i + 64 <= n;) {
    __m512i short_sums[4] = {};
    for (const int64_t end = std::min(n, i + kRun); i + 64 <= end; i += 64) {
      const __m512i bytes = _mm512_loadu_si512(packed + i), numbers = _mm512_loadu_si512(x + i);
      for (int j = 0; j < 4; ++j) {
        const __m512i codes = _mm512_and_si512(_mm512_srli_epi16(bytes, 2 * static_cast<unsigned>(j)), mask);
        short_sums[j] = _mm512_add_epi16(short_sums[j], _mm512_maddubs_epi16(codes, numbers));
      }
    }
    for (int j = 0; j < 4; ++j) wide[j] = _mm512_add_epi32(wide[j], _mm512_madd_epi16(short_sums[j], ones));
  }
  for (int j = 0; j < 4; ++j) sums[j] = _mm512_reduce_add_epi32(wide[j]);
#elif defined(__AVX2__)
  const __m256i mask = _mm256_set1_epi8(3), ones = _mm256_set1_epi16(1);
  __m256i wide[4] = {};
  for (constexpr int64_t kRun = 32 * 32; i + 32 <= n;) {  // likewise
    __m256i short_sums[4] = {};
    for (const int64_t end = std::min(n, i + kRun); i + 32 <= end; i += 32) {
      const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(packed + i));
      const __m256i numbers = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x + i));
      for (int j = 0; j < 4; ++j) {
        const __m256i codes = _mm256_and_si256(_mm256_srli_epi16(bytes, 2 * j), mask);
        short_sums[j] = _mm256_add_epi16(short_sums[j], _mm256_maddubs_epi16(codes, numbers));
      }
    }
    for (int j = 0; j < 4; ++j) wide[j] = _mm256_add_epi32(wide[j], _mm256_madd_epi16(short_sums[j], ones));
  }
  for (int j = 0; j < 4; ++j) {
    int32_t lanes[8];
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(lanes), wide[j]);
    for (int32_t lane : lanes) sums[j] += lane;
  }
#endif
  for (; i < n; ++i) {
    for (int j = 0; j < 4; ++j) sums[j] += (packed[i] >> 2 * j & 3) * x[i];
  }
  std::memcpy(out, sums, sizeof sums);
}

constexpr QuantizedKernels make_table(const char* name) {
#if defined(__AVX512F__)
  constexpr bool kHasWideRegisters = true;  // one holds all points or numbers of 4 bits
#else
  constexpr bool kHasWideRegisters = false;
#endif
  return {name,     !kHasWideRegisters, kHasWideRegisters ? 96 : 1, quantize, dequantize, dot_halves, dot_row,
          dot_int8, dot_quarters};
}

}  // namespace
}  // namespace mps
