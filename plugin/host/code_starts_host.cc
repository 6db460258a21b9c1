#include "plugin/host/code_starts_host.h"

#include <algorithm>
#include <limits>

namespace mps {
namespace {

float float_of(uint32_t bits) {
  float number;
  std::memcpy(&number, &bits, sizeof number);
  return number;
}

}  // namespace

CodeStarts::CodeStarts(const float* points, int count) : count_(count) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  std::copy_n(points, count, points_.begin());
  std::fill(points_.begin() + count, points_.end(), kInfinity);
  if (!std::is_sorted(points, points + count)) steps_ = kMostSteps + 1;
  const auto lowest = [](int32_t size) {
    return size == kLeast ? 0.0f : float_of(static_cast<uint32_t>(size) << kDropped);
  };
  const auto highest = [](int32_t size) {
    return size == kMost ? kInfinity : float_of((static_cast<uint32_t>(size + 1) << kDropped) - 1);
  };
  for (int32_t size = kMost; size >= kLeast; --size) add(size - kLeast + kSizes, -highest(size), -lowest(size));
  for (int32_t size = kLeast; size <= kMost; ++size) add(size - kLeast, lowest(size), highest(size));
  starts_[kPlaceOfNaN] = static_cast<uint8_t>(count);
}

void CodeStarts::add(int32_t place, float low, float high) {
  while (below_ < count_ && points_[static_cast<size_t>(below_)] < low) ++below_;
  starts_[static_cast<size_t>(place)] = static_cast<uint8_t>(below_);
  int inside = 0;
  while (below_ + inside < count_ && points_[static_cast<size_t>(below_ + inside)] < high) ++inside;
  steps_ = std::max(steps_, inside);
}

}  // namespace mps
