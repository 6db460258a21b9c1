// The workaround table as code. `workarounds.def` holds the facts.
#pragma once

#include <cstdint>

#include "plugin/metal/legal/target.h"

namespace mps::legal {

enum class Workaround : uint8_t {
#define MPS_WORKAROUND(name, ...) name,
#include "plugin/metal/legal/workarounds.def"
#undef MPS_WORKAROUND
};

inline constexpr int kWorkaroundEnds[] = {
#define MPS_WORKAROUND(name, node, until, ...) until,
#include "plugin/metal/legal/workarounds.def"
#undef MPS_WORKAROUND
};

constexpr bool applies(Workaround workaround, Target target) {
  const int until = kWorkaroundEnds[static_cast<int>(workaround)];
  return until == 0 || target.macos < until;
}

// The sizes that the table's words name.
inline constexpr int64_t kMatmulInnerLimit = 32766, kMatmulInnerPiece = 16384;
inline constexpr int64_t kMatmulColumnsLimit = 32768;
inline constexpr int64_t kConvolutionLimit = 65536;
inline constexpr int64_t kConvolutionWindowLimit = 16;

}  // namespace mps::legal
