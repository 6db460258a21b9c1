#include "plugin/host/tile_kernels.h"
#include "plugin/host/vector_kernels.h"

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <algorithm>
#include <cstring>

namespace mps {
namespace {

// Bits of 2^-30 and 2^30; those of larger numbers are larger, and those of infinities and NaN the largest.
constexpr uint32_t kLeast = (127u - 30u) << 23, kMost = (127u + 30u) << 23, kNoSign = 0x7fffffff;

uint32_t bits_of(float number) {
  uint32_t bits;
  std::memcpy(&bits, &number, sizeof bits);
  return bits & kNoSign;
}

}  // namespace

bool is_moderate(const float* numbers, int64_t count) {
  bool moderate = true;
  for (int64_t i = 0; i < count; ++i) {
    const uint32_t bits = bits_of(numbers[i]);
    moderate &= (bits == 0) | ((bits >= kLeast) & (bits <= kMost));
  }
  return moderate;
}

bool rows_are_moderate(const float* x, int64_t rows, int64_t inner) {
  for (int64_t row = 0; row < rows; ++row) {
    uint32_t most = 0;
    for (int64_t i = 0; i < inner; ++i) most = std::max(most, bits_of(x[row * inner + i]));
    if (most != 0 && (most < kLeast || most > kMost)) return false;
  }
  return true;
}

#if defined(__x86_64__) && defined(__linux__)

extern const TileKernels kTileKernelsAmx;

namespace {

// AMX-TILE, AMX-BF16 and AVX-512-BF16, and Linux's leave to have registers that large.
bool has_tiles() {
  constexpr unsigned kBfloatTiles = 1u << 22, kTiles = 1u << 24, kBfloatVectors = 1u << 5;
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  unsigned a, b, c, d;
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
      !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl")) {
    return false;
  }
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0 || (d & kBfloatTiles) == 0 || (d & kTiles) == 0) return false;
  if (__get_cpuid_count(7, 1, &a, &b, &c, &d) == 0 || (a & kBfloatVectors) == 0) return false;
  if (std::strcmp(vector_kernels().name, "avx512") != 0) return false;  // PADDLE_MPS_HOST_VECTORS
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

}  // namespace

const TileKernels* tile_kernels() {
  static const TileKernels* const kernels = has_tiles() ? &kTileKernelsAmx : nullptr;
  return kernels;
}

#else

const TileKernels* tile_kernels() { return nullptr; }

#endif

}  // namespace mps
