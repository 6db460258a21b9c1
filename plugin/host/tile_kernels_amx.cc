// The tiles of AMX; see tile_kernels.h. A packed strip has, for each step, for each piece, two tiles of 16 x 32: of
// rows, or of columns, with the pairs of inner elements that one instruction multiplies next to each other.
#include <immintrin.h>

#include <algorithm>
#include <cstring>

#include "plugin/host/tile_kernels.h"

namespace mps {
namespace {

constexpr int64_t kTileRows = 16, kTileElements = kTileRows * kTileStep, kRowBytes = 64;

inline __mmask16 first(int64_t count) {
  return count >= 16 ? 0xffff : count <= 0 ? 0 : static_cast<__mmask16>((1 << count) - 1);
}

// Takes the next piece off sixteen numbers: the nearest bfloat16, in the upper halves. The third is all that is left.
inline __m512i take_piece(int piece, __m512* numbers) {
  if (piece == 2) return _mm512_castps_si512(*numbers);
  const __m512i rounded = _mm512_add_epi32(_mm512_castps_si512(*numbers), _mm512_set1_epi32(0x8000));
  const __m512i taken = _mm512_and_si512(rounded, _mm512_set1_epi32(-0x10000));
  *numbers = _mm512_sub_ps(*numbers, _mm512_castsi512_ps(taken));
  return taken;
}

// The upper halves of sixteen words of a, then of b; or of each in turn.
template <TileLines kLines>
inline __m512i joined(__m512i a, __m512i b) {
  if constexpr (kLines == TileLines::kAcross) return _mm512_or_si512(_mm512_srli_epi32(a, 16), b);
  const __m512i odd = _mm512_set_epi16(63, 61, 59, 57, 55, 53, 51, 49, 47, 45, 43, 41, 39, 37, 35, 33, 31, 29, 27, 25,
                                       23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
  return _mm512_permutex2var_epi16(a, odd, b);
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

// Half a strip and one step are a tile, whose rows are those of x or pairs of inner elements of w. Numbers along lines
// come in the order of the first, those across lines in that of the second; one transposed is the other. Nobody reads
// the second tile of up to sixteen rows.
template <TileLines kLines, bool kRows, int kPieces, bool kScales>
void pack(const float* from, int64_t stride, int64_t count, int64_t inner, const float* exponents, uint16_t* to) {
  constexpr bool kAlong = kLines == TileLines::kAlong, kTransposes = kAlong != kRows;
  alignas(64) float factors[kTileStrip];
  for (int64_t i = 0; kScales && i < kTileStrip; i += 16) {
    const __m512 down = _mm512_sub_ps(_mm512_setzero_ps(), _mm512_loadu_ps(exponents + i));
    _mm512_store_ps(factors + i, _mm512_scalef_ps(_mm512_set1_ps(1), down));
  }
  for (int64_t k = 0; k < inner; k += kTileStep, to += 2 * kPieces * kTileElements) {
    for (int64_t half = 0; half < (kRows && count <= 16 ? 16 : kTileStrip); half += 16) {
      uint16_t* const tile = to + half / 16 * kTileElements;
      const __mmask16 lines = first(count - half), low = first(inner - k), high = first(inner - k - 16);
      __m512i rows[kPieces][16];
      for (int64_t i = 0; i < 16; ++i) {
        __m512 a, b;
        if constexpr (kAlong) {
          const float* const at = from + (half + i) * stride + k;
          const bool there = half + i < count;
          a = _mm512_maskz_loadu_ps(there ? low : 0, at);
          b = _mm512_maskz_loadu_ps(there ? high : 0, at + 16);
        } else {
          const float* const at = from + (k + 2 * i) * stride + half;
          a = _mm512_maskz_loadu_ps(k + 2 * i < inner ? lines : 0, at);
          b = _mm512_maskz_loadu_ps(k + 2 * i + 1 < inner ? lines : 0, at + stride);
        }
        if constexpr (kScales) {
          const __m512 factor = kAlong ? _mm512_set1_ps(factors[half + i]) : _mm512_load_ps(factors + half);
          a = _mm512_mul_ps(a, factor);
          b = _mm512_mul_ps(b, factor);
        }
        for (int piece = 0; piece < kPieces; ++piece) {
          const __m512i of_a = take_piece(piece, &a), of_b = take_piece(piece, &b);
          const __m512i row = joined<kLines>(of_a, of_b);
          if constexpr (kTransposes) {
            rows[piece][i] = row;
          } else {
            _mm512_storeu_si512(tile + 2 * piece * kTileElements + i * kTileStep, row);
          }
        }
      }
      for (int piece = 0; kTransposes && piece < kPieces; ++piece) {
        transpose(rows[piece]);
        for (int64_t i = 0; i < 16; ++i) {
          _mm512_storeu_si512(tile + 2 * piece * kTileElements + i * kTileStep, rows[piece][i]);
        }
      }
    }
  }
}

template <TileLines kLines, bool kRows>
void pack_lines(const float* from, int64_t stride, int64_t count, int64_t inner, int pieces, const float* exponents,
                uint16_t* to) {
  const bool scales = exponents != nullptr;
  const auto packs = pieces == 3   ? (scales ? pack<kLines, kRows, 3, true> : pack<kLines, kRows, 3, false>)
                     : pieces == 2 ? (scales ? pack<kLines, kRows, 2, true> : pack<kLines, kRows, 2, false>)
                                   : (scales ? pack<kLines, kRows, 1, true> : pack<kLines, kRows, 1, false>);
  packs(from, stride, count, inner, exponents, to);
}

void pack_rows(const float* x, TileLines lines, int64_t stride, int64_t rows, int64_t inner, int pieces,
               const float* exponents, uint16_t* to) {
  const auto packs =
      lines == TileLines::kAlong ? pack_lines<TileLines::kAlong, true> : pack_lines<TileLines::kAcross, true>;
  packs(x, stride, rows, inner, pieces, exponents, to);
}

void pack_columns(const float* w, TileLines lines, int64_t stride, int64_t columns, int64_t inner, int pieces,
                  const float* exponents, uint16_t* to) {
  const auto packs =
      lines == TileLines::kAlong ? pack_lines<TileLines::kAlong, false> : pack_lines<TileLines::kAcross, false>;
  packs(w, stride, columns, inner, pieces, exponents, to);
}

// Numbers without signs, as integers: they are in the same order, and what is not finite comes last.
inline __m512i sizes(__mmask16 mask, const float* from) {
  return _mm512_and_si512(_mm512_maskz_loadu_epi32(mask, from), _mm512_set1_epi32(0x7fffffff));
}

bool find_exponents(const float* from, TileLines lines, int64_t stride, int64_t count, int64_t inner,
                    float* exponents) {
  alignas(64) uint32_t largest[kTileStrip] = {};
  if (lines == TileLines::kAlong) {
    for (int64_t line = 0; line < count; ++line) {
      const float* const at = from + line * stride;
      __m512i a = _mm512_setzero_si512(), b = a;
      for (int64_t k = 0; k < inner; k += 32) {
        a = _mm512_max_epu32(a, sizes(first(inner - k), at + k));
        b = _mm512_max_epu32(b, sizes(first(inner - k - 16), at + k + 16));
      }
      largest[line] = _mm512_reduce_max_epu32(_mm512_max_epu32(a, b));
    }
  } else {
    __m512i low = _mm512_setzero_si512(), high = low;
    for (int64_t k = 0; k < inner; ++k) {
      low = _mm512_max_epu32(low, sizes(first(count), from + k * stride));
      high = _mm512_max_epu32(high, sizes(first(count - 16), from + k * stride + 16));
    }
    _mm512_store_si512(largest, low);
    _mm512_store_si512(largest + 16, high);
  }
  __mmask16 finite = 0xffff;
  for (int64_t i = 0; i < kTileStrip; i += 16) {
    const __m512i bits = _mm512_load_si512(largest + i);
    finite &= _mm512_cmplt_epu32_mask(bits, _mm512_set1_epi32(0x7f800000));
    // Both a power and its inverse are to be normal numbers.
    const __m512 most = _mm512_set1_ps(126), least = _mm512_set1_ps(-126);
    const __m512 powers = _mm512_min_ps(_mm512_max_ps(_mm512_getexp_ps(_mm512_castsi512_ps(bits)), least), most);
    _mm512_storeu_ps(exponents + i, _mm512_maskz_mov_ps(_mm512_test_epi32_mask(bits, bits), powers));
  }
  return finite == 0xffff;
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

// The products of pieces are added up in one order, wherever they are made: that of a few rows, which load each piece
// of w once. The largest come last, so that sums stay small for long.
//
// Tiles 0 to 3 are sums, 4 and 5 hold a piece of x, 6 and 7 one of w. From one product to the next only one side is
// loaded.
// clang-format off
#define MPS_X(piece) _tile_loadd(4, x + 2 * (piece) * kTileElements, kRowBytes)
#define MPS_X2(piece) _tile_loadd(5, x + (2 * (piece) + 1) * kTileElements, kRowBytes)
#define MPS_W(piece) _tile_loadd(6, w + 2 * (piece) * kTileElements, kRowBytes)
#define MPS_W2(piece) _tile_loadd(7, w + (2 * (piece) + 1) * kTileElements, kRowBytes)
#define MPS_NEXT_X(piece) MPS_X(piece); _tile_dpbf16ps(0, 4, 6); _tile_dpbf16ps(1, 4, 7); \
                          if constexpr (kAll) { MPS_X2(piece); _tile_dpbf16ps(2, 5, 6); _tile_dpbf16ps(3, 5, 7); }
#define MPS_NEXT_W(piece) MPS_W(piece); _tile_dpbf16ps(0, 4, 6); if constexpr (kAll) _tile_dpbf16ps(2, 5, 6); \
                          MPS_W2(piece); _tile_dpbf16ps(1, 4, 7); if constexpr (kAll) _tile_dpbf16ps(3, 5, 7)
#define MPS_BOTH(x_piece, w_piece) \
  MPS_X(x_piece); MPS_W(w_piece); _tile_dpbf16ps(0, 4, 6); MPS_W2(w_piece); _tile_dpbf16ps(1, 4, 7); \
  if constexpr (kAll) { MPS_X2(x_piece); _tile_dpbf16ps(2, 5, 6); _tile_dpbf16ps(3, 5, 7); }
// clang-format on

// Brings memory into a cache, some lines at each step. It may go beyond what there is: asking for memory early never
// fails.
class Soon {
 public:
  Soon(const TileAhead& ahead, int64_t steps)
      : at_(static_cast<const char*>(ahead.at)),
        lines_(ahead.lines),
        stride_(ahead.stride),
        left_(ahead.spans * ahead.lines),
        each_((left_ + steps - 1) / steps) {}

  template <bool kWrites>
  void step() {
    const int64_t many = std::min(each_, left_);
    left_ -= many;
    for (int64_t i = 0; i < many; ++i) {
      __builtin_prefetch(at_ + line_ * kRowBytes, kWrites ? 1 : 0, kWrites ? 3 : 2);
      if (++line_ == lines_) {
        line_ = 0;
        at_ += stride_;
      }
    }
  }

 private:
  const char* at_;
  const int64_t lines_, stride_;
  int64_t left_;
  const int64_t each_;
  int64_t line_ = 0;
};

// Of up to sixteen rows, the other half of the sums is of no use.
template <int kX, int kW, bool kAll>
void sum_strips(const uint16_t* x, const uint16_t* w, int64_t steps, Soon* result, Soon* soon, float* sums) {
  _tile_zero(0);
  _tile_zero(1);
  if constexpr (kAll) {
    _tile_zero(2);
    _tile_zero(3);
  }
  for (int64_t step = 0; step < steps; ++step, x += 2 * kX * kTileElements, w += 2 * kW * kTileElements) {
    result->step</*kWrites=*/true>();
    soon->step</*kWrites=*/false>();
    if constexpr (kX == 3) {
      MPS_BOTH(0, 2);
      MPS_NEXT_W(1);
      MPS_NEXT_X(1);
      MPS_NEXT_W(0);
      MPS_NEXT_X(2);
      MPS_NEXT_X(0);
    } else if constexpr (kX == 2) {
      MPS_BOTH(0, 1);
      MPS_BOTH(1, 0);
      MPS_NEXT_X(0);
    } else {
      MPS_BOTH(0, 1);
      MPS_NEXT_W(0);
    }
  }
  constexpr int64_t kStride = kTileStrip * sizeof(float);
  _tile_stored(0, sums, kStride);
  _tile_stored(1, sums + 16, kStride);
  if constexpr (kAll) {
    _tile_stored(2, sums + 16 * kTileStrip, kStride);
    _tile_stored(3, sums + 16 * kTileStrip + 16, kStride);
  }
}

// Up to sixteen rows and two strips of columns: sixteen rows alone would wait for one sum after the other. Tiles 0 to 3
// are sums, 4 and 5 hold a piece of x, 6 and 7 one of w.
// clang-format off
#define MPS_PAIR_X(tile, piece) _tile_loadd(tile, x + 2 * (piece) * kTileElements, kRowBytes)
#define MPS_PAIR_W(piece) _tile_loadd(6, strip + 2 * (piece) * kTileElements, kRowBytes); \
                          _tile_loadd(7, strip + (2 * (piece) + 1) * kTileElements, kRowBytes)
#define MPS_PAIR(x_tile) \
  if constexpr (kFirst) { _tile_dpbf16ps(0, x_tile, 6); _tile_dpbf16ps(1, x_tile, 7); } \
  else { _tile_dpbf16ps(2, x_tile, 6); _tile_dpbf16ps(3, x_tile, 7); }
// clang-format on
template <int kX, bool kFirst>
inline __attribute__((always_inline)) void sum_pair(const uint16_t* x, const uint16_t* strip) {
  MPS_PAIR_X(4, 0);
  if constexpr (kX == 3) {
    MPS_PAIR_W(2);
    MPS_PAIR(4);
  }
  MPS_PAIR_W(1);
  MPS_PAIR(4);
  if constexpr (kX == 3) {
    MPS_PAIR_X(5, 1);
    MPS_PAIR(5);
  }
  MPS_PAIR_W(0);
  if constexpr (kX == 2) MPS_PAIR_X(5, 1);
  if constexpr (kX >= 2) {
    MPS_PAIR(5);
  }
  if constexpr (kX == 3) {
    MPS_PAIR_X(5, 2);
    MPS_PAIR(5);
  }
  MPS_PAIR(4);
}

template <int kX, int kW>
void sum_wide(const uint16_t* x, const uint16_t* w, int64_t w_strip, int64_t steps, float* sums) {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (int64_t step = 0; step < steps; ++step) {
    sum_pair<kX, true>(x, w);
    sum_pair<kX, false>(x, w + w_strip);
    x += 2 * kX * kTileElements;
    w += 2 * kW * kTileElements;
  }
  constexpr int64_t kStride = kTileStrip * sizeof(float);
  _tile_stored(0, sums, kStride);
  _tile_stored(1, sums + 16, kStride);
  _tile_stored(2, sums + 16 * kTileStrip, kStride);
  _tile_stored(3, sums + 16 * kTileStrip + 16, kStride);
}

// The sums of one strip of columns on their way.
struct Results {
  const float *x_exponents, *w_exponents;  // of these rows, of these columns
  int64_t rows, columns;
  bool adds;
  float* to;
  int64_t to_row;
};

void store(const float* sums, const Results& r) {
  const __mmask16 low = first(r.columns), high = first(r.columns - 16);
  __m512 low_exponents = _mm512_setzero_ps(), high_exponents = low_exponents;
  if (r.w_exponents != nullptr) {
    low_exponents = _mm512_loadu_ps(r.w_exponents);
    high_exponents = _mm512_loadu_ps(r.w_exponents + 16);
  }
  for (int64_t i = 0; i < r.rows; ++i) {
    float* const at = r.to + i * r.to_row;
    __m512 a = _mm512_load_ps(sums + i * kTileStrip), b = _mm512_load_ps(sums + i * kTileStrip + 16);
    if (r.x_exponents != nullptr) {
      const __m512 exponent = _mm512_set1_ps(r.x_exponents[i]);
      a = _mm512_scalef_ps(a, _mm512_add_ps(low_exponents, exponent));
      b = _mm512_scalef_ps(b, _mm512_add_ps(high_exponents, exponent));
    }
    if (r.adds) {
      a = _mm512_add_ps(a, _mm512_maskz_loadu_ps(low, at));
      b = _mm512_add_ps(b, _mm512_maskz_loadu_ps(high, at + 16));
    }
    _mm512_mask_storeu_ps(at, low, a);
    _mm512_mask_storeu_ps(at + 16, high, b);
  }
}

template <int kX, int kW>
void multiply_pieces(const uint16_t* x, const float* x_exponents, int64_t rows, const uint16_t* w,
                     const float* w_exponents, int64_t columns, int64_t inner, bool adds, float* to, int64_t to_row,
                     const TileAhead& ahead) {
  const Configured configured;
  const int64_t x_strip = strip_elements(inner, kX), w_strip = strip_elements(inner, kW);
  const int64_t steps = tile_steps(inner), strips = (columns + kTileStrip - 1) / kTileStrip;
  alignas(64) float sums[kTileStrip * kTileStrip];
  for (int64_t row = 0; row < rows; row += kTileStrip, x += x_strip) {
    const int64_t many = std::min(kTileStrip, rows - row);
    const bool few = many <= 16, is_last = row + kTileStrip >= rows;
    Soon soon(is_last ? ahead : TileAhead{x + x_strip, 1, x_strip * 2 / kRowBytes, 0}, strips * steps);
    const auto results = [&](int64_t column) {
      return Results{x_exponents == nullptr ? nullptr : x_exponents + row,
                     w_exponents == nullptr ? nullptr : w_exponents + column,
                     many,
                     columns - column,
                     adds,
                     to + row * to_row + column,
                     to_row};
    };
    for (int64_t column = 0; column < columns; column += kTileStrip) {
      const uint16_t* const strip = w + column / kTileStrip * w_strip;
      if (few && column + kTileStrip < columns) {
        sum_wide<kX, kW>(x, strip, w_strip, steps, sums);
        store(sums, results(column));
        column += kTileStrip;
        store(sums + 16 * kTileStrip, results(column));
        continue;
      }
      const Results here = results(column);
      Soon result({here.to, many, 2, to_row * static_cast<int64_t>(sizeof(float))}, steps);
      (few ? sum_strips<kX, kW, false> : sum_strips<kX, kW, true>)(x, strip, steps, &result, &soon, sums);
      store(sums, here);
    }
  }
}

void multiply(const uint16_t* x, const float* x_exponents, int64_t rows, const uint16_t* w, const float* w_exponents,
              int64_t columns, int64_t inner, TilePieces pieces, bool adds, float* to, int64_t to_row,
              const TileAhead& ahead) {
  const auto multiplies = pieces.x == 3   ? multiply_pieces<3, 3>
                          : pieces.x == 2 ? multiply_pieces<2, 2>
                                          : multiply_pieces<1, 2>;
  multiplies(x, x_exponents, rows, w, w_exponents, columns, inner, adds, to, to_row, ahead);
}

}  // namespace

extern const TileKernels kTileKernelsAmx;
const TileKernels kTileKernelsAmx = {find_exponents, pack_rows, pack_columns, multiply};

}  // namespace mps
