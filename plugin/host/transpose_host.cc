#include "plugin/host/transpose_host.h"

#include <algorithm>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "plugin/host/vector_kernels.h"

namespace mps {
namespace {

// A square of elements in registers: to[row][line] = from[line][row]. Eight bytes are a row of one; halves, quarters
// and eighths of such rows change places.
template <typename T>
struct Square {
  static constexpr int64_t kSize = 8 / sizeof(T);

  static void turn(T* to, int64_t to_stride, const T* from, int64_t from_stride) {
    uint64_t x[kSize];
    for (int64_t i = 0; i < kSize; ++i) std::memcpy(&x[i], from + i * from_stride, 8);
    if constexpr (kSize >= 8) exchange(x, 4, 0x00000000ffffffffu);
    if constexpr (kSize >= 4) exchange(x, 2, kSize == 8 ? 0x0000ffff0000ffffu : 0x00000000ffffffffu);
    if constexpr (kSize >= 2) {
      exchange(x, 1, kSize == 8 ? 0x00ff00ff00ff00ffu : kSize == 4 ? 0x0000ffff0000ffffu : 0x00000000ffffffffu);
    }
    for (int64_t i = 0; i < kSize; ++i) std::memcpy(to + i * to_stride, &x[i], 8);
  }

 private:
  static void exchange(uint64_t* x, int64_t distance, uint64_t low) {
    const int64_t bits = 8 * static_cast<int64_t>(sizeof(T)) * distance;
    for (int64_t i = 0; i < kSize; ++i) {
      if ((i & distance) != 0) continue;
      const uint64_t other = ((x[i] >> bits) ^ x[i + distance]) & low;
      x[i] ^= other << bits;
      x[i + distance] ^= other;
    }
  }
};

#if defined(__SSE2__)

template <>
struct Square<uint32_t> {
  static constexpr int64_t kSize = 4;

  static void turn(uint32_t* to, int64_t to_stride, const uint32_t* from, int64_t from_stride) {
    const auto row = [&](int64_t i) {
      return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i * from_stride));
    };
    const __m128i a = _mm_unpacklo_epi32(row(0), row(1)), b = _mm_unpacklo_epi32(row(2), row(3));
    const __m128i c = _mm_unpackhi_epi32(row(0), row(1)), d = _mm_unpackhi_epi32(row(2), row(3));
    const auto write = [&](int64_t i, __m128i line) {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to + i * to_stride), line);
    };
    write(0, _mm_unpacklo_epi64(a, b));
    write(1, _mm_unpackhi_epi64(a, b));
    write(2, _mm_unpacklo_epi64(c, d));
    write(3, _mm_unpackhi_epi64(c, d));
  }
};

template <>
struct Square<uint64_t> {
  static constexpr int64_t kSize = 2;

  static void turn(uint64_t* to, int64_t to_stride, const uint64_t* from, int64_t from_stride) {
    const __m128i first = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    const __m128i second = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + from_stride));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm_unpacklo_epi64(first, second));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to + to_stride), _mm_unpackhi_epi64(first, second));
  }
};

#endif

// A tile lies in the first-level cache. It is copied aside line by line and turned there: reading down the columns of
// the source itself is slow where its lines are a power of two apart, since they then share a few places in the cache.
// Its lines are several cache lines long, because each lies in another page.
template <typename T>
void transpose_tile(T* to, int64_t to_stride, const T* from, int64_t from_stride, bool past_caches) {
  constexpr int64_t kSize = kTile<T>, kRows = Square<T>::kSize, kGap = 64 / static_cast<int64_t>(sizeof(T));
  alignas(64) T tile[kSize][kSize + kGap];
  for (int64_t line = 0; line < kSize; ++line) std::memcpy(tile[line], from + line * from_stride, kSize * sizeof(T));
  const auto stream = vector_kernels().stream;
  for (int64_t row = 0; row < kSize; row += kRows) {
    alignas(64) T turned[kRows][kSize];
    for (int64_t line = 0; line < kSize; line += kRows) {
      Square<T>::turn(&turned[0][line], kSize, &tile[line][row], kSize + kGap);
    }
    for (int64_t i = 0; i < kRows; ++i) {
      T* const there = to + (row + i) * to_stride;
      past_caches ? stream(there, turned[i], sizeof turned[i])
                  : static_cast<void>(std::memcpy(there, turned[i], sizeof turned[i]));
    }
  }
}

}  // namespace

template <typename T>
void transpose_block(T* to, int64_t to_stride, const T* from, int64_t from_stride, int64_t rows, int64_t lines,
                     bool past_caches) {
  constexpr int64_t kSize = kTile<T>;
  constexpr uintptr_t kLine = 64;
  const bool lines_are_whole =
      reinterpret_cast<uintptr_t>(to) % kLine == 0 && to_stride * static_cast<int64_t>(sizeof(T)) % kLine == 0;
  for (int64_t row = 0; row < rows; row += kSize) {
    for (int64_t line = 0; line < lines; line += kSize) {
      T* const to_tile = to + row * to_stride + line;
      const T* const from_tile = from + line * from_stride + row;
      const int64_t tile_rows = std::min(kSize, rows - row), tile_lines = std::min(kSize, lines - line);
      if (tile_rows == kSize && tile_lines == kSize) {
        transpose_tile(to_tile, to_stride, from_tile, from_stride, past_caches && lines_are_whole);
        continue;
      }
      for (int64_t i = 0; i < tile_rows; ++i) {
        for (int64_t j = 0; j < tile_lines; ++j) to_tile[i * to_stride + j] = from_tile[j * from_stride + i];
      }
    }
  }
}

template void transpose_block(uint8_t*, int64_t, const uint8_t*, int64_t, int64_t, int64_t, bool);
template void transpose_block(uint16_t*, int64_t, const uint16_t*, int64_t, int64_t, int64_t, bool);
template void transpose_block(uint32_t*, int64_t, const uint32_t*, int64_t, int64_t, int64_t, bool);
template void transpose_block(uint64_t*, int64_t, const uint64_t*, int64_t, int64_t, int64_t, bool);

}  // namespace mps
