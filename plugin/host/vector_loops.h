// How block functions are written: the attributes and pragmas that make the compiler turn their loops into vector code.
//
// Included by vector_kernels.inc.cc and its parts alone.
#pragma once

#include <cstddef>
#include <cstring>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace mps {
namespace {

#if defined(__AVX512F__)
constexpr size_t kVectorBytes = 64;
#elif defined(__AVX__)
constexpr size_t kVectorBytes = 32;
#else
constexpr size_t kVectorBytes = 16;
#endif

using Floats __attribute__((vector_size(kVectorBytes))) = float;
constexpr size_t kFloats = kVectorBytes / sizeof(float);

inline __attribute__((always_inline)) Floats load_floats(const float* from) {
  Floats floats;
  std::memcpy(&floats, from, sizeof floats);
  return floats;
}

}  // namespace
}  // namespace mps

#define MPS_BLOCK_FUNCTION __attribute__((flatten)) static void
// MPS_NO_DEPENDENCE: an operand may be the very array that is written, which no such loop minds.
// MPS_KEEP_LOOP: a loop of a few turns is for the vectoriser, which does not see it once it is unrolled.
#if defined(__clang__)
#pragma clang diagnostic ignored "-Wpass-failed"  // division of int64 has no vector form
#define MPS_NO_DEPENDENCE _Pragma("clang loop vectorize(assume_safety)")
#define MPS_KEEP_LOOP _Pragma("clang loop unroll(disable)")
#else
#define MPS_NO_DEPENDENCE _Pragma("GCC ivdep")
#define MPS_KEEP_LOOP _Pragma("GCC unroll 1")
#endif
