// What legalisation has to know of the Mac that it works for.
#pragma once

namespace mps::legal {

struct Target {
  int macos = 120;  // release times ten, as in nodes.def: 144 is macOS 14.4
};

// The releases that this file, nodes.def and workarounds.def name.
inline constexpr int kReleases[] = {120, 123, 130, 131, 133, 140, 144, 150, 152, 260};

// First releases with what the names say.
inline constexpr int kPermutation = 130;  // transposeTensor:permutation:name:
inline constexpr int kDequantize = 131;   // dequantizeTensor:scaleTensor:zeroPoint:dataType:axis:name:
inline constexpr int kInt64 = 133;        // arithmetic on int64 in MPSGraph's own kernels
inline constexpr int kBFloat16 = 140;     // MPSDataTypeBFloat16

}  // namespace mps::legal
