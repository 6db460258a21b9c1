#include "plugin/core/attention.h"

#include <cstring>

namespace mps {
namespace {

constexpr int64_t kRanges = 1, kMask = 2, kMaskGradient = 4;

int64_t bits_of(float number) {
  uint32_t bits;
  std::memcpy(&bits, &number, sizeof bits);
  return bits;
}

float number_of(int64_t attribute) {
  const uint32_t bits = static_cast<uint32_t>(attribute);
  float number;
  std::memcpy(&number, &bits, sizeof number);
  return number;
}

}  // namespace

Ints Attention::attributes() const {
  return {(ranges ? kRanges : 0) | (mask ? kMask : 0) | (mask_gradient ? kMaskGradient : 0), bits_of(scale),
          bits_of(dropout)};
}

Attention Attention::of(Dims attributes) {
  Attention attention;
  attention.ranges = (attributes[0] & kRanges) != 0;
  attention.mask = (attributes[0] & kMask) != 0;
  attention.mask_gradient = (attributes[0] & kMaskGradient) != 0;
  attention.scale = number_of(attributes[1]);
  attention.dropout = number_of(attributes[2]);
  return attention;
}

}  // namespace mps
