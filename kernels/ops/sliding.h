// Paddle's attributes of convolutions and poolings as a Sliding.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "plugin/core/check.h"
#include "plugin/core/sliding.h"

namespace mps::paddle {

inline bool channels_come_last(const std::string& format) { return !format.empty() && format.back() == 'C'; }

template <typename T>
Sliding::Numbers numbers_of(const std::vector<T>& from) {
  Sliding::Numbers numbers;
  for (T number : from) numbers.push_back(static_cast<int64_t>(number));
  return numbers;
}

// Sets the padding: `paddings` has one number for each spatial axis or two, and is not looked at where the algorithm is
// SAME (as many windows as strides go into the axis) or VALID (none).
template <typename T>
void set_padding(Sliding* sliding, Dims image, const std::vector<T>& paddings, const std::string& algorithm) {
  const size_t axes = sliding->axes();
  MPS_CHECK(paddings.size() == axes || paddings.size() == 2 * axes, kArgument, "bad padding: expected ", axes, " or ",
            2 * axes, " numbers, got ", paddings.size(), ". Give one or two for each spatial axis.");
  const bool two = paddings.size() == 2 * axes;
  for (size_t i = 0; i < axes; ++i) {
    int64_t before = paddings[two ? 2 * i : i], behind = paddings[two ? 2 * i + 1 : i];
    if (algorithm == "SAME") {
      const int64_t length = image[sliding->spatial_axis(i)], stride = sliding->strides[i];
      const int64_t all = (length + stride - 1) / stride * stride - stride + sliding->size[i] - length;
      before = std::max<int64_t>(all, 0) / 2;
      behind = std::max<int64_t>(all, 0) - before;
      sliding->dilations[i] = 1;  // as Paddle has it
    } else if (algorithm == "VALID") {
      before = behind = 0;
    }
    sliding->before.push_back(before);
    sliding->padding.push_back(behind);
  }
}

}  // namespace mps::paddle
