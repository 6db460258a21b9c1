// Windows that slide over an image: where each of their elements lies.
#pragma once

#include <vector>

#include "kernels/graphs/lines.h"

namespace mps::graphs {

// Sizes, steps and so on by height and width.
struct Windows {
  int64_t image[2], size[2], stride[2], padding[2], dilation[2], count[2];

  Windows(Dims image_size, const std::vector<int>& sizes, const std::vector<int>& strides,
          const std::vector<int>& paddings, const std::vector<int>& dilations) {
    for (size_t i = 0; i < 2; ++i) {
      const int64_t end = paddings.size() == 4 ? paddings[i + 2] : paddings[i];
      image[i] = image_size[i];
      size[i] = sizes[i];
      stride[i] = strides[i];
      padding[i] = paddings[i];
      dilation[i] = dilations[i];
      count[i] = (image[i] + padding[i] + end - (dilation[i] * (size[i] - 1) + 1)) / stride[i] + 1;
    }
  }
  int64_t elements() const { return size[0] * size[1] * count[0] * count[1]; }
};

// For [row of the window, column of the window, window below, window beside], flat: the position in the image, or -1
// where the window lies on padding.
inline Value window_positions(Graph& g, const Windows& w) {
  const Shape shape{w.size[0], w.size[1], w.count[0], w.count[1]};
  Value inside = g.constant(true, DType::bool_), at = g.constant(0, DType::int32);
  for (size_t i = 0; i < 2; ++i) {
    Shape in_window{1, 1, 1, 1}, of_window{1, 1, 1, 1};
    in_window[i] = w.size[i];
    of_window[i + 2] = w.count[i];
    const auto times = [&](Value x, int64_t by) { return g.multiplication(x, number(g, x, by)); };
    const Value tap = times(g.coordinate(in_window, static_cast<int>(i)), w.dilation[i]);
    const Value begin = times(g.coordinate(of_window, static_cast<int>(i) + 2), w.stride[i]);
    const Value place = g.subtraction(g.addition(tap, begin), number(g, tap, w.padding[i]));
    inside = g.multiplication(inside, g.multiplication(g.greater_than_or_equal_to(place, number(g, place, 0)),
                                                       g.less_than(place, number(g, place, w.image[i]))));
    at = g.addition(times(at, w.image[i]), place);
  }
  return flat(g, g.broadcast(g.select(inside, at, number(g, at, -1)), shape));
}

}  // namespace mps::graphs
