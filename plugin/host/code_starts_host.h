// Where the search for a number's code begins: by its sign, its exponent and six bits of its mantissa, a table tells
// how many decision points lie below all numbers that share them. Hardly any lie among those, and each costs a
// comparison.
//
// For processors without registers that hold all points at once; quantized_kernels.inc.cc searches with it.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>

namespace mps {

class CodeStarts {
 public:
  // More comparisons than this, and halving the interval is as good.
  static constexpr int kMostSteps = 4;
  // Making the table takes as long as to search for some thousands of codes.
  static constexpr int64_t kFewElements = int64_t{1} << 14;

  // `points`: ascending, 15 or 255.
  CodeStarts(const float* points, int count);

  // False if some numbers would need more steps.
  bool usable() const { return steps_ <= kMostSteps; }
  // How many points may be among the numbers of one place.
  int steps() const { return steps_; }
  // How many are below all of them.
  const uint8_t* starts() const { return starts_.data(); }
  // The points, and behind them infinity, which is below nothing.
  const float* points() const { return points_.data(); }

  // NaN, which counts as greater than all points, has a place of its own: comparisons find nothing below it.
  static int32_t place_of(float number) {
    uint32_t bits;
    std::memcpy(&bits, &number, sizeof bits);
    int32_t size = static_cast<int32_t>((bits & 0x7fffffff) >> kDropped);
    size = size < kLeast ? kLeast : size;
    size = size > kMost ? kMost : size;
    const int32_t place = size - kLeast + (bits >> 31 != 0 ? kSizes : 0);
    return number != number ? kPlaceOfNaN : place;
  }

 private:
  // Sizes up to 2^-24 share a place, and so do those from 1 on.
  static constexpr int kDropped = 17, kPerPower = 1 << (23 - kDropped);
  static constexpr int32_t kLeast = (127 - 24) * kPerPower, kMost = 127 * kPerPower, kSizes = kMost - kLeast + 1;
  static constexpr int32_t kPlaceOfNaN = 2 * kSizes;

  // Takes in the place of the numbers from `low` to `high`, which lie above those of the place before.
  void add(int32_t place, float low, float high);

  std::array<uint8_t, kPlaceOfNaN + 1> starts_;
  std::array<float, 256> points_;
  int count_, below_ = 0, steps_ = 0;
};

}  // namespace mps
