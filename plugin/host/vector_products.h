// The loops of a vector times a matrix, float32. They read each element of the matrix once, so what counts is how many
// lines are on their way from memory at a time: several rows are read side by side, and the lines that come next are
// asked for early, since a run of a few hundred elements ends before the processor has seen that it is one.
//
// Included by vector_kernels.inc.cc alone, once per instruction set. The order of additions does not depend on the
// width of its vectors.
#pragma once

#include <cstddef>
#include <cstring>

#include "plugin/host/vector_loops.h"

namespace mps {
namespace {

constexpr size_t kLine = 64 / sizeof(float);  // of the cache

// The sum over r < 8 of factors[r] * x[r * stride].
template <typename T, typename Load>
inline __attribute__((always_inline)) T sum_of_8(const float* factors, const float* x, size_t stride, Load load) {
  const auto product = [&](size_t r) { return factors[r] * load(x + r * stride); };
  return ((product(0) + product(1)) + (product(2) + product(3))) +
         ((product(4) + product(5)) + (product(6) + product(7)));
}

MPS_BLOCK_FUNCTION add_scaled_rows(const float* factors, const float* x, size_t rows, size_t stride, float* sums,
                                   size_t n, size_t following) {
  constexpr size_t kGroup = 8;
  size_t r = 0;
  for (; r + kGroup <= rows; r += kGroup, factors += kGroup, x += kGroup * stride) {
    const size_t ahead = r + 2 * kGroup <= rows + following ? kGroup * stride : 0;
    size_t i = 0;
    for (; i + kLine <= n; i += kLine) {
      const float* const next = x + ahead + i;
      for (size_t row = 0; row < kGroup; ++row) __builtin_prefetch(next + row * stride, 0, 2);
      for (size_t j = i; j < i + kLine; j += kFloats) {
        const Floats sum = load_floats(sums + j) + sum_of_8<Floats>(factors, x + j, stride, load_floats);
        std::memcpy(sums + j, &sum, sizeof sum);
      }
    }
    for (; i < n; ++i) sums[i] += sum_of_8<float>(factors, x + i, stride, [](const float* from) { return *from; });
  }
  for (; r < rows; ++r, ++factors, x += stride) {
    MPS_NO_DEPENDENCE
    for (size_t i = 0; i < n; ++i) sums[i] += *factors * x[i];
  }
}

// sums[r] += the sum over i < n of x[i] * rows[r * stride + i], for kRows rows. Element i goes to lane i % kLine.
template <size_t kRows>
inline __attribute__((always_inline)) void add_dots_of(const float* x, const float* rows, size_t stride, float* sums,
                                                       size_t n) {
  constexpr size_t kVectors = kLine / kFloats, kAhead = 32 * kLine;
  Floats lanes[kRows][kVectors] = {};
  size_t i = 0;
  for (; i + kLine <= n; i += kLine) {
    for (size_t r = 0; r < kRows; ++r) __builtin_prefetch(rows + r * stride + i + kAhead, 0, 2);
    for (size_t v = 0; v < kVectors; ++v) {
      const Floats factor = load_floats(x + i + v * kFloats);
      for (size_t r = 0; r < kRows; ++r) lanes[r][v] += factor * load_floats(rows + r * stride + i + v * kFloats);
    }
  }
  for (size_t r = 0; r < kRows; ++r) {
    float line[kLine], sum = 0;
    std::memcpy(line, lanes[r], sizeof line);
    for (float lane : line) sum += lane;
    for (size_t rest = i; rest < n; ++rest) sum += x[rest] * rows[r * stride + rest];
    sums[r] += sum;
  }
}

MPS_BLOCK_FUNCTION add_dots(const float* x, const float* rows, size_t count, size_t stride, float* sums, size_t n) {
  constexpr size_t kGroup = 4;
  size_t r = 0;
  for (; r + kGroup <= count; r += kGroup) add_dots_of<kGroup>(x, rows + r * stride, stride, sums + r, n);
  for (; r < count; ++r) add_dots_of<1>(x, rows + r * stride, stride, sums + r, n);
}

}  // namespace
}  // namespace mps
