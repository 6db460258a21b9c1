// How a window slides over the spatial axes of images: the attributes of convolutions and poolings.
//
// Images are [N, C, spatial ..], or [N, spatial .., C] if their channels come last; there are one to three spatial
// axes. Weights are [O, C / groups, spatial ..] in either case.
#pragma once

#include <cstdint>

#include "plugin/core/shape.h"

namespace mps {

struct Sliding {
  using Numbers = SmallVector<int64_t, 4>;  // one for each spatial axis

  bool channels_last = false;
  int64_t groups = 1;           // convolutions: so many parts of the channels that know nothing of each other
  bool counts_padding = false;  // average pooling: padding counts as elements that are 0
  // Pooling: the windows are as even as they can be, from floor(p * length / positions) up to
  // ceil((p + 1) * length / positions). Then the numbers below mean nothing.
  bool adaptive = false;
  Numbers size;             // of the window
  Numbers strides;          // from one window to the next
  Numbers dilations;        // from one element of the window to the next; poolings have none
  Numbers before, padding;  // elements of padding in front of each axis, and behind it

  // As they stand in a node, and back.
  Ints attributes() const;
  static Sliding of(Dims attributes);

  size_t axes() const { return size.size(); }
  size_t spatial_axis(size_t i) const { return channels_last ? 1 + i : 2 + i; }
  size_t channel_axis() const { return channels_last ? 1 + axes() : 1; }

  // From the first element of a window to behind its last.
  int64_t reach(size_t i) const { return (size[i] - 1) * dilations[i] + 1; }
  // How many windows fit into an axis of this length and its padding; less than 1 if none does.
  int64_t positions(size_t i, int64_t length) const {
    const int64_t room = length + before[i] + padding[i] - reach(i);
    return room < 0 ? 0 : room / strides[i] + 1;
  }

  // Pooling: window `position` of so many along axis i.
  struct Range {
    int64_t start, end;  // elements of the axis
    int64_t count;       // what an average divides by, for this axis
  };
  Range range(size_t i, int64_t position, int64_t positions, int64_t length) const;
};

}  // namespace mps
