// Philox4x32-10 on many counters at once. What it computes: random_bits() of plugin/core/graph.h.
//
// Included by vector_kernels.inc.cc alone; see there.
#pragma once

#include <cstddef>
#include <cstdint>

#include "plugin/host/vector_kernels.h"

namespace mps {
namespace {
namespace vector_random {

constexpr size_t kLanes = 16;

// Blocks `block` ... `block` + kLanes - 1, word by word.
inline __attribute__((always_inline)) void philox(const RandomCounter& counter, uint64_t block,
                                                  uint32_t (&words)[4][kLanes]) {
  constexpr uint64_t kFactors[2] = {0xD2511F53, 0xCD9E8D57};
  constexpr uint32_t kWeyl[2] = {0x9E3779B9, 0xBB67AE85};
  for (size_t i = 0; i < kLanes; ++i) {
    words[0][i] = static_cast<uint32_t>(block + i);
    words[1][i] = static_cast<uint32_t>((block + i) >> 32);
    words[2][i] = counter.block[2];
    words[3][i] = counter.block[3];
  }
  uint32_t key_low = counter.key[0], key_high = counter.key[1];
  for (int round = 0; round < 10; ++round) {
    for (size_t i = 0; i < kLanes; ++i) {
      const uint64_t first = kFactors[0] * words[0][i], second = kFactors[1] * words[2][i];
      words[0][i] = static_cast<uint32_t>(second >> 32) ^ words[1][i] ^ key_low;
      words[1][i] = static_cast<uint32_t>(second);
      words[2][i] = static_cast<uint32_t>(first >> 32) ^ words[3][i] ^ key_high;
      words[3][i] = static_cast<uint32_t>(first);
    }
    key_low += kWeyl[0];
    key_high += kWeyl[1];
  }
}

}  // namespace vector_random
}  // namespace
}  // namespace mps
