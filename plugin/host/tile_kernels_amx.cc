// The tiles of AMX; see tile_kernels.h. A packed strip has, for each step, for each piece, two tiles of 16 x 32: of
// rows, or of columns, with the pairs of inner elements that one instruction multiplies next to each other.
#include <immintrin.h>

#include <algorithm>
#include <cstring>

#include "plugin/host/tile_kernels.h"

namespace mps {
namespace {

constexpr int64_t kTileRows = 16, kTileElements = kTileRows * kTileStep, kRowBytes = 64, kLine = 32;

inline __mmask16 first(int64_t count) {
  return count >= 16 ? 0xffff : count <= 0 ? 0 : static_cast<__mmask16>((1 << count) - 1);
}

inline __m512 widened(__m256i bfloats) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bfloats), 16));
}

// Takes the next piece off sixteen numbers.
inline __m256i take_piece(__m512* numbers) {
  const __m256i piece = reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(*numbers));
  *numbers = _mm512_sub_ps(*numbers, widened(piece));
  return piece;
}

void pack_rows(const float* x, int64_t stride, int64_t rows, int64_t inner, int pieces, uint16_t* to) {
  const int64_t a_step = 2 * kTileElements * pieces;
  if (rows < kTileStrip) std::memset(to, 0, static_cast<size_t>(strip_elements(inner, pieces)) * sizeof *to);
  for (int64_t row = 0; row < rows; ++row) {
    uint16_t* const at = to + row * kTileStep;  // the second tile follows the first
    for (int64_t k = 0; k < inner; k += 16) {
      __m512 numbers = _mm512_maskz_loadu_ps(first(inner - k), x + row * stride + k);
      uint16_t* out = at + k / kTileStep * a_step + k % kTileStep;
      for (int piece = 0; piece < pieces; ++piece, out += 2 * kTileElements) {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), take_piece(&numbers));
      }
      if (k % kTileStep == 0 && k + 16 >= inner) {
        out = at + k / kTileStep * a_step + 16;
        for (int piece = 0; piece < pieces; ++piece, out += 2 * kTileElements) {
          _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), _mm256_setzero_si256());
        }
      }
    }
  }
}

// Sixteen rows of sixteen words.
inline void transpose(__m512i* rows) {
  __m512i t[16];
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    rows[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    rows[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    rows[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    rows[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
  for (int i = 0; i < 4; ++i) {
    t[i] = _mm512_shuffle_i32x4(rows[i], rows[i + 4], 0x88);
    t[i + 4] = _mm512_shuffle_i32x4(rows[i], rows[i + 4], 0xdd);
    t[i + 8] = _mm512_shuffle_i32x4(rows[i + 8], rows[i + 12], 0x88);
    t[i + 12] = _mm512_shuffle_i32x4(rows[i + 8], rows[i + 12], 0xdd);
  }
  for (int i = 0; i < 8; ++i) {
    rows[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
    rows[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
  }
}

void pack_columns(const float* w, int64_t stride, int64_t columns, int64_t inner, int pieces, uint16_t* to) {
  for (int64_t k = 0; k < inner; k += kTileStep) {
    for (int64_t column = 0; column < kTileStrip; column += 16, to += kTileElements) {
      __m512i tiles[3][16];
      for (int64_t n = 0; n < 16; ++n) {
        const float* const from = w + (column + n) * stride + k;
        const bool there = column + n < columns;
        __m512 low = _mm512_maskz_loadu_ps(there ? first(inner - k) : 0, from);
        __m512 high = _mm512_maskz_loadu_ps(there ? first(inner - k - 16) : 0, from + 16);
        for (int piece = 0; piece < pieces; ++piece) {
          const __m256i first_half = take_piece(&low);
          tiles[piece][n] = _mm512_inserti64x4(_mm512_castsi256_si512(first_half), take_piece(&high), 1);
        }
      }
      for (int piece = 0; piece < pieces; ++piece) {
        transpose(tiles[piece]);
        for (int64_t i = 0; i < 16; ++i) {
          _mm512_storeu_si512(to + 2 * piece * kTileElements + i * kTileStep, tiles[piece][i]);
        }
      }
    }
    to += 2 * kTileElements * (pieces - 1);
  }
}

void pack_rows_of_columns(const float* w, int64_t stride, int64_t columns, int64_t inner, int pieces, uint16_t* to) {
  for (int64_t k = 0; k < inner; k += kTileStep) {
    for (int64_t column = 0; column < kTileStrip; column += 16, to += kTileElements) {
      for (int64_t i = 0; i < 16; ++i) {
        const int64_t row = k + 2 * i;
        const float* const from = w + row * stride + column;
        __m512 even = _mm512_maskz_loadu_ps(row < inner ? first(columns - column) : 0, from);
        __m512 odd = _mm512_maskz_loadu_ps(row + 1 < inner ? first(columns - column) : 0, from + stride);
        for (int piece = 0; piece < pieces; ++piece) {
          const __m512i low = _mm512_cvtepu16_epi32(take_piece(&even));
          const __m512i high = _mm512_slli_epi32(_mm512_cvtepu16_epi32(take_piece(&odd)), 16);
          _mm512_storeu_si512(to + 2 * piece * kTileElements + i * kTileStep, _mm512_or_si512(low, high));
        }
      }
    }
    to += 2 * kTileElements * (pieces - 1);
  }
}

// The tiles are those of oneDNN as well, which remembers how it set them up: they are left as they were.
class Configured {
 public:
  Configured() {
    _tile_storeconfig(&before_);
    alignas(64) Configuration ours = {};
    ours.bytes[0] = 1;  // palette
    for (int tile = 0; tile < 8; ++tile) {
      ours.bytes[16 + 2 * tile] = kRowBytes;
      ours.bytes[48 + tile] = kTileRows;
    }
    _tile_loadconfig(&ours);
  }
  ~Configured() {
    if (before_.bytes[0] == 0) {
      _tile_release();
    } else {
      _tile_loadconfig(&before_);
    }
  }
  Configured(const Configured&) = delete;
  Configured& operator=(const Configured&) = delete;

 private:
  struct Configuration {
    uint8_t bytes[64];
  };
  alignas(64) Configuration before_ = {};
};

// Tiles 0 to 3 are sums, 4 and 5 hold a piece of x, 6 and 7 one of w. From one product to the next only one side is
// loaded, and the largest products come last, so that sums stay small for long.
// clang-format off
#define MPS_X(piece) _tile_loadd(4, x + 2 * (piece) * kTileElements, kRowBytes)
#define MPS_X2(piece) _tile_loadd(5, x + (2 * (piece) + 1) * kTileElements, kRowBytes)
#define MPS_W(piece) _tile_loadd(6, w + 2 * (piece) * kTileElements, kRowBytes)
#define MPS_W2(piece) _tile_loadd(7, w + (2 * (piece) + 1) * kTileElements, kRowBytes)
#define MPS_NEXT_X(piece) MPS_X(piece); _tile_dpbf16ps(0, 4, 6); _tile_dpbf16ps(1, 4, 7); \
                          MPS_X2(piece); _tile_dpbf16ps(2, 5, 6); _tile_dpbf16ps(3, 5, 7)
#define MPS_NEXT_W(piece) MPS_W(piece); _tile_dpbf16ps(0, 4, 6); _tile_dpbf16ps(2, 5, 6); \
                          MPS_W2(piece); _tile_dpbf16ps(1, 4, 7); _tile_dpbf16ps(3, 5, 7)
#define MPS_BOTH(x_piece, w_piece) \
  MPS_X(x_piece); MPS_W(w_piece); _tile_dpbf16ps(0, 4, 6); MPS_W2(w_piece); _tile_dpbf16ps(1, 4, 7); \
  MPS_X2(x_piece); _tile_dpbf16ps(2, 5, 6); _tile_dpbf16ps(3, 5, 7)
// clang-format on

// What will be read next, line by line, some of it at each step, so that it lies in the second-level cache by then. It
// may go beyond what there is: asking for memory early never fails.
struct Soon {
  const uint16_t* at;
  int64_t lines;  // at a step
};

template <int kX, int kW>
void sum_strips(const uint16_t* x, const uint16_t* w, int64_t steps, Soon soon, float* sums) {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (int64_t step = 0; step < steps; ++step, x += 2 * kX * kTileElements, w += 2 * kW * kTileElements) {
    for (int64_t i = 0; i < soon.lines; ++i, soon.at += kLine) {
      _mm_prefetch(reinterpret_cast<const char*>(soon.at), _MM_HINT_T1);
    }
    if constexpr (kX == 3) {
      MPS_BOTH(2, 0);
      MPS_NEXT_X(1);
      MPS_NEXT_W(1);
      MPS_NEXT_X(0);
      MPS_NEXT_W(2);
    } else if constexpr (kX == 2) {
      MPS_BOTH(1, 0);
      MPS_BOTH(0, 1);
    } else {
      MPS_BOTH(0, 1);
    }
    MPS_NEXT_W(0);
  }
  constexpr int64_t kStride = kTileStrip * sizeof(float);
  _tile_stored(0, sums, kStride);
  _tile_stored(1, sums + 16, kStride);
  _tile_stored(2, sums + 16 * kTileStrip, kStride);
  _tile_stored(3, sums + 16 * kTileStrip + 16, kStride);
}

void multiply(const uint16_t* x, int64_t rows, const uint16_t* w, int64_t columns, int64_t inner, TilePieces pieces,
              bool adds, float* to, int64_t to_row) {
  const Configured configured;
  const auto sum = pieces.x == 3 ? sum_strips<3, 3> : pieces.x == 2 ? sum_strips<2, 2> : sum_strips<1, 2>;
  const int64_t x_strip = strip_elements(inner, pieces.x), w_strip = strip_elements(inner, pieces.w);
  const int64_t steps = tile_steps(inner), strips = (columns + kTileStrip - 1) / kTileStrip;
  const int64_t step_lines = kTileStrip * kTileStep * pieces.x / kLine, lines = (step_lines + strips - 1) / strips;
  alignas(64) float sums[kTileStrip * kTileStrip];
  for (int64_t row = 0; row < rows; row += kTileStrip) {
    const int64_t many = std::min(kTileStrip, rows - row);
    for (int64_t column = 0; column < columns; column += kTileStrip) {
      const int64_t strip = column / kTileStrip;
      const uint16_t* const now = x + row / kTileStrip * x_strip;
      const bool has_next = row + kTileStrip < rows;
      const Soon soon = {now + (has_next ? x_strip + strip * steps * lines * kLine : 0), has_next ? lines : 0};
      sum(now, w + strip * w_strip, steps, soon, sums);
      const __mmask16 low = first(columns - column), high = first(columns - column - 16);
      for (int64_t i = 0; i < many; ++i) {
        float* const at = to + (row + i) * to_row + column;
        __m512 a = _mm512_load_ps(sums + i * kTileStrip), b = _mm512_load_ps(sums + i * kTileStrip + 16);
        if (adds) {
          a = _mm512_add_ps(a, _mm512_maskz_loadu_ps(low, at));
          b = _mm512_add_ps(b, _mm512_maskz_loadu_ps(high, at + 16));
        }
        _mm512_mask_storeu_ps(at, low, a);
        _mm512_mask_storeu_ps(at + 16, high, b);
      }
    }
  }
}

}  // namespace

extern const TileKernels kTileKernelsAmx;
const TileKernels kTileKernelsAmx = {pack_rows, pack_columns, pack_rows_of_columns, multiply};

}  // namespace mps
