// The loops of reductions: many elements into one accumulator, or rows into a row of accumulators.
//
// Included by vector_kernels.inc.cc alone, once per instruction set. Op is a reduction of vector_ops.h, X the operand's
// type, A the accumulators'.
#pragma once

#include <cstddef>
#include <cstring>
#include <type_traits>

#include "plugin/host/vector_loops.h"

namespace mps {
namespace {

// A vector of accumulators' type from as many elements. Compilers halve the widest of these conversions.
template <typename X, typename A, size_t kCount>
inline __attribute__((always_inline)) auto load_as(const X* from) {
  using As __attribute__((vector_size(kCount * sizeof(A)))) = A;
#if defined(__AVX512F__)
  if constexpr (std::is_same_v<X, float> && std::is_same_v<A, double> && kCount == 8) {
    return reinterpret_cast<As>(_mm512_cvtps_pd(_mm256_loadu_ps(from)));
  }
#endif
  using Xs __attribute__((vector_size(kCount * sizeof(X)))) = X;
  Xs xs;
  std::memcpy(&xs, from, sizeof xs);
  return __builtin_convertvector(xs, As);
}

template <typename Op, typename A>
MPS_BLOCK_FUNCTION start(void* acc, size_t n) {
  A* const to = static_cast<A*>(acc);
  for (size_t i = 0; i < n; ++i) to[i] = Op::template kStart<A>;
}

template <typename Op, typename A>
MPS_BLOCK_FUNCTION merge(const void* other, void* acc, size_t n) {
  const A* const from = static_cast<const A*>(other);
  A* const to = static_cast<A*>(acc);
  MPS_NO_DEPENDENCE
  for (size_t i = 0; i < n; ++i) to[i] = Op::combine(to[i], from[i]);
}

// One row: element i goes to lane i % kLanes, and the lanes are folded in halves at the end. The order of additions is
// thus the same for every vector width.
template <typename Op, typename X, typename A>
inline __attribute__((always_inline)) A reduce_row(const X* x, size_t n) {
  constexpr size_t kLanes = 32 * sizeof(double) / sizeof(A);
  constexpr size_t kPerVector = kVectorBytes / sizeof(A);
  constexpr size_t kVectors = kLanes / kPerVector;
  using As __attribute__((vector_size(kPerVector * sizeof(A)))) = A;
  constexpr A kStart = Op::template kStart<A>;
  if (n <= 16) {
    A result = kStart;
    for (size_t i = 0; i < n; ++i) result = Op::combine(result, static_cast<A>(x[i]));
    return result;
  }
  As lanes[kVectors];
  for (As& lane : lanes) lane = As{} + kStart;
  const auto take = [&](const X* from) {
    for (size_t v = 0; v < kVectors; ++v) {
      lanes[v] = Op::combine(lanes[v], load_as<X, A, kPerVector>(from + v * kPerVector));
    }
  };
  // Longer rows come from memory, one piece after the other: what comes next is asked for across their ends.
  constexpr size_t kAhead = 1024, kLongRow = 1024;
  size_t i = 0;
  if (n * sizeof(X) >= kLongRow) {
    for (; i + kLanes <= n; i += kLanes) {
      const char* const here = reinterpret_cast<const char*>(x + i);
      for (size_t at = 0; at < kLanes * sizeof(X); at += kLineBytes) __builtin_prefetch(here + kAhead + at, 0, 2);
      take(x + i);
    }
  }
  for (; i + kLanes <= n; i += kLanes) take(x + i);
  if (i < n) {
    X tail[kLanes];
    for (X& element : tail) element = static_cast<X>(kStart);
    std::memcpy(tail, x + i, (n - i) * sizeof(X));
    take(tail);
  }
  for (size_t half = kVectors / 2; half > 0; half /= 2) {
    for (size_t v = 0; v < half; ++v) lanes[v] = Op::combine(lanes[v], lanes[v + half]);
  }
  A folded[kPerVector];
  std::memcpy(folded, lanes, sizeof folded);
  for (size_t half = kPerVector / 2; half > 0; half /= 2) {
    for (size_t v = 0; v < half; ++v) folded[v] = Op::combine(folded[v], folded[v + half]);
  }
  return folded[0];
}

// What a row is folded in. The greatest of floats is one of them, so nothing is gained by converting each.
template <typename Op, typename X, typename A>
using RowAccumulator = std::conditional_t<Op::kChooses && std::is_same_v<X, float>, X, A>;

template <typename Op, typename X, typename A>
MPS_BLOCK_FUNCTION rows(const void* x, size_t count, size_t length, void* acc) {
  const X* row = static_cast<const X*>(x);
  A* const to = static_cast<A*>(acc);
  for (size_t r = 0; r < count; ++r, row += length) {
    to[r] = Op::combine(to[r], static_cast<A>(reduce_row<Op, X, RowAccumulator<Op, X, A>>(row, length)));
  }
}

// In the compiler's vectors, since it does not see a maximum that knows NaN in a loop.
template <typename Op, typename X, typename A>
MPS_BLOCK_FUNCTION columns(const void* x, size_t count, size_t stride, size_t length, void* acc) {
  constexpr size_t kPerVector = kVectorBytes / sizeof(A);
  using As __attribute__((vector_size(kPerVector * sizeof(A)))) = A;
  const auto load = [](const X* from) __attribute__((always_inline)) { return load_as<X, A, kPerVector>(from); };
  const auto take_in = [](A* to, As found) __attribute__((always_inline)) {
    As before;
    std::memcpy(&before, to, sizeof before);
    const As after = Op::combine(before, found);
    std::memcpy(to, &after, sizeof after);
  };
  const X* row = static_cast<const X*>(x);
  A* const to = static_cast<A*>(acc);
  size_t r = 0;
  for (; r + 4 <= count; r += 4, row += 4 * stride) {  // four rows for one pass over `acc`
    const X *const a = row, *const b = row + stride, *const c = row + 2 * stride, *const d = row + 3 * stride;
    size_t i = 0;
    for (; i + kPerVector <= length; i += kPerVector) {
      const As first = Op::combine(load(a + i), load(b + i)), second = Op::combine(load(c + i), load(d + i));
      take_in(to + i, Op::combine(first, second));
    }
    for (; i < length; ++i) {
      const A first = Op::combine(static_cast<A>(a[i]), static_cast<A>(b[i]));
      const A second = Op::combine(static_cast<A>(c[i]), static_cast<A>(d[i]));
      to[i] = Op::combine(to[i], Op::combine(first, second));
    }
  }
  for (; r < count; ++r, row += stride) {
    size_t i = 0;
    for (; i + kPerVector <= length; i += kPerVector) take_in(to + i, load(row + i));
    for (; i < length; ++i) to[i] = Op::combine(to[i], static_cast<A>(row[i]));
  }
}

}  // namespace
}  // namespace mps
