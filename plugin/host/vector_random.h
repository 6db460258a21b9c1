// Philox4x32-10 on many counters at once. What it computes: random_bits() of plugin/core/graph.h.
//
// Included by vector_kernels.inc.cc alone; see there.
#pragma once

#include <cstddef>
#include <cstdint>

#include "plugin/host/vector_kernels.h"
#include "plugin/host/vector_loops.h"

namespace mps {
namespace {
namespace vector_random {

constexpr size_t kLanes = 64;

struct Keys {
  uint32_t low[10], high[10];  // of the rounds
  explicit Keys(const RandomCounter& counter) {
    for (uint32_t round = 0; round < 10; ++round) {
      low[round] = counter.key[0] + round * 0x9E3779B9;
      high[round] = counter.key[1] + round * 0xBB67AE85;
    }
  }
};

// The high half of a product.
inline __attribute__((always_inline)) uint32_t high_product(uint32_t x, uint32_t factor) {
  return static_cast<uint32_t>((static_cast<uint64_t>(x) * factor) >> 32);
}

// Blocks `block` ... `block` + kLanes - 1, word by word. Lanes are the one loop, and the rounds are written out in it:
// that is the form of which the compiler makes vectors.
inline __attribute__((always_inline)) void philox(const RandomCounter& counter, const Keys& keys, uint64_t block,
                                                  uint32_t (&words)[4][kLanes]) {
  const uint32_t low = static_cast<uint32_t>(block), high = static_cast<uint32_t>(block >> 32);
  const uint32_t third = counter.block[2], fourth = counter.block[3];
  MPS_NO_DEPENDENCE
  for (uint32_t i = 0; i < kLanes; ++i) {
    uint32_t x = low + i, y = high + (low + i < low ? 1 : 0), z = third, w = fourth;
#define MPS_PHILOX_ROUND(round)                                                      \
  {                                                                                  \
    const uint32_t a = high_product(z, 0xCD9E8D57), b = high_product(x, 0xD2511F53); \
    const uint32_t second = z * 0xCD9E8D57, first = x * 0xD2511F53;                  \
    x = a ^ y ^ keys.low[round];                                                     \
    y = second;                                                                      \
    z = b ^ w ^ keys.high[round];                                                    \
    w = first;                                                                       \
  }
    MPS_PHILOX_ROUND(0)
    MPS_PHILOX_ROUND(1)
    MPS_PHILOX_ROUND(2)
    MPS_PHILOX_ROUND(3)
    MPS_PHILOX_ROUND(4)
    MPS_PHILOX_ROUND(5)
    MPS_PHILOX_ROUND(6)
    MPS_PHILOX_ROUND(7)
    MPS_PHILOX_ROUND(8)
    MPS_PHILOX_ROUND(9)
#undef MPS_PHILOX_ROUND
    words[0][i] = x;
    words[1][i] = y;
    words[2][i] = z;
    words[3][i] = w;
  }
}

}  // namespace vector_random
}  // namespace
}  // namespace mps
