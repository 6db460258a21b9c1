// Fourier transforms of sixteen lines side by side. An element of them is sixteen real parts and then sixteen imaginary
// ones, so that every step is the same for all lanes and the roots of unity are numbers that all of them share.
//
// The stages are those of Stockham's scheme, whose results come out in order (Cochran et al., "What is the fast Fourier
// transform?", 1967). Exponents are negative; the other direction is the same with the parts exchanged, on the way in
// and on the way out.
//
// Included by vector_kernels.inc.cc alone, once per instruction set.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "plugin/host/vector_kernels.h"
#include "plugin/host/vector_loops.h"

namespace mps {
namespace {

constexpr size_t kElement = 2 * kFourierLanes;  // floats
static_assert(kFourierLanes % kFloats == 0);

struct ComplexFloats {
  Floats re, im;
};

#define MPS_FOURIER_INLINE inline __attribute__((always_inline))

MPS_FOURIER_INLINE ComplexFloats load_complex(const float* from) {
  return {load_floats(from), load_floats(from + kFourierLanes)};
}
MPS_FOURIER_INLINE void store_complex(float* to, ComplexFloats x) {
  std::memcpy(to, &x.re, sizeof x.re);
  std::memcpy(to + kFourierLanes, &x.im, sizeof x.im);
}
MPS_FOURIER_INLINE ComplexFloats operator+(ComplexFloats a, ComplexFloats b) { return {a.re + b.re, a.im + b.im}; }
MPS_FOURIER_INLINE ComplexFloats operator-(ComplexFloats a, ComplexFloats b) { return {a.re - b.re, a.im - b.im}; }
MPS_FOURIER_INLINE ComplexFloats times(ComplexFloats a, float re, float im) {
  return {a.re * re - a.im * im, a.re * im + a.im * re};
}
MPS_FOURIER_INLINE ComplexFloats scaled(ComplexFloats a, float by) { return {a.re * by, a.im * by}; }
MPS_FOURIER_INLINE ComplexFloats conjugate(ComplexFloats a) { return {a.re, -a.im}; }
MPS_FOURIER_INLINE ComplexFloats by_minus_i(ComplexFloats a) { return {a.im, -a.re}; }

// x[0 .. kRadix) becomes its transform.
template <size_t kRadix>
struct Butterfly;

template <>
struct Butterfly<2> {
  static MPS_FOURIER_INLINE void apply(ComplexFloats* x) {
    const ComplexFloats sum = x[0] + x[1], difference = x[0] - x[1];
    x[0] = sum, x[1] = difference;
  }
};

template <>
struct Butterfly<3> {
  static MPS_FOURIER_INLINE void apply(ComplexFloats* x) {
    constexpr float kSine = 0x1.bb67aep-1f;  // of pi / 3
    const ComplexFloats sum = x[1] + x[2], turned = by_minus_i(scaled(x[1] - x[2], kSine));
    const ComplexFloats mean = x[0] - scaled(sum, 0.5f);
    x[0] = x[0] + sum, x[1] = mean + turned, x[2] = mean - turned;
  }
};

template <>
struct Butterfly<4> {
  static MPS_FOURIER_INLINE void apply(ComplexFloats* x) {
    const ComplexFloats a = x[0] + x[2], b = x[0] - x[2], c = x[1] + x[3], d = by_minus_i(x[1] - x[3]);
    x[0] = a + c, x[1] = b + d, x[2] = a - c, x[3] = b - d;
  }
};

template <>
struct Butterfly<5> {
  static MPS_FOURIER_INLINE void apply(ComplexFloats* x) {
    // Cosines and sines of 2 pi / 5 and of 4 pi / 5.
    constexpr float kC1 = 0x1.3c6ef4p-2f, kC2 = -0x1.9e377ap-1f, kS1 = 0x1.e6f0e2p-1f, kS2 = 0x1.2cf230p-1f;
    const ComplexFloats a = x[1] + x[4], b = x[2] + x[3], c = x[1] - x[4], d = x[2] - x[3];
    const ComplexFloats e = x[0] + (scaled(a, kC1) + scaled(b, kC2)), f = x[0] + (scaled(a, kC2) + scaled(b, kC1));
    const ComplexFloats g = by_minus_i(scaled(c, kS1) + scaled(d, kS2));
    const ComplexFloats h = by_minus_i(scaled(c, kS2) - scaled(d, kS1));
    x[0] = x[0] + (a + b), x[1] = e + g, x[2] = f + h, x[3] = f - h, x[4] = e - g;
  }
};

template <>
struct Butterfly<8> {
  static MPS_FOURIER_INLINE void apply(ComplexFloats* x) {
    constexpr float kRoot = 0x1.6a09e6p-1f;  // of 1 / 2
    ComplexFloats even[4] = {x[0] + x[4], x[1] + x[5], x[2] + x[6], x[3] + x[7]};
    const ComplexFloats b = x[1] - x[5], d = x[3] - x[7];
    ComplexFloats odd[4] = {x[0] - x[4], scaled({b.re + b.im, b.im - b.re}, kRoot), by_minus_i(x[2] - x[6]),
                            scaled({d.im - d.re, -d.re - d.im}, kRoot)};
    Butterfly<4>::apply(even);
    Butterfly<4>::apply(odd);
    for (size_t i = 0; i < 4; ++i) x[2 * i] = even[i], x[2 * i + 1] = odd[i];
  }
};

template <size_t kRadix>
MPS_FOURIER_INLINE void fourier_stage_of(const FourierStage& stage, const float* in, float* out) {
  const size_t step = stage.columns * kElement;  // between places that differ by one in the next digit
  const float* roots = stage.roots;
  for (size_t p = 0; p < stage.rows; ++p, roots += 2 * (kRadix - 1)) {
    const float* const from = in + p * step;
    float* const to = out + p * kRadix * step;
    for (size_t q = 0; q < step; q += kElement) {
      for (size_t lane = 0; lane < kFourierLanes; lane += kFloats) {
        ComplexFloats x[kRadix];
        for (size_t k = 0; k < kRadix; ++k) x[k] = load_complex(from + k * stage.rows * step + q + lane);
        Butterfly<kRadix>::apply(x);
        store_complex(to + q + lane, x[0]);
        for (size_t k = 1; k < kRadix; ++k) {
          store_complex(to + k * step + q + lane, times(x[k], roots[2 * k - 2], roots[2 * k - 1]));
        }
      }
    }
  }
}

// A factor without a scheme of its own: pairs of conjugate roots share their products. Behind the roots of the stage
// lie those of the factor.
MPS_FOURIER_INLINE void fourier_stage_of_any(const FourierStage& stage, const float* in, float* out) {
  const size_t radix = stage.radix, half = (radix - 1) / 2, step = stage.columns * kElement;
  const float* const own = stage.roots + 2 * (radix - 1) * stage.rows;
  const float* roots = stage.roots;
  for (size_t p = 0; p < stage.rows; ++p, roots += 2 * (radix - 1)) {
    const float* const from = in + p * step;
    float* const to = out + p * radix * step;
    for (size_t q = 0; q < step; q += kElement) {
      for (size_t lane = 0; lane < kFourierLanes; lane += kFloats) {
        const auto at = [&](size_t k) { return load_complex(from + k * stage.rows * step + q + lane); };
        const ComplexFloats first = at(0);
        ComplexFloats sums[kLargestFourierRadix / 2], differences[kLargestFourierRadix / 2], total = first;
        for (size_t k = 0; k < half; ++k) {
          const ComplexFloats a = at(k + 1), b = at(radix - 1 - k);
          sums[k] = a + b, differences[k] = a - b;
          total = total + sums[k];
        }
        store_complex(to + q + lane, total);
        for (size_t j = 1; j <= half; ++j) {
          ComplexFloats even = first, odd = {};
          for (size_t k = 0, turn = j; k < half; ++k, turn = turn + j >= radix ? turn + j - radix : turn + j) {
            even = even + scaled(sums[k], own[2 * turn]);
            odd = odd + scaled(differences[k], own[2 * turn + 1]);
          }
          const ComplexFloats turned = {-odd.im, odd.re};
          const auto put = [&](size_t k, ComplexFloats x) {
            store_complex(to + k * step + q + lane, times(x, roots[2 * k - 2], roots[2 * k - 1]));
          };
          put(j, even + turned);
          put(radix - j, even - turned);
        }
      }
    }
  }
}

MPS_BLOCK_FUNCTION fourier_stage(const FourierStage& stage, const float* in, float* out) {
  switch (stage.radix) {
    case 2:
      return fourier_stage_of<2>(stage, in, out);
    case 3:
      return fourier_stage_of<3>(stage, in, out);
    case 4:
      return fourier_stage_of<4>(stage, in, out);
    case 5:
      return fourier_stage_of<5>(stage, in, out);
    case 8:
      return fourier_stage_of<8>(stage, in, out);
    default:
      return fourier_stage_of_any(stage, in, out);
  }
}

// x[i] *= by[i] for so many elements, both with lanes.
MPS_BLOCK_FUNCTION fourier_multiply(const float* by, float* x, size_t count) {
  for (size_t i = 0; i < count * kElement; i += kElement) {
    for (size_t lane = i; lane < i + kFourierLanes; lane += kFloats) {
      const ComplexFloats a = load_complex(x + lane), b = load_complex(by + lane);
      store_complex(x + lane, {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re});
    }
  }
}

// The transform of 2 m real numbers from that of m complex ones, which are pairs of them: 0 ... m - 1 -> 0 ... m. Roots
// are those of 2 m. With z the transform at k, and y the conjugate of that at m - k, it is (z + y) / 2 + root (z - y) /
// 2i. Imaginary parts of the result are multiplied by `sign`.
MPS_BLOCK_FUNCTION fourier_part(const float* roots, size_t m, float sign, const float* in, float* out) {
  for (size_t lane = 0; lane < kFourierLanes; lane += kFloats) {
    const ComplexFloats first = load_complex(in + lane);
    store_complex(out + lane, {first.re + first.im, Floats{}});
    store_complex(out + m * kElement + lane, {first.re - first.im, Floats{}});
  }
  for (size_t k = 1; 2 * k <= m; ++k) {
    for (size_t lane = 0; lane < kFourierLanes; lane += kFloats) {
      const ComplexFloats z = load_complex(in + k * kElement + lane);
      const ComplexFloats y = conjugate(load_complex(in + (m - k) * kElement + lane));
      const ComplexFloats even = scaled(z + y, 0.5f), odd = by_minus_i(scaled(z - y, 0.5f));
      const ComplexFloats turned = times(odd, roots[2 * k], roots[2 * k + 1]);
      const ComplexFloats near = even + turned, far = even - turned;
      store_complex(out + (m - k) * kElement + lane, {far.re, -sign * far.im});
      store_complex(out + k * kElement + lane, {near.re, sign * near.im});
    }
  }
}

// The opposite, times two: 0 ... m -> 0 ... m - 1, whose transform with positive exponents is the real numbers; hence
// the parts are exchanged in the result. Imaginary parts are multiplied by `sign` before; those of the first number and
// of the last do not count.
MPS_BLOCK_FUNCTION fourier_join(const float* roots, size_t m, float sign, const float* in, float* out) {
  for (size_t lane = 0; lane < kFourierLanes; lane += kFloats) {
    const Floats first = load_floats(in + lane), last = load_floats(in + m * kElement + lane);
    store_complex(out + lane, {first - last, first + last});
  }
  for (size_t k = 1; 2 * k <= m; ++k) {
    for (size_t lane = 0; lane < kFourierLanes; lane += kFloats) {
      const ComplexFloats near = load_complex(in + k * kElement + lane);
      const ComplexFloats far = load_complex(in + (m - k) * kElement + lane);
      const ComplexFloats x = {near.re, sign * near.im}, y = {far.re, -sign * far.im};
      const ComplexFloats even = x + y, odd = times(x - y, roots[2 * k], -roots[2 * k + 1]);
      store_complex(out + (m - k) * kElement + lane, {odd.re - even.im, even.re + odd.im});
      store_complex(out + k * kElement + lane, {even.im + odd.re, even.re - odd.im});
    }
  }
}

// -- between memory and lanes ---------------------------------------------------------------------

// Four lines of four numbers, which become four numbers of four lines.
struct Square {
#if defined(__SSE2__)
  __m128 rows[4];
  MPS_FOURIER_INLINE void load(size_t i, const float* from) { rows[i] = _mm_loadu_ps(from); }
  MPS_FOURIER_INLINE void store(size_t i, float* to) const { _mm_storeu_ps(to, rows[i]); }
  MPS_FOURIER_INLINE void multiply(float by) {
    for (__m128& row : rows) row = _mm_mul_ps(row, _mm_set1_ps(by));
  }
  MPS_FOURIER_INLINE void transpose() { _MM_TRANSPOSE4_PS(rows[0], rows[1], rows[2], rows[3]); }
#else
  float rows[4][4];
  void load(size_t i, const float* from) { std::memcpy(rows[i], from, sizeof rows[i]); }
  void store(size_t i, float* to) const { std::memcpy(to, rows[i], sizeof rows[i]); }
  void multiply(float by) {
    for (auto& row : rows) {
      for (float& x : row) x *= by;
    }
  }
  void transpose() {
    for (size_t i = 0; i < 4; ++i) {
      for (size_t j = 0; j < i; ++j) {
        const float x = rows[i][j];
        rows[i][j] = rows[j][i], rows[j][i] = x;
      }
    }
  }
#endif
};

MPS_FOURIER_INLINE bool are_neighbours(const FourierLines& lines, int64_t distance) {
  for (size_t l = 1; l < lines.lanes; ++l) {
    if (lines.offset[l] != lines.offset[l - 1] + distance) return false;
  }
  return true;
}

// f(all lanes, or so many of them as there are).
template <typename F>
MPS_FOURIER_INLINE void with_lanes(const FourierLines& lines, F f) {
  if (lines.lanes == kFourierLanes) return f(kFourierLanes);
  f(lines.lanes);
}

// Lines of pairs: for two elements at a time, both parts of four lines make a square. Eight elements, which are a line
// of the cache, are read or written before those of other lanes.
template <typename F>
MPS_FOURIER_INLINE void in_squares(size_t lanes, size_t count, F f) {
  constexpr size_t kTogether = 8;
  for (size_t i = 0; i < count; i += kTogether) {
    const size_t end = i + kTogether < count ? i + kTogether : count;
    for (size_t lane = 0; lane + 4 <= lanes; lane += 4) {
      for (size_t j = i; j + 2 <= end; j += 2) f(j, lane);
    }
  }
}

MPS_BLOCK_FUNCTION fourier_load(const float* from, const FourierLines& lines, size_t count, bool exchange, float* out) {
  const size_t re = exchange ? kFourierLanes : 0, im = kFourierLanes - re;
  const bool has_imaginary = lines.imaginary != 0;
  const bool squares = lines.imaginary == 1 && lines.element == 2;
  if (lines.lanes != kFourierLanes) std::memset(out, 0, count * kElement * sizeof(float));
  if (squares) {
    in_squares(lines.lanes, count, [&](size_t j, size_t lane) __attribute__((always_inline)) {
      Square square;
      for (size_t l = 0; l < 4; ++l) square.load(l, from + lines.offset[lane + l] + 2 * j);
      square.transpose();
      float* const to = out + j * kElement + lane;
      square.store(0, to + re), square.store(1, to + im);
      square.store(2, to + kElement + re), square.store(3, to + kElement + im);
    });
  }
  if (!squares && lines.imaginary == 1 && are_neighbours(lines, 2)) {
    return with_lanes(lines, [&](size_t lanes) __attribute__((always_inline)) {
      for (size_t j = 0; j < count; ++j) {
        const float* const pairs = from + lines.offset[0] + static_cast<int64_t>(j) * lines.element;
        float* const to = out + j * kElement;
        for (size_t l = 0; l < lanes; ++l) to[re + l] = pairs[2 * l], to[im + l] = pairs[2 * l + 1];
      }
    });
  }
  if (!squares && are_neighbours(lines, 1)) {
    return with_lanes(lines, [&](size_t lanes) __attribute__((always_inline)) {
      for (size_t j = 0; j < count; ++j) {
        const float* const row = from + lines.offset[0] + static_cast<int64_t>(j) * lines.element;
        float* const to = out + j * kElement;
        std::memcpy(to + re, row, lanes * sizeof(float));
        if (has_imaginary) std::memcpy(to + im, row + lines.imaginary, lanes * sizeof(float));
        if (!has_imaginary) std::memset(to + im, 0, kFourierLanes * sizeof(float));
      }
    });
  }
  for (size_t l = 0; l < lines.lanes; ++l) {
    const float* const line = from + lines.offset[l];
    for (size_t j = (squares && l < lines.lanes / 4 * 4) ? count / 2 * 2 : 0; j < count; ++j) {
      const float* const x = line + static_cast<int64_t>(j) * lines.element;
      out[j * kElement + re + l] = *x;
      out[j * kElement + im + l] = has_imaginary ? x[lines.imaginary] : 0;
    }
  }
}

// The result is multiplied by `scale`.
MPS_BLOCK_FUNCTION fourier_store(const float* in, const FourierLines& lines, size_t count, bool exchange, float scale,
                                 float* out) {
  const size_t re = exchange ? kFourierLanes : 0, im = kFourierLanes - re;
  const bool has_imaginary = lines.imaginary != 0;
  const bool squares = lines.imaginary == 1 && lines.element == 2;
  if (squares) {
    in_squares(lines.lanes, count, [&](size_t j, size_t lane) __attribute__((always_inline)) {
      Square square;
      const float* const x = in + j * kElement + lane;
      square.load(0, x + re), square.load(1, x + im);
      square.load(2, x + kElement + re), square.load(3, x + kElement + im);
      square.multiply(scale);
      square.transpose();
      for (size_t l = 0; l < 4; ++l) square.store(l, out + lines.offset[lane + l] + 2 * j);
    });
  }
  if (!squares && lines.imaginary == 1 && are_neighbours(lines, 2)) {
    return with_lanes(lines, [&](size_t lanes) __attribute__((always_inline)) {
      for (size_t j = 0; j < count; ++j) {
        float* const pairs = out + lines.offset[0] + static_cast<int64_t>(j) * lines.element;
        const float* const x = in + j * kElement;
        float row[kElement];
        for (size_t l = 0; l < lanes; ++l) row[2 * l] = scale * x[re + l], row[2 * l + 1] = scale * x[im + l];
        std::memcpy(pairs, row, 2 * lanes * sizeof(float));
      }
    });
  }
  if (!squares && are_neighbours(lines, 1)) {
    return with_lanes(lines, [&](size_t lanes) __attribute__((always_inline)) {
      for (size_t j = 0; j < count; ++j) {
        float* const to = out + lines.offset[0] + static_cast<int64_t>(j) * lines.element;
        const float* const x = in + j * kElement;
        for (size_t l = 0; l < lanes; ++l) to[l] = scale * x[re + l];
        if (!has_imaginary) continue;
        for (size_t l = 0; l < lanes; ++l) to[lines.imaginary + static_cast<int64_t>(l)] = scale * x[im + l];
      }
    });
  }
  for (size_t l = 0; l < lines.lanes; ++l) {
    float* const line = out + lines.offset[l];
    for (size_t j = (squares && l < lines.lanes / 4 * 4) ? count / 2 * 2 : 0; j < count; ++j) {
      float* const to = line + static_cast<int64_t>(j) * lines.element;
      *to = scale * in[j * kElement + re + l];
      if (has_imaginary) to[lines.imaginary] = scale * in[j * kElement + im + l];
    }
  }
}

#undef MPS_FOURIER_INLINE

}  // namespace
}  // namespace mps
