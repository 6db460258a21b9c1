// How block functions are written: the attributes and pragmas that make the compiler turn their loops into vector code.
//
// Included by vector_kernels.inc.cc and its parts alone.
#pragma once

#include <cstddef>

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

}  // namespace
}  // namespace mps

#define MPS_BLOCK_FUNCTION __attribute__((flatten)) static void
// An operand may be the very array that is written, which no loop below minds.
#define MPS_NO_DEPENDENCE _Pragma("GCC ivdep")
// A loop of a few turns is for the vectoriser, which does not see it once it is unrolled.
#define MPS_KEEP_LOOP _Pragma("GCC unroll 1")
